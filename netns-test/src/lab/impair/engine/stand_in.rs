//! A link that passes everything on, in place of the model until that has landed. Pure.

use std::borrow::Cow;
use std::time::Duration;

use crate::lab::impair::passage::{Arrival, Departure, Direction, Nanos};
use crate::lab::impair::stats::DirectionStats;

/// Outcome of a departure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    Ok,
    /// The receiving end is down or gone.
    Undeliverable,
}

#[derive(Debug, Default)]
pub(crate) struct EmulatedLink {
    pub(crate) delays: [Nanos; 2],
    stats: [DirectionStats; 2],
}

impl EmulatedLink {
    pub(crate) fn pass<'a>(
        &mut self,
        direction: Direction,
        arrival: Arrival<'a>,
        out: &mut Vec<Departure<'a>>,
    ) {
        let stats = &mut self.stats[direction.index()];
        (stats.received, stats.in_transit) = (stats.received + 1, stats.in_transit + 1);
        let due = arrival.at + self.delays[direction.index()];
        let (bytes, offload) = (Cow::Borrowed(arrival.bytes), arrival.offload);
        out.push(Departure { direction, due, bytes, offload });
    }

    pub(crate) fn sent(&mut self, departure: &Departure<'_>, at: Nanos, outcome: Sent) {
        let stats = &mut self.stats[departure.direction.index()];
        stats.in_transit -= 1;
        stats.sent += u64::from(outcome == Sent::Ok);
        stats.undeliverable += u64::from(outcome != Sent::Ok);
        stats.latest = stats.latest.max(Duration::from_nanos(at.saturating_sub(departure.due)));
    }

    pub(crate) fn stats(&self) -> [DirectionStats; 2] {
        self.stats.clone()
    }
}
