//! Counters in memory that runner, server, inits and bodies share: the heartbeat of the server,
//! and the tests that hold or lack resources.
//!
//! Messages do not serve for this: a stopped server answers none, and an init that waits for a
//! free process has no peer to ask.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::sys::process;
use crate::sys::process::Pid;
use crate::sys::process::shared_record;

/// Longest time between two beats of the server while there is a test.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(5);

/// Shared counters. A body may write anywhere in memory, so no verdict depends on them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heartbeat(&'static [AtomicU32; PLACES]);

/// Number of counters: one page.
const PLACES: usize = 1024;

const BEATS: usize = 0;
const RUNNING: usize = 1;
const ENDED: usize = 2;
const SHORT: usize = 3;
const SHORTAGES: usize = 4;
const TAKEN: usize = 5;
const OVER: usize = 6;
const FIRST_MARK: usize = 7;

/// Mark of one test, set when its thread runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark(&'static AtomicU32);

impl Mark {
    /// Notes that the test's thread runs.
    pub(crate) fn set(self) {
        self.0.store(1, Ordering::Relaxed);
    }

    pub(crate) fn is_set(self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }
}

impl Heartbeat {
    /// Maps new counters, for this process and those forked from it.
    pub(crate) fn new() -> io::Result<Self> {
        shared_record::shared_numbers().map(Self)
    }

    /// Counts one turn of the server's event loop.
    pub(crate) fn beat(self) {
        self.0[BEATS].fetch_add(1, Ordering::Relaxed);
    }

    /// Returns a number that changes with each [`Self::beat`].
    pub(crate) fn beats(self) -> u32 {
        self.0[BEATS].load(Ordering::Relaxed)
    }

    /// Sets the number of tests that run and will end.
    pub(crate) fn note_running(self, count: usize) {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.0[RUNNING].store(count, Ordering::Relaxed);
    }

    /// Counts the end of a test, which releases its resources.
    pub(crate) fn note_end(self) {
        self.0[ENDED].fetch_add(1, Ordering::Relaxed);
    }

    /// Returns a number that changes when a test ends.
    pub(crate) fn ends(self) -> u32 {
        self.0[ENDED].load(Ordering::Relaxed)
    }

    /// Returns whether the process of a test waits for a resource.
    pub(crate) fn is_short(self) -> bool {
        self.0[SHORT].load(Ordering::Relaxed) > 0
    }

    /// Returns whether the process of a test has ever waited for a resource.
    pub(crate) fn was_short(self) -> bool {
        self.shortages() > 0
    }

    /// Returns a number that changes when the process of a test begins to wait for a resource.
    pub(crate) fn shortages(self) -> u32 {
        self.0[SHORTAGES].load(Ordering::Relaxed)
    }

    /// Notes that the runner ends the server.
    pub(crate) fn note_over(self) {
        self.0[OVER].store(1, Ordering::Release);
    }

    /// Returns whether the runner has ended the server: it has not gone by a signal.
    pub(crate) fn is_over(self) -> bool {
        self.0[OVER].load(Ordering::Acquire) != 0
    }

    /// Returns a mark for the next test. Marks are reused after about a thousand tests.
    pub(crate) fn mark(self) -> Mark {
        let count = self.0[TAKEN].fetch_add(1, Ordering::Relaxed) as usize;
        let mark = &self.0[FIRST_MARK + count % (PLACES - FIRST_MARK)];
        mark.store(0, Ordering::Relaxed);
        Mark(mark)
    }

    /// Returns whether a test runs that does not wait for a resource itself.
    pub(crate) fn others_run(self) -> bool {
        self.0[RUNNING].load(Ordering::Relaxed) > self.0[SHORT].load(Ordering::Relaxed)
    }

    /// Counts the test of this process among the waiting ones, until the guard is dropped. A
    /// process that is killed stays counted: then other tests wait for a shorter time, never for a
    /// longer one.
    pub(crate) fn wait(self) -> Short {
        self.0[SHORTAGES].fetch_add(1, Ordering::Relaxed);
        self.0[SHORT].fetch_add(1, Ordering::Relaxed);
        Short(self, process::id())
    }
}

/// Guard of a test that waits for a resource.
#[derive(Debug)]
pub(crate) struct Short(Heartbeat, Pid);

impl Drop for Short {
    fn drop(&mut self) {
        // The resource may be a process: after the fork the child has a copy of this value.
        if self.1 == process::id() {
            self.0.0[SHORT].fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_of_one_test() {
        let heartbeat = Heartbeat::new().unwrap();
        let (first, second) = (heartbeat.mark(), heartbeat.mark());
        second.set();
        assert_eq!([first.is_set(), second.is_set()], [false, true]);
        for _ in 0..3 * PLACES {
            assert!(!heartbeat.mark().is_set());
        }
        assert_eq!(heartbeat.beats(), 0);
    }

    #[test]
    fn a_test_that_waits_is_none_that_others_can_wait_for() {
        let heartbeat = Heartbeat::new().unwrap();
        assert!(!heartbeat.others_run());
        heartbeat.note_running(2);
        let (first, second) = (heartbeat.wait(), heartbeat.wait());
        assert!(!heartbeat.others_run());
        drop(first);
        assert!(heartbeat.others_run());
        heartbeat.note_running(1);
        assert!(!heartbeat.others_run());
        // The copy of a child that was forked meanwhile.
        drop(Short(heartbeat, process::id() + 1));
        assert!(!heartbeat.others_run());
        drop(second);
        assert!(heartbeat.others_run());
    }
}
