//! Faults of an engine: losses and delays of frames that no model asked for. Pure.

use std::time::Duration;

use crate::lab::impair::passage::Nanos;

/// Faults of an engine since its start.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// Frames that came while the ring was full.
    pub(crate) overflowed: u64,
    /// Frames that are longer than a slot of the ring, or whose offloads the engine cannot pass on.
    pub(crate) unknown: u64,
    /// Frames for which there was no memory.
    pub(crate) discarded: u64,
    /// Frames that the kernel refused to send, and the reason of the first refusal.
    pub(crate) refused: Option<(u64, String)>,
    /// Longest time after which a frame was sent although it was due.
    pub(crate) latest: Nanos,
    /// Reason for which the thread has ended.
    pub(crate) ended: Option<String>,
}

/// Lateness from which the network is not the one that the test has declared.
const LATE: Duration = Duration::from_secs(5);

impl Faults {
    pub(crate) fn note_refusal(&mut self, reason: impl FnOnce() -> String) {
        self.refused.get_or_insert_with(|| (0, reason())).0 += 1;
    }

    /// Describes the faults, one a line; `None` if there are none.
    pub(crate) fn describe(&self) -> Option<String> {
        let mut lines = Vec::new();
        if let Some(reason) = &self.ended {
            lines.push(format!("the thread that passes frames on has ended: {reason}"));
        }
        if self.overflowed > 0 {
            lines.push(format!(
                "{} lost: more frames arrived than could be passed on; send fewer at once, or run \
                 fewer tests at once (--test-threads)",
                frames(self.overflowed)
            ));
        }
        if self.unknown > 0 {
            lines.push(format!(
                "{} lost: longer than 64 KiB, or with a segmentation offload other than that of TCP \
                 and UDP; turn it off with `.offloads(false)`",
                frames(self.unknown)
            ));
        }
        if self.discarded > 0 {
            lines.push(format!(
                "{} lost: delayed frames need more than 256 MiB; delay less, or limit the rate",
                frames(self.discarded)
            ));
        }
        if let Some((count, reason)) = &self.refused {
            lines.push(format!("{} not sent: {reason}", frames(*count)));
        }
        let latest = Duration::from_nanos(self.latest);
        if latest > LATE {
            lines.push(format!(
                "a frame was sent {latest:.1?} too late: this machine is too busy; run fewer tests \
                 at once (--test-threads)"
            ));
        }
        (!lines.is_empty()).then(|| lines.join("\n"))
    }
}

fn frames(count: u64) -> String {
    if count == 1 { "1 frame was".to_owned() } else { format!("{count} frames were") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_fault_is_no_trouble() {
        assert_eq!(Faults { latest: 2_000_000_000, ..Faults::default() }.describe(), None);
    }

    #[test]
    fn each_fault_is_a_line() {
        let mut faults = Faults { overflowed: 1, unknown: 2, discarded: 3, ..Faults::default() };
        faults.note_refusal(|| "EMSGSIZE (Message too long)".to_owned());
        faults.note_refusal(|| unreachable!("the first reason is kept"));
        (faults.latest, faults.ended) = (6_000_000_000, Some("EBADF".to_owned()));
        let text = faults.describe().unwrap();
        let starts =
            ["the thread", "1 frame was lost", "2 frames", "3 frames", "2 frames were not"];
        for (line, start) in text.lines().zip(starts) {
            assert!(line.starts_with(start), "{line}");
        }
        assert!(text.ends_with(
            "a frame was sent 6.0s too late: this machine is too busy; run \
                                fewer tests at once (--test-threads)"
        ));
    }
}
