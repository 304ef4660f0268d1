//! State that the thread of an engine shares with the callers that change its links.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use crate::error::{Failure, Kind, Result};
use crate::lab::impair::emulated::{EmulatedLink, Sent};
use crate::lab::impair::engine::faults::Faults;
use crate::lab::impair::engine::links::{Links, Slot};
use crate::lab::impair::engine::schedule::{Leaving, Schedule};
use crate::lab::impair::passage::{Departure, Nanos};
use crate::sys::errno;
use crate::sys::lock;
use crate::sys::net::packet::PacketSockets;
use crate::sys::process::shared_record::ForkMark;
use crate::sys::timer::{self, Wakeup};

#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    /// Callers that wait for the state. The thread takes turns with them: a lock is not fair.
    waiting: AtomicUsize,
    /// Notified by the thread, when callers may go on, and by callers, when the thread may.
    passed: Condvar,
    /// Notified by the thread after each turn in which it has passed frames on.
    turned: Condvar,
    changed: Condvar,
    pub(crate) sockets: PacketSockets,
    pub(crate) wakeup: Wakeup,
    pub(crate) is_stopping: AtomicBool,
    /// The thread, once it runs.
    pub(crate) thread: OnceLock<ThreadId>,
    /// Slots of the rings for short and for long frames.
    slots: [usize; 2],
    /// Mark of the process that has the thread.
    mark: &'static ForkMark,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) links: Links,
    pub(crate) schedule: Schedule,
    pub(crate) faults: Faults,
    /// Latest time that was passed to a link.
    pub(crate) clock: Nanos,
    pub(crate) progress: Progress,
    /// Turns in which the thread has passed frames on.
    pub(crate) turns: u64,
}

/// Progress of the thread with the frames in the rings.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    count: u64,
    /// Frames that were taken since the count has changed.
    taken: usize,
}

/// Time for which the thread leaves the state to a caller that waits for it.
const TURN: Duration = Duration::from_millis(1);

/// Limit of the wait for the thread.
const LIMIT: Duration = Duration::from_secs(30);

/// Name of the thread (`comm` of proc(5)).
pub(crate) const NAME: &str = "netns-link";

impl Shared {
    pub(crate) fn new(sockets: PacketSockets, slots: [usize; 2]) -> Result<Self, Failure> {
        let failure = |error| errno::failure("start", "the engine of impaired links", &error);
        Ok(Self {
            state: Mutex::default(),
            waiting: AtomicUsize::new(0),
            passed: Condvar::new(),
            turned: Condvar::new(),
            changed: Condvar::new(),
            sockets,
            wakeup: Wakeup::new().map_err(failure)?,
            is_stopping: AtomicBool::new(false),
            thread: OnceLock::new(),
            slots,
            mark: ForkMark::of_this_process().map_err(failure)?,
        })
    }

    /// Returns whether this process has the thread. A child that was forked has a copy of the
    /// state, whose lock may be held by a thread that does not exist there.
    pub(crate) fn is_here(&self) -> bool {
        self.mark.is_here()
    }

    /// Returns whether the caller is the thread: the closure of a rule.
    pub(crate) fn is_own_thread(&self) -> bool {
        self.thread.get() == Some(&std::thread::current().id())
    }

