//! Delay, jitter and reordering of a direction. Pure.

use std::time::Duration;

use crate::lab::impair::passage::Nanos;
use crate::lab::plan::impairment::ImpairmentPlan;

/// Delay line of one direction.
#[derive(Debug, Default)]
pub(crate) struct DelayLine {
    /// Latest time at which a packet leaves that is not reordered.
    last: Nanos,
}

impl DelayLine {
    /// Returns when a packet leaves that enters at `now`, for a draw of its jitter.
    ///
    /// The delay is uniform in `delay ± jitter`, in whole nanoseconds. A packet does not leave
    /// before one that entered earlier: it leaves with it at the earliest.
    pub(crate) fn leave(&mut self, plan: &ImpairmentPlan, now: Nanos, draw: u64) -> Nanos {
        let [delay, jitter] = [plan.delay, plan.jitter].map(nanos);
        let width = u128::from(jitter) * 2 + 1;
        let deviation = ((u128::from(draw) * width) >> 64) as u64;
        let due = now.saturating_add(delay).saturating_add(deviation).saturating_sub(jitter);
        self.last = self.last.max(due).max(now);
        self.last
    }

    /// Returns whether a packet that leaves at `now` leaves before an earlier one.
    pub(crate) fn is_overtaken(&self, now: Nanos) -> bool {
        now < self.last
    }
}

fn nanos(duration: Duration) -> Nanos {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
