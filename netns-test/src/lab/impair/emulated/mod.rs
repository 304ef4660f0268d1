//! A link with impairments in both directions: frames and times in, frames and times out. Pure.

use crate::lab::impair::hash::Seed;
use crate::lab::impair::passage::{Arrival, Departure, Direction, Nanos};
use crate::lab::impair::stats::{DirectionStats, Lost};
use crate::lab::plan::impairment::ImpairmentPlan;

/// Model of a link. Its time is that of the frames, and never goes back.
#[derive(Debug)]
pub(crate) struct EmulatedLink {
    stats: [DirectionStats; 2],
}

/// How the sending of a departure ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    Ok,
    /// The receiving end is down or gone.
    Undeliverable,
}

/// Packets that the loss has taken.
#[derive(Clone, Debug, Default)]
pub(crate) struct Losses {
    /// Losses in order of arrival; the field `from` of `Lost` is empty.
    pub(crate) last: Vec<(Direction, Lost)>,
    /// Losses before these, which are no longer listed.
    pub(crate) earlier: u64,
}

impl EmulatedLink {
    /// Makes the model of the link with this name, whose ends have this MTU.
    pub(crate) fn new(_seed: Seed, _name: &str, _plans: [ImpairmentPlan; 2], _mtu: u32) -> Self {
        Self { stats: Default::default() }
    }

    /// Passes a frame on: appends its departures, if any, to `out`.
    ///
    /// A frame that is not changed is borrowed. The caller reports the end of each departure by
    /// [`EmulatedLink::sent`].
    pub(crate) fn pass<'a>(
        &mut self,
        direction: Direction,
        arrival: Arrival<'a>,
        out: &mut Vec<Departure<'a>>,
    ) {
        let Arrival { bytes, offload, at } = arrival;
        out.push(Departure { direction, due: at, bytes: bytes.into(), offload });
    }

    /// Changes the impairments of a direction, for all frames that arrive from now on.
    pub(crate) fn set(&mut self, _direction: Direction, _plan: ImpairmentPlan, _now: Nanos) {}

    /// Keeps all frames that arrive from now on, until [`EmulatedLink::release`].
    pub(crate) fn hold(&mut self, _direction: Direction) {}

    /// Ends a hold: passes all frames that were held on, in their order, as if they arrived now.
    pub(crate) fn release(
        &mut self,
        _direction: Direction,
        _now: Nanos,
        _out: &mut Vec<Departure<'static>>,
    ) {
    }

    /// Counts a departure that the caller has sent, or could not send.
    pub(crate) fn sent(&mut self, _departure: &Departure<'_>, _at: Nanos, _end: Sent) {}

    /// Returns the counters of both directions.
    pub(crate) fn stats(&self) -> [DirectionStats; 2] {
        self.stats.clone()
    }

    /// Returns the packets that the loss has taken.
    pub(crate) fn losses(&self) -> Losses {
        Losses::default()
    }
}
