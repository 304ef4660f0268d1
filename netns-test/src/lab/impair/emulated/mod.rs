//! A link with impairments in both directions: frames and times in, frames and times out. Pure.
//!
//! The stages of a direction, in order: rules, hold, loss, corruption, duplication, rate and queue,
//! delay and jitter, reordering. A frame that stands for several packets is divided only where a
//! stage needs that. A frame that nothing changes is passed on without a copy.

mod alter;
mod fate;
pub(crate) mod held;
mod item;
pub(crate) mod losses;
#[cfg(test)]
mod tests;
pub(crate) mod trace;
mod way;

use crate::capture::recorder::{Record, Recorder};
use crate::lab::impair::emulated::held::Hold;
use crate::lab::impair::emulated::item::Item;
use crate::lab::impair::emulated::losses::Losses;
use crate::lab::impair::emulated::trace::Trace;
use crate::lab::impair::emulated::way::{Shared, Way};
use crate::lab::impair::hash::{LinkKey, Seed};
use crate::lab::impair::passage::{Arrival, Departure, Direction, Nanos};
use crate::lab::impair::rule::rules::Rules;
use crate::lab::impair::stats::DirectionStats;
use crate::lab::plan::impairment::ImpairmentPlan;

/// Model of a link. Its time is that of the frames, and does not go back.
#[derive(Debug)]
pub(crate) struct EmulatedLink {
    ways: [Way; 2],
    shared: Shared,
    /// Frames at both ends, if they are recorded.
    recorder: Option<Recorder>,
}

/// State of a direction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'a> {
    pub(crate) stats: &'a DirectionStats,
    pub(crate) trace: &'a Trace,
    pub(crate) is_held: bool,
}

/// How the sending of a departure ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    Ok,
    /// The receiving end is down or gone.
    Undeliverable,
}

impl EmulatedLink {
    /// Creates the model of the link with this name, whose ends have this MTU.
    pub(crate) fn new(seed: Seed, name: &str, plans: [ImpairmentPlan; 2], mtu: u32) -> Self {
        let [forth, back] = plans;
        let way =
            |direction, plan| Way::new(direction, plan, LinkKey::new(seed, direction, name), mtu);
        let ways = [way(Direction::Forth, forth), way(Direction::Back, back)];
        Self { ways, shared: Shared::default(), recorder: None }
    }

    /// Records all frames at both ends from now on.
    pub(crate) fn record_by(&mut self, recorder: Recorder) {
        self.recorder = Some(recorder);
    }

    /// Returns the records of both ends, if frames are recorded.
    pub(crate) fn records(&self) -> Option<[Record; 2]> {
        let recorder = self.recorder.as_ref()?;
        Some([0, 1].map(|end| recorder.record(end).clone()))
    }

    /// Passes a frame on: appends its departures, if any, to `out`.
    ///
    /// A frame that is not changed is borrowed. The caller reports the end of each departure by
    /// [`EmulatedLink::sent`], also of those that it discards.
    pub(crate) fn pass<'a>(
        &mut self,
        direction: Direction,
        Arrival { bytes, offload, at }: Arrival<'a>,
        out: &mut Vec<Departure<'a>>,
    ) {
        let recorder = self.recorder.as_mut();
        let of = recorder.map(|one| one.enter(direction.index(), at, offload.encode(), bytes));
        let item = Item { offload, of, ..Item::new(bytes.into(), at) };
        let answers = self.ways[direction.index()].enter(item, &mut self.shared, out);
        for answer in answers {
            self.ways[direction.reversed().index()].inject(answer, at, out);
        }
        self.note_marks();
    }

    /// Takes what has become of packets over to the record.
    fn note_marks(&mut self) {
        let Some(recorder) = &mut self.recorder else { return };
        for (end, way) in self.ways.iter_mut().enumerate() {
            for (of, is_dropped, text) in way.take_marks() {
                recorder.mark(end, of, is_dropped, text);
            }
        }
    }

    /// Changes the impairments of a direction, for all frames that arrive from now on. Those that
    /// are in the queue or delayed leave as planned.
    pub(crate) fn set(&mut self, direction: Direction, plan: ImpairmentPlan, now: Nanos) {
        self.ways[direction.index()].set(plan, now);
    }

    /// Returns the impairments of a direction.
    pub(crate) fn plan(&self, direction: Direction) -> &ImpairmentPlan {
        &self.ways[direction.index()].plan
    }

    /// Returns the rules of a direction.
    pub(crate) fn rules(&mut self, direction: Direction) -> &mut Rules {
        &mut self.ways[direction.index()].rules
    }

    /// Holds all frames that arrive from now on, until [`EmulatedLink::release`].
    pub(crate) fn hold(&mut self, direction: Direction) {
        self.ways[direction.index()].hold(None);
    }

    /// Holds the frames of a direction that are in `hold`, until [`EmulatedLink::lift`].
    pub(crate) fn add_hold(&mut self, direction: Direction, hold: Hold) {
        self.ways[direction.index()].hold(Some(hold));
    }

    /// Ends the hold with this number in both directions, or all with a number. Frames that nothing
    /// else holds go on in their order, as if they arrived now.
    pub(crate) fn lift(
        &mut self,
        number: Option<u64>,
        now: Nanos,
        out: &mut Vec<Departure<'static>>,
    ) {
        self.ways.iter_mut().for_each(|way| way.lift(number, now, &mut self.shared, out));
        self.note_marks();
    }

    /// Returns whether frames of a direction are to be held.
    pub(crate) fn is_held(&self, direction: Direction) -> bool {
        self.ways[direction.index()].is_held()
    }

    /// Ends a hold of all frames and the holds of rules: what no other hold holds goes on, in its
    /// order, as if it arrived now.
    pub(crate) fn release(
        &mut self,
        direction: Direction,
        now: Nanos,
        out: &mut Vec<Departure<'static>>,
    ) {
        self.ways[direction.index()].release(now, &mut self.shared, out);
        self.note_marks();
    }

    /// Counts a departure that the caller has sent, or could not send, at the time `at`.
    pub(crate) fn sent(&mut self, departure: &Departure<'_>, at: Nanos, end: Sent) {
        self.ways[departure.direction.index()].sent(departure, at, end == Sent::Ok);
        if let (Some(recorder), Sent::Ok) = (&mut self.recorder, end) {
            let frame = (departure.offload.encode(), &*departure.bytes);
            recorder.deliver(departure.direction.reversed().index(), at, departure.of, frame);
        }
        self.note_marks();
    }

    /// Returns the counters of both directions.
    pub(crate) fn stats(&self) -> [DirectionStats; 2] {
        [&self.ways[0], &self.ways[1]].map(|way| way.stats.clone())
    }

    /// Returns the state of a direction.
    pub(crate) fn seen(&self, direction: Direction) -> Seen<'_> {
        let way = &self.ways[direction.index()];
        Seen { stats: &way.stats, trace: &way.trace, is_held: way.is_held() }
    }

    /// Returns the state of a direction if it may have changed since the last call.
    pub(crate) fn take_changed(&mut self, direction: Direction) -> Option<Seen<'_>> {
        self.ways[direction.index()].take_changed().then(|| self.seen(direction))
    }

    /// Returns the packets that the loss has taken.
    pub(crate) fn losses(&self) -> &Losses {
        &self.shared.losses
    }
}