    /// Locks the state for the thread.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        lock::lock(&self.state)
    }

    /// Releases the state of the thread; first to callers, if there are some that may go on.
    pub(crate) fn give_way(&self, state: MutexGuard<'_, State>) {
        if self.waiting.load(Ordering::Acquire) > 0 {
            self.passed.notify_all();
            drop(lock::wait_timeout(&self.changed, state, TURN));
        }
    }

    /// Counts a turn in which frames were passed on.
    pub(crate) fn note_turn(&self, state: &mut State) {
        state.turns += 1;
        self.turned.notify_all();
    }

    /// Returns the number of turns in which frames were passed on. First waits for another number
    /// than the known one, if there is one, at most for this time.
    pub(crate) fn turns(&self, wait: Option<(u64, Duration)>) -> Result<u64> {
        self.check_caller()?;
        let mut state = lock::lock(&self.state);
        let Some((known, limit)) = wait else { return Ok(state.turns) };
        let until = Instant::now().checked_add(limit);
        while state.turns == known && state.faults.ended.is_none() {
            let left = until.map_or(LIMIT, |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                break;
            }
            state = lock::wait_timeout(&self.turned, state, left);
        }
        Ok(state.turns)
    }

    /// Runs `change` while the thread passes no frames.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> Result<T> {
        self.check_caller()?;
        self.waiting.fetch_add(1, Ordering::AcqRel);
        let mut state = lock::lock(&self.state);
        self.waiting.fetch_sub(1, Ordering::AcqRel);
        let result = change(&mut state);
        drop(state);
        self.changed.notify_one();
        Ok(result)
    }

    /// Runs `change` when the thread has passed on all frames that came before the call.
    fn change_after_frames<T>(&self, change: impl FnOnce(&mut State) -> T) -> Result<T> {
        self.check_caller()?;
        self.waiting.fetch_add(1, Ordering::AcqRel);
        let awaited = self.await_frames();
        self.waiting.fetch_sub(1, Ordering::AcqRel);
        let result = awaited.map(|mut state| change(&mut state));
        self.changed.notify_one();
        Ok(result?)
    }

    fn await_frames(&self) -> Result<MutexGuard<'_, State>, Failure> {
        let deadline = Instant::now() + LIMIT;
        let mut state = lock::lock(&self.state);
        let goal = state.progress.goal();
        self.wake()?;
        while state.progress.count < goal && state.faults.ended.is_none() {
            self.changed.notify_one();
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let reason = format!("the thread {NAME} has not run for {LIMIT:?}");
                return Err(Failure::new("change", "an impaired link", reason).of(Kind::Timeout));
            }
            state = lock::wait_timeout(&self.passed, state, left);
        }
        Ok(state)
    }

    fn check_caller(&self) -> Result<(), Failure> {
        let refuse = |reason: &str| Failure::new("change", "an impaired link", reason);
        if !self.is_here() {
            let failure = refuse("this process was forked from the one that has the lab");
            return Err(failure.advise("change links in the process that has built the lab"));
        }
        if self.is_own_thread() {
            let failure = refuse("a packet is being judged, on this thread");
            return Err(failure.advise("do not use the lab in the closure of a rule"));
        }
        Ok(())
    }

    fn wake(&self) -> Result<(), Failure> {
        let woken = self.wakeup.wake();
        woken.map_err(|error| errno::failure("wake", "the thread of impaired links", &error))
    }

    /// Changes links at one time, after the frames that came before the call, and schedules what
    /// that sets free. Returns the results in the same order.
    pub(crate) fn change_links<T>(
        &self,
        slots: &[Slot],
        mut change: impl FnMut(usize, &mut EmulatedLink, Nanos, &mut Vec<Departure<'static>>) -> T,
    ) -> Result<Vec<T>> {
        let mut departures = Vec::new();
        let (results, is_new) = self.change_after_frames(|state| {
            state.clock = state.clock.max(timer::monotonic());
            let (mut results, mut is_new) = (Vec::with_capacity(slots.len()), false);
            for (at, &Slot(number)) in slots.iter().enumerate() {
                let link = state.links.link(number);
                results.push(change(at, link, state.clock, &mut departures));
                is_new |= !departures.is_empty();
                for departure in departures.drain(..) {
                    state.add(Leaving { link: number, departure });
                }
            }
            state.links.show_changed();
            (results, is_new)
        })?;
        if is_new {
            self.wake()?;
        }
        Ok(results)
    }

    /// Describes the faults; `None` in a process that does not have the thread.
    pub(crate) fn trouble(&self) -> Option<String> {
        if !self.is_here() {
            return None;
        }
        let drops = self.sockets.take_drops();
        let describe = |state: &mut State| {
            match drops {
                Ok(drops) => state.faults.overflowed += drops,
                Err(error) => {
                    let reason = format!("read lost frames: {}", errno::describe(&error));
                    state.faults.ended.get_or_insert(reason);
                }
            }
            state.faults.describe(&state.links, self.slots)
        };
        self.change(describe).ok()?
    }
}

impl State {
    /// Adds a departure to the schedule.
    pub(crate) fn add(&mut self, leaving: Leaving<'static>) {
        if let Err(Leaving { link, departure }) = self.schedule.add(leaving) {
            self.faults.discarded.note(link);
            self.links.link(link).sent(&departure, departure.due, Sent::Undeliverable);
        }
    }
}

impl Progress {
    /// Notes the frames that were taken and passed on from rings of `slots`, and whether none was
    /// left. Returns whether that may have been a goal.
    pub(crate) fn note(&mut self, frames: usize, slots: usize, none_is_left: bool) -> bool {
        self.taken += frames;
        // After twice as many frames as there are slots, those of the first half are passed on.
        let step = if none_is_left { 2 } else { u64::from(self.taken >= slots) };
        if step > 0 {
            (self.count, self.taken) = (self.count + step, 0);
        }
        step > 0
    }

    /// Returns the count at which all frames are passed on that are in the rings now.
    fn goal(&self) -> u64 {
        self.count + 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_an_empty_ring_or_two_full_ones() {
        let mut progress = Progress::default();
        let goal = progress.goal();
        assert!(!progress.note(239, 240, false) && progress.count < goal);
        assert!(progress.note(1, 240, false) && progress.count < goal);
        assert!(progress.note(240, 240, false) && progress.count >= goal);
        let goal = progress.goal();
        assert!(progress.note(0, 240, true) && progress.count >= goal);
    }
}
