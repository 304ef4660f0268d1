//! Rate and queue of a direction: a token bucket with a queue before it, in virtual time. Pure.
//!
//! A frame leaves when its last bit is sent at the rate, or as soon as the bucket has tokens for
//! it. Times are computed from earlier times, not measured: so the mean rate is exact, however late
//! a frame is really sent. All arithmetic is exact; only the time of a departure is rounded, up to
//! the next nanosecond, and the rounding does not add up.

use std::collections::VecDeque;

use crate::lab::impair::passage::Nanos;
use crate::lab::plan::impairment::{QueueLimit, RatePlan};

/// Nanoseconds that one byte takes at one bit per second.
const BYTE: u128 = 8_000_000_000;

/// Queue of one direction.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// Time at which the bucket was or will be empty, in nanoseconds times bits per second.
    empty: u128,
    /// Times of departure and lengths of the frames that have not left.
    waiting: VecDeque<(Nanos, u64)>,
    /// Bytes of these frames.
    bytes: u64,
}

/// Fate of a frame at a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Dropped: the queue is full.
    Full,
    /// Leaves at `at`; `is_marked` if the queue before it is longer than the limit for marks.
    Leaves { at: Nanos, is_marked: bool },
}

impl Queue {
    /// Admits a frame of `length` bytes that arrives at `now`, or drops it. Times of arrival do not
    /// go back.
    pub(crate) fn admit(&mut self, plan: &RatePlan, length: u64, now: Nanos) -> Admission {
        self.drain(now);
        let rate = u128::from(plan.bits_per_second.max(1));
        let sent = u128::from(length.saturating_add_signed(plan.overhead.into()).max(1));
        let full = (u128::from(now) * rate).saturating_sub(u128::from(plan.burst) * BYTE);
        let empty = self.empty.max(full) + sent * BYTE;
        let at = now.max(u64::try_from(empty.div_ceil(rate)).unwrap_or(u64::MAX));
        if at > now && !self.has_room(plan.queue, length) {
            return Admission::Full;
        }
        let is_marked = plan.mark_above.is_some_and(|limit| self.bytes + length > limit);
        self.empty = empty;
        if at > now {
            self.waiting.push_back((at, length));
            self.bytes += length;
        }
        Admission::Leaves { at, is_marked: is_marked && at > now }
    }

    /// Changes the rate at `now`. Frames that were admitted leave as planned, and the bucket keeps
    /// its tokens.
    pub(crate) fn change(&mut self, from: &RatePlan, to: &RatePlan, now: Nanos) {
        let [from, to] = [from, to].map(|plan| u128::from(plan.bits_per_second.max(1)));
        let now = u128::from(now);
        self.empty = match (now * from).checked_sub(self.empty) {
            Some(tokens) => (now * to).saturating_sub(tokens),
            None => self.empty.div_ceil(from) * to,
        };
    }

    /// Removes the frames that have left at `now`.
    fn drain(&mut self, now: Nanos) {
        while let Some(&(_, length)) = self.waiting.front().filter(|(at, _)| *at <= now) {
            self.waiting.pop_front();
            self.bytes -= length;
        }
    }

    /// Returns whether a frame has room. An empty queue has room for any frame.
    fn has_room(&self, limit: QueueLimit, length: u64) -> bool {
        let is_below = match limit {
            QueueLimit::Bytes(limit) => self.bytes + length <= limit,
            QueueLimit::Packets(limit) => (self.waiting.len() as u64) < limit,
        };
        self.waiting.is_empty() || is_below
    }
}

#[cfg(test)]
mod tests;
