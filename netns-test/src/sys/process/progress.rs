//! Progress of a test's process, in memory that its init reads too.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// Last stage that a process has reached, and the time at which its test began.
#[derive(Debug)]
pub(crate) struct Progress {
    stage: AtomicU32,
    /// Nanoseconds of the monotonic clock; 0 before the beginning.
    began: AtomicU64,
}

impl Progress {
    /// Notes the stage with this number.
    pub(crate) fn reach(&self, stage: u32) {
        self.stage.store(stage, Ordering::Release);
    }

    /// Notes that the test begins now, in the stage with this number. Only the first call has an
    /// effect.
    pub(crate) fn begin(&self, stage: u32) {
        let now = u64::try_from(now().as_nanos()).unwrap_or(u64::MAX).max(1);
        let begun = self.began.compare_exchange(0, now, Ordering::AcqRel, Ordering::Relaxed);
        if begun.is_ok() {
            self.reach(stage);
        }
    }

    /// Returns the number of the last stage.
    pub(crate) fn stage(&self) -> u32 {
        self.stage.load(Ordering::Acquire)
    }

    /// Returns the time at which the test began, by [`now`]; `None` before that.
    pub(crate) fn began(&self) -> Option<Duration> {
        let began = self.began.load(Ordering::Acquire);
        (began != 0).then(|| Duration::from_nanos(began))
    }
}

/// Reads the monotonic clock, whose times can be compared between processes of the machine. (An
/// `std::time::Instant` cannot be passed to another process.)
pub(crate) fn now() -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the C library writes one `timespec` to the live variable. The clock exists on every
    // Linux, so this cannot fail.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_begins_once() {
        let progress = Progress { stage: AtomicU32::new(0), began: AtomicU64::new(0) };
        progress.reach(3);
        assert_eq!((progress.stage(), progress.began()), (3, None));
        progress.begin(5);
        let began = progress.began();
        assert!(began.is_some_and(|began| began <= now()));
        progress.begin(5);
        assert_eq!((progress.stage(), progress.began()), (5, began));
    }
}
