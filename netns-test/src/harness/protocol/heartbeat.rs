//! Numbers in memory that runner, server, inits and bodies share: that the server goes on, and
//! whether something that is short may come free.
//!
//! A message would not do: a server that is stopped answers none, and an init that waits for a
//! process has nobody to ask.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::sys::process;
use crate::sys::process::Pid;
use crate::sys::process::shared_record;

/// Longest time between two beats of the server while there is a test.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(5);

/// The shared numbers. A body may write anywhere; no verdict depends on them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pulse(&'static [AtomicU32; PLACES]);

/// A page.
const PLACES: usize = 1024;

const BEATS: usize = 0;
const RUNNING: usize = 1;
const ENDED: usize = 2;
const SHORT: usize = 3;
const WAS_SHORT: usize = 4;
const TAKEN: usize = 5;
const FIRST_MARK: usize = 6;

/// Where the body of one test notes that it has begun.
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

impl Pulse {
    /// New ones, for this process and those that are forked from it.
    pub(crate) fn new() -> io::Result<Self> {
        shared_record::shared_numbers().map(Self)
    }

    /// Notes that the server has gone through its loop once more.
    pub(crate) fn beat(self) {
        self.0[BEATS].fetch_add(1, Ordering::Relaxed);
    }

    /// A number that changes with each [`Self::beat`].
    pub(crate) fn beats(self) -> u32 {
        self.0[BEATS].load(Ordering::Relaxed)
    }

    /// Notes how many tests have not ended, and will.
    pub(crate) fn note_running(self, count: usize) {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.0[RUNNING].store(count, Ordering::Relaxed);
    }

    /// Notes that a test has ended, and so something come free.
    pub(crate) fn note_end(self) {
        self.0[ENDED].fetch_add(1, Ordering::Relaxed);
    }

    /// A number that changes when a test ends.
    pub(crate) fn ends(self) -> u32 {
        self.0[ENDED].load(Ordering::Relaxed)
    }

    /// Whether a test waits for something to come free, in a process of its own.
    pub(crate) fn is_short(self) -> bool {
        self.0[SHORT].load(Ordering::Relaxed) > 0
    }

    /// Whether one ever has.
    pub(crate) fn was_short(self) -> bool {
        self.0[WAS_SHORT].load(Ordering::Relaxed) > 0
    }

    /// A mark for the next test. After some thousand tests the first is given out again.
    pub(crate) fn mark(self) -> Mark {
        let count = self.0[TAKEN].fetch_add(1, Ordering::Relaxed) as usize;
        let mark = &self.0[FIRST_MARK + count % (PLACES - FIRST_MARK)];
        mark.store(0, Ordering::Relaxed);
        Mark(mark)
    }

    /// Whether a test runs that does not wait for something to come free itself.
    pub(crate) fn others_run(self) -> bool {
        self.0[RUNNING].load(Ordering::Relaxed) > self.0[SHORT].load(Ordering::Relaxed)
    }

    /// Counts the test of this process among those that wait, until the value is dropped. One that is
    /// killed meanwhile stays among them: then others wait for less time, and never for more.
    pub(crate) fn wait(self) -> Short {
        self.0[WAS_SHORT].store(1, Ordering::Relaxed);
        self.0[SHORT].fetch_add(1, Ordering::Relaxed);
        Short(self, process::id())
    }
}

/// Stands for a test that waits for something to come free, in the process that does.
#[derive(Debug)]
pub(crate) struct Short(Pulse, Pid);

impl Drop for Short {
    fn drop(&mut self) {
        // What it waits for may be a fork: the child has a copy of this value.
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
        let pulse = Pulse::new().unwrap();
        let (first, second) = (pulse.mark(), pulse.mark());
        second.set();
        assert_eq!([first.is_set(), second.is_set()], [false, true]);
        for _ in 0..3 * PLACES {
            assert!(!pulse.mark().is_set());
        }
        assert_eq!(pulse.beats(), 0);
    }

    #[test]
    fn a_test_that_waits_is_none_that_others_can_wait_for() {
        let pulse = Pulse::new().unwrap();
        assert!(!pulse.others_run());
        pulse.note_running(2);
        let (first, second) = (pulse.wait(), pulse.wait());
        assert!(!pulse.others_run());
        drop(first);
        assert!(pulse.others_run());
        pulse.note_running(1);
        assert!(!pulse.others_run());
        // A copy in a child that was forked meanwhile.
        drop(Short(pulse, process::id() + 1));
        assert!(!pulse.others_run());
        drop(second);
        assert!(pulse.others_run());
    }
}
