//! How long a shortage is waited out.
//!
//! Dead network namespaces count against `user.max_net_namespaces` until the kernel has
//! taken them down, some time after their last process; processes and descriptors of
//! other tests come free when those end.

use std::borrow::Borrow;
use std::io;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::harness::protocol::heartbeat::Pulse;
use crate::sys::errno;

/// How long nothing may come free before a shortage is an error. The kernel takes down
/// thousands of network namespaces in this time.
const LIMIT: Duration = Duration::from_secs(5);

const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// A wait for something to come free: pauses that double, up to a limit.
#[derive(Debug)]
pub(crate) struct Patience {
    since: Instant,
    pause: Duration,
}

impl Patience {
    pub(crate) fn new() -> Self {
        Self { since: Instant::now(), pause: FIRST_PAUSE }
    }

    /// How long to wait before the next try; `None` when it has been long enough since
    /// `progress`, the last time that something came free.
    pub(crate) fn next_pause(&mut self, progress: Option<Instant>) -> Option<Duration> {
        let since = progress.map_or(self.since, |progress| progress.max(self.since));
        if since.elapsed() > LIMIT {
            return None;
        }
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST_PAUSE);
        Some(pause)
    }
}

/// Tries until it works, fails for another reason than a shortage, or has taken too long.
pub(crate) fn insist<T, E: Borrow<io::Error>>(
    attempt: impl FnMut() -> Result<T, E>,
) -> Result<T, E> {
    insist_while(|| false, attempt)
}

/// The same, but it does not take too long while others hold what they will let go of.
pub(crate) fn insist_while<T, E: Borrow<io::Error>>(
    mut others_hold: impl FnMut() -> bool,
    mut attempt: impl FnMut() -> Result<T, E>,
) -> Result<T, E> {
    // Most need none, and do not look at the clock.
    let mut patience = None;
    loop {
        match attempt() {
            Err(error) if errno::is_shortage(error.borrow()) => {
                let patience = patience.get_or_insert_with(Patience::new);
                match patience.next_pause(others_hold().then(Instant::now)) {
                    Some(pause) => std::thread::sleep(pause),
                    None => return Err(error),
                }
            }
            other => return other,
        }
    }
}

/// The same in a process of a test: while other tests run, and for some time after the last has ended.
pub(crate) fn insist_beside_others<T, E: Borrow<io::Error>>(
    pulse: Pulse,
    attempt: impl FnMut() -> Result<T, E>,
) -> Result<T, E> {
    let mut waits = None;
    let mut ends = pulse.ends();
    let others_hold = || {
        waits.get_or_insert_with(|| pulse.wait());
        let now = pulse.ends();
        std::mem::replace(&mut ends, now) != now || pulse.others_run()
    };
    insist_while(others_hold, attempt)
}

/// The pulse of this process's test, for [`insist_on_threads`].
static PULSE: OnceLock<Pulse> = OnceLock::new();

/// Notes the pulse of the test that this process runs.
pub(crate) fn note_pulse(pulse: Pulse) {
    PULSE.get_or_init(|| pulse);
}

/// Retries as [`insist_beside_others`], for what needs threads and descriptors of this process: of the
/// latter none comes free.
#[cfg(feature = "tokio")]
pub(crate) fn insist_on_threads<T>(mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let attempt = || match attempt() {
        Err(error) if errno::is_full_table(&error) => Ok(Err(error)),
        other => other.map(Ok),
    };
    match PULSE.get() {
        Some(pulse) => insist_beside_others(*pulse, attempt)?,
        None => insist(attempt)?,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_that_passes_is_waited_out_and_a_refusal_is_not() {
        let mut left = 3;
        let result = insist(|| {
            left -= 1;
            if left > 0 { Err(io::Error::from_raw_os_error(libc::EAGAIN)) } else { Ok(left) }
        });
        assert_eq!(result.unwrap(), 0);
        let mut tries = 0;
        let refused: io::Result<()> = insist(|| {
            tries += 1;
            Err(io::Error::from_raw_os_error(libc::EPERM))
        });
        assert_eq!((refused.unwrap_err().raw_os_error(), tries), (Some(libc::EPERM), 1));
    }

    #[test]
    fn pauses_grow_to_a_limit_and_progress_renews_them() {
        let mut patience = Patience::new();
        let pauses: Vec<_> = (0..9).filter_map(|_| patience.next_pause(None)).collect();
        assert_eq!(pauses[..3], [1, 2, 4].map(Duration::from_millis));
        assert_eq!(pauses[8], LONGEST_PAUSE);
        let Some(past) = Instant::now().checked_sub(LIMIT * 2) else { return };
        patience.since = past;
        assert_eq!(patience.next_pause(None), None);
        assert!(patience.next_pause(Some(Instant::now())).is_some());
    }
}
