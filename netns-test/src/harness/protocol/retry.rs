//! Retries with backoff while a resource is short.
//!
//! Dead network namespaces count against `user.max_net_namespaces` until the kernel has freed
//! them, some time after their last process. Processes and descriptors of other tests are released
//! when those end.

use std::borrow::Borrow;
use std::io;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::harness::protocol::heartbeat::Heartbeat;
use crate::sys::errno;

/// Time without progress after which a shortage is an error. The kernel frees thousands of network
/// namespaces in this time.
const LIMIT: Duration = Duration::from_secs(5);

const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// Exponential backoff, up to a longest pause.
#[derive(Debug)]
pub(crate) struct Backoff {
    since: Instant,
    pause: Duration,
}

impl Backoff {
    pub(crate) fn new() -> Self {
        Self { since: Instant::now(), pause: FIRST_PAUSE }
    }

    /// Returns the pause before the next try, or `None` if [`LIMIT`] has passed since `progress`,
    /// the time at which a resource was last released.
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

/// Calls `attempt` until it succeeds, fails for another reason than a shortage, or [`LIMIT`] has
/// passed.
pub(crate) fn retry_shortage<T, E: Borrow<io::Error>>(
    attempt: impl FnMut() -> Result<T, E>,
) -> Result<T, E> {
    retry_while(|| false, attempt)
}

/// As [`retry_shortage`], but the limit does not run while `others_hold` resources.
pub(crate) fn retry_while<T, E: Borrow<io::Error>>(
    mut others_hold: impl FnMut() -> bool,
    mut attempt: impl FnMut() -> Result<T, E>,
) -> Result<T, E> {
    // Most calls succeed at once, and do not read the clock.
    let mut backoff = None;
    loop {
        match attempt() {
            Err(error) if errno::is_shortage(error.borrow()) => {
                let backoff = backoff.get_or_insert_with(Backoff::new);
                match backoff.next_pause(others_hold().then(Instant::now)) {
                    Some(pause) => std::thread::sleep(pause),
                    None => return Err(error),
                }
            }
            other => return other,
        }
    }
}

/// As [`retry_shortage`] in a process of a test: the limit does not run while other tests run or
/// end.
pub(crate) fn retry_beside_tests<T, E: Borrow<io::Error>>(
    heartbeat: Heartbeat,
    attempt: impl FnMut() -> Result<T, E>,
) -> Result<T, E> {
    let mut waits = None;
    let mut ends = heartbeat.ends();
    let others_hold = || {
        waits.get_or_insert_with(|| heartbeat.wait());
        let now = heartbeat.ends();
        std::mem::replace(&mut ends, now) != now || heartbeat.others_run()
    };
    retry_while(others_hold, attempt)
}

/// Counters of this process's test, for [`retry_threads`].
static OWN: OnceLock<Heartbeat> = OnceLock::new();

/// Sets the counters of this process's test.
pub(crate) fn note_heartbeat(heartbeat: Heartbeat) {
    OWN.get_or_init(|| heartbeat);
}

/// Retries as [`retry_beside_tests`], for steps that need threads and descriptors of this process.
/// A full table of descriptors (`EMFILE`) is an error at once: other tests release none of this
/// process.
#[cfg(feature = "tokio")]
pub(crate) fn retry_threads<T>(mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let attempt = || match attempt() {
        Err(error) if errno::is_full_table(&error) => Ok(Err(error)),
        other => other.map(Ok),
    };
    match OWN.get() {
        Some(heartbeat) => retry_beside_tests(*heartbeat, attempt)?,
        None => retry_shortage(attempt)?,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_that_passes_is_waited_out_and_a_refusal_is_not() {
        let mut left = 3;
        let result = retry_shortage(|| {
            left -= 1;
            if left > 0 { Err(io::Error::from_raw_os_error(errno::EAGAIN)) } else { Ok(left) }
        });
        assert_eq!(result.unwrap(), 0);
        let mut tries = 0;
        let refused: io::Result<()> = retry_shortage(|| {
            tries += 1;
            Err(io::Error::from_raw_os_error(errno::EPERM))
        });
        assert_eq!((refused.unwrap_err().raw_os_error(), tries), (Some(errno::EPERM), 1));
    }

    #[test]
    fn pauses_grow_to_a_limit_and_progress_renews_them() {
        let mut backoff = Backoff::new();
        let pauses: Vec<_> = (0..9).filter_map(|_| backoff.next_pause(None)).collect();
        assert_eq!(pauses[..3], [1, 2, 4].map(Duration::from_millis));
        assert_eq!(pauses[8], LONGEST_PAUSE);
        let Some(past) = Instant::now().checked_sub(LIMIT * 2) else { return };
        backoff.since = past;
        assert_eq!(backoff.next_pause(None), None);
        assert!(backoff.next_pause(Some(Instant::now())).is_some());
    }
}
