//! Faults of an engine: losses and delays of frames that no model asked for. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::lab::impair::engine::links::Links;
use crate::lab::impair::passage::Nanos;

/// Faults of an engine since its start.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// Frames that came while the ring for their length was full.
    pub(crate) overflowed: u64,
    /// Frames that are longer than a slot, or whose offloads the engine cannot pass on.
    pub(crate) unknown: Counts,
    /// Frames for which there was no memory.
    pub(crate) discarded: Counts,
    /// Frames that the kernel refused to send, and the reason of the first refusal.
    refused: Option<(Counts, String)>,
    /// Longest time after which a frame was sent although it was due, and its link.
    latest: (Nanos, usize),
    /// Reason for which the thread has ended.
    pub(crate) ended: Option<String>,
}

/// Numbers of frames by the number of their link.
#[derive(Debug, Default)]
pub(crate) struct Counts(BTreeMap<usize, u64>);

/// Lateness from which the network is not the one that the test has declared.
const LATE: Duration = Duration::from_secs(5);

/// Most links that a line names.
const NAMED: usize = 3;

impl Faults {
    pub(crate) fn note_refusal(&mut self, link: usize, reason: impl FnOnce() -> String) {
        self.refused.get_or_insert_with(|| (Counts::default(), reason())).0.note(link);
    }

    pub(crate) fn note_late(&mut self, link: usize, time: Nanos) {
        if time > self.latest.0 {
            self.latest = (time, link);
        }
    }

    /// Describes the faults, one a line; `None` if there are none. The rings have these numbers of
    /// slots for short and for long frames.
    pub(crate) fn describe(&self, links: &Links, [short, long]: [usize; 2]) -> Option<String> {
        let mut lines = Vec::new();
        if let Some(reason) = &self.ended {
            lines.push(format!("the thread that passes frames on has ended: {reason}"));
        }
        if self.overflowed > 0 {
            let (all, busiest) = links.busiest();
            let busiest = match busiest.as_str() {
                "" => String::new(),
                links => format!(", most of them over {links}"),
            };
            lines.push(format!(
                "{} lost: more arrived at once than could be passed on, with room for {short} short \
                 and {long} long ones of all links; {all} frames arrived besides{busiest}; send \
                 fewer at once, or run fewer tests at once (--test-threads)",
                frames(self.overflowed),
            ));
        }
        if let Some(text) = self.unknown.describe(links) {
            lines.push(format!(
                "{text} lost: longer than 64 KiB, or with a segmentation offload other than that \
                 of TCP and UDP; turn it off with `.offloads(false)`"
            ));
        }
        if let Some(text) = self.discarded.describe(links) {
            lines.push(format!(
                "{text} lost: delayed frames need more than 256 MiB; delay less, or limit the rate"
            ));
        }
        if let Some((counts, reason)) = &self.refused {
            let text = counts.describe(links).unwrap_or_default();
            lines.push(format!("{text} not sent: {reason}"));
        }
        let (latest, link) = (Duration::from_nanos(self.latest.0), self.latest.1);
        if latest > LATE {
            lines.push(format!(
                "a frame of {} was sent {latest:.1?} too late, of at most {LATE:?}: this machine is \
                 too busy; run fewer tests at once (--test-threads)",
                links.name(link)
            ));
        }
        (!lines.is_empty()).then(|| lines.join("\n"))
    }
}

impl Counts {
    pub(crate) fn note(&mut self, link: usize) {
        *self.0.entry(link).or_default() += 1;
    }

    /// Returns the number and the links: `3 frames of link `wan` (a to b) were`.
    fn describe(&self, links: &Links) -> Option<String> {
        let all: u64 = self.0.values().sum();
        let mut named: Vec<&str> = self.0.keys().take(NAMED).map(|at| links.name(*at)).collect();
        if self.0.len() > NAMED {
            named.push("other links");
        }
        let (count, verb) = if all == 1 { ("1 frame", "was") } else { ("frames", "were") };
        let count = if all == 1 { count.to_owned() } else { format!("{all} {count}") };
        (all > 0).then(|| format!("{count} of {} {verb}", named.join(", ")))
    }
}

fn frames(count: u64) -> String {
    if count == 1 { "1 frame was".to_owned() } else { format!("{count} frames were") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::impair::emulated::EmulatedLink;
    use crate::lab::impair::engine::links::LinkPorts;
    use crate::lab::impair::hash::Seed;
    use crate::lab::plan::impairment::ImpairmentPlan;

    fn links(names: &[&str]) -> Links {
        let mut links = Links::default();
        for (at, name) in names.iter().enumerate() {
            let link = EmulatedLink::new(Seed(0), name, [(); 2].map(|()| plan()), 1500);
            let at = at as u32;
            let indexes = [2 * at, 2 * at + 1];
            links.add(LinkPorts { name: (*name).to_owned(), indexes, link, observer: None });
        }
        links
    }

    fn plan() -> ImpairmentPlan {
        ImpairmentPlan::default()
    }

    #[test]
    fn no_fault_is_no_trouble() {
        let mut faults = Faults::default();
        faults.note_late(0, 2_000_000_000);
        assert_eq!(faults.describe(&links(&["lan"]), [4096, 240]), None);
    }

    #[test]
    fn each_fault_is_a_line_with_its_links() {
        let mut links = links(&["lan", "wan"]);
        (0..5).for_each(|_| assert!(links.take(2).is_some()));
        let mut faults = Faults { overflowed: 7, ..Faults::default() };
        faults.unknown.note(1);
        [0, 1, 1].into_iter().for_each(|link| faults.discarded.note(link));
        faults.note_refusal(0, || "EMSGSIZE (Message too long)".to_owned());
        faults.note_refusal(0, || unreachable!("the first reason is kept"));
        faults.note_late(1, 6_000_000_000);
        faults.note_late(0, 5_500_000_000);
        faults.ended = Some("EBADF".to_owned());
        let text = faults.describe(&links, [4096, 240]).unwrap();
        let starts = [
            "the thread that passes frames on has ended: EBADF",
            "7 frames were lost: more arrived at once than could be passed on, with room for 4096 \
             short and 240 long ones of all links; 5 frames arrived besides, most of them over wan \
             5; send",
            "1 frame of wan was lost: longer",
            "3 frames of lan, wan were lost: delayed",
            "2 frames of lan were not sent: EMSGSIZE (Message too long)",
            "a frame of wan was sent 6.0s too late, of at most 5s: this machine is too busy; run",
        ];
        assert_eq!(text.lines().count(), starts.len(), "{text}");
        for (line, start) in text.lines().zip(starts) {
            assert!(line.starts_with(start), "{line}");
        }
    }
}
