//! The stages of one direction of a link. Pure.

use std::borrow::Cow;
use std::ops::Range;
use std::time::Duration;

use crate::capture::recorder::Part;
use crate::lab::impair::delay::DelayLine;
use crate::lab::impair::emulated::alter;
use crate::lab::impair::emulated::fate::{Fate, Fates};
use crate::lab::impair::emulated::held::{Held, Hold};
use crate::lab::impair::emulated::item::{Amount, Item};
use crate::lab::impair::emulated::losses::Losses;
use crate::lab::impair::emulated::trace::{By, Trace};
use crate::lab::impair::flow::table::Flows;
use crate::lab::impair::frame::Frame;
use crate::lab::impair::gso;
use crate::lab::impair::hash::LinkKey;
use crate::lab::impair::passage::{Departure, Direction, Nanos};
use crate::lab::impair::queue::{Admission, Queue};
use crate::lab::impair::rule::judgement::{self, Injected, Judgement};
use crate::lab::impair::rule::rules::Rules;
use crate::lab::impair::stats::DirectionStats;
use crate::lab::plan::impairment::ImpairmentPlan;
use crate::lab::topology::quantity::Probability;

/// One direction of a link.
#[derive(Debug)]
pub(super) struct Way {
    direction: Direction,
    pub(super) plan: ImpairmentPlan,
    pub(super) rules: Rules,
    pub(super) stats: DirectionStats,
    held: Held,
    pub(super) trace: Trace,
    /// Fates of recorded packets since the last call of `take_marks`.
    marks: Vec<(Part, bool, String)>,
    /// Whether what is seen of it may have changed.
    is_changed: bool,
    fates: Fates,
    queue: Queue,
    delay: DelayLine,
}

/// State that both directions share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) flows: Flows,
    pub(super) losses: Losses,
}

impl Way {
    pub(super) fn new(direction: Direction, plan: ImpairmentPlan, key: LinkKey, mtu: u32) -> Self {
        Self {
            direction,
            plan,
            rules: Rules::default(),
            stats: DirectionStats::default(),
            held: Held::default(),
            trace: Trace::default(),
            marks: Vec::new(),
            is_changed: true,
            fates: Fates::new(direction, key, mtu),
            queue: Queue::default(),
            delay: DelayLine::default(),
        }
    }

    pub(super) fn set(&mut self, plan: ImpairmentPlan, now: Nanos) {
        if let (Some(from), Some(to)) = (&self.plan.rate, &plan.rate) {
            self.queue.change(from, to, now);
        }
        self.plan = plan;
    }

    /// Holds all frames, or those of a hold.
    pub(super) fn hold(&mut self, hold: Option<Hold>) {
        self.is_changed = true;
        match hold {
            None => self.held.is_all = true,
            Some(hold) => self.held.holds.push(hold),
        }
    }

    /// Takes what has become of recorded packets: whether it was dropped, and the reason.
    pub(super) fn take_marks(&mut self) -> Vec<(Part, bool, String)> {
        std::mem::take(&mut self.marks)
    }

    /// Notes what has become of a packet, if it is recorded.
    fn mark(&mut self, of: Option<Part>, is_dropped: bool, text: impl FnOnce(&Self) -> String) {
        if let Some(of) = of {
            self.marks.push((of, is_dropped, text(self)));
        }
    }

    /// Returns whether what is seen of it may have changed since the last call.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.is_changed)
    }

    /// Returns whether frames are to be held.
    pub(super) fn is_held(&self) -> bool {
        self.held.is_all || !self.held.holds.is_empty()
    }

    /// Ends the hold of all frames and of rules, and passes on what no other hold holds, as if it
    /// arrived now.
    pub(super) fn release(
        &mut self,
        now: Nanos,
        shared: &mut Shared,
        out: &mut Vec<Departure<'static>>,
    ) {
        self.held.is_all = false;
        self.let_go(true, now, shared, out);
    }

    /// Ends the hold with this number, or each with a number, in the same way.
    pub(super) fn lift(
        &mut self,
        number: Option<u64>,
        now: Nanos,
        shared: &mut Shared,
        out: &mut Vec<Departure<'static>>,
    ) {
        self.held.holds.retain(|hold| number.is_some_and(|number| number != hold.number));
        self.let_go(false, now, shared, out);
    }

    fn let_go(
        &mut self,
        with_rules: bool,
        now: Nanos,
        shared: &mut Shared,
        out: &mut Vec<Departure<'static>>,
    ) {
        self.is_changed = true;
        for item in self.held.let_go(with_rules) {
            let packets = item.amount().packets;
            self.stats.in_transit -= packets;
            self.trace.let_go(&Frame::parse(&item.bytes), packets);
            self.impair(Item { at: now, ..item }, shared, out);
        }
    }

    /// Takes a frame that comes in through all stages. Returns the packets that rules answer with.
    pub(super) fn enter<'a>(
        &mut self,
        item: Item<'a>,
        shared: &mut Shared,
        out: &mut Vec<Departure<'a>>,
    ) -> Vec<Injected> {
        self.is_changed = true;
        let amount = item.amount();
        self.stats.received += amount.packets;
        self.stats.received_bytes += amount.bytes;
        let mut answers = Vec::new();
        if !self.rules.may_match(&Frame::parse(&item.bytes)) {
            self.go_on(item, shared, out);
        } else if item.is_unfinished() {
            for item in item.to_wire() {
                self.follow_rules(item, shared, out, &mut answers);
            }
        } else {
            self.follow_rules(item, shared, out, &mut answers);
        }
        answers
    }

    /// Passes on a packet that the link itself has made. It is neither lost nor queued.
    pub(super) fn inject(&mut self, injected: Injected, at: Nanos, out: &mut Vec<Departure<'_>>) {
        self.is_changed = true;
        self.stats.injected += 1;
        let item = Item::new(injected.bytes.into(), at);
        if self.held.takes(&item) {
            return self.keep(item, false);
        }
        // The middle of the range is a jitter of 0. An answer overtakes what is on its way.
        let due = if injected.is_answer { at } else { self.delay.leave(&self.plan, at, 1 << 63) };
        self.depart(item, due, out);
    }

    fn follow_rules<'a>(
        &mut self,
        mut item: Item<'a>,
        shared: &mut Shared,
        out: &mut Vec<Departure<'a>>,
        answers: &mut Vec<Injected>,
    ) {
        let at = item.at;
        let Judgement { fate, injected, by } = self.rules.judge(&Frame::parse(&item.bytes), at);
        match fate {
            judgement::Fate::Pass => {}
            judgement::Fate::Drop => {
                self.stats.dropped_by_rule += 1;
                self.trace.stop(&Frame::parse(&item.bytes), By::Rule, 1);
                self.mark(item.of, true, |_| by);
            }
            judgement::Fate::Hold => self.keep(item.clone(), true),
            judgement::Fate::Delay(extra) => item.extra = extra,
            judgement::Fate::Duplicate(copies) => {
                for _ in 0..copies {
                    self.stats.duplicated += 1;
                    self.go_on(item.clone(), shared, out);
                }
            }
            judgement::Fate::Replace(ref bytes) => {
                self.stats.corrupted += 1;
                item.bytes = Cow::Owned(bytes.clone());
            }
        }
        if !matches!(fate, judgement::Fate::Drop | judgement::Fate::Hold) {
            self.go_on(item, shared, out);
        }
        for injected in injected {
            if injected.is_answer {
                answers.push(injected);
            } else {
                self.inject(injected, at, out);
            }
        }
    }

    /// Passes a frame that no rule has kept on, or holds it.
    fn go_on<'a>(&mut self, item: Item<'a>, shared: &mut Shared, out: &mut Vec<Departure<'a>>) {
        if self.held.takes(&item) {
            self.keep(item, false);
        } else {
            self.impair(item, shared, out);
        }
    }

    fn keep(&mut self, item: Item<'_>, is_by_rule: bool) {
        let packets = item.amount().packets;
        let has_room = self.held.has_room(&item);
        let by = if has_room { By::Hold } else { By::Queue };
        self.trace.stop(&Frame::parse(&item.bytes), by, packets);
        self.mark(item.of, !has_room, |_| {
            let reason =
                if has_room { "held" } else { "dropped: held packets need too much memory" };
            reason.to_owned()
        });
        if has_room {
            self.held.keep(item, is_by_rule);
            self.stats.in_transit += packets;
        } else {
            self.stats.dropped_by_queue += packets;
        }
    }

    /// Takes a frame through the random stages, as packets if a stage needs these.
    fn impair<'a>(&mut self, item: Item<'a>, shared: &mut Shared, out: &mut Vec<Departure<'a>>) {
        if item.offload.segmentation.is_some() && needs_wire(&self.plan) {
            item.to_wire().for_each(|item| self.judge(item, shared, out));
        } else {
            self.judge(item, shared, out);
        }
    }

    fn judge<'a>(
        &mut self,
        item: Item<'a>,
        Shared { flows, losses }: &mut Shared,
        out: &mut Vec<Departure<'a>>,
    ) {
        let frame = Frame::parse(&item.bytes);
        let fate = self.fates.judge(&self.plan, &frame, &item.offload, flows, losses);
        self.stats.lost += fate.lost.len() as u64;
        if fate.lost.is_empty() {
            return self.alter(item, &fate, out);
        }
        self.trace.stop(&frame, By::Loss, fate.lost.len() as u64);
        for part in &fate.lost {
            self.mark(item.part_at(part.start), true, |way| format!("lost: {}", way.plan));
        }
        let parts = gso::segments(&frame, &item.offload);
        for part in runs(parts, &fate.lost) {
            let of = item.part_at(part.start);
            let (bytes, offload) = gso::cut(&frame, &item.offload, part);
            self.alter(Item { bytes: Cow::Owned(bytes), offload, of, ..item }, &fate, out);
        }
    }

    /// Corrupts and duplicates a frame that is not lost.
    fn alter<'a>(&mut self, mut item: Item<'a>, fate: &Fate, out: &mut Vec<Departure<'a>>) {
        if let Some(draw) = fate.flipped {
            // A partial checksum would be completed over the flipped bit.
            if item.is_unfinished() {
                item = item.to_wire().next().unwrap_or(item);
            }
            alter::flip(item.bytes.to_mut(), draw);
            self.stats.corrupted += 1;
        }
        if fate.is_duplicated {
            self.stats.duplicated += 1;
            self.pace(item.clone(), fate, out);
        }
        self.pace(item, fate, out);
    }

    /// Takes a frame through queue and delay.
    fn pace<'a>(&mut self, mut item: Item<'a>, fate: &Fate, out: &mut Vec<Departure<'a>>) {
        let Some(at) = self.queue(&mut item) else {
            self.stats.dropped_by_queue += 1;
            self.trace.stop(&Frame::parse(&item.bytes), By::Queue, 1);
            self.mark(item.of, true, |way| format!("queue full: {}", way.plan));
            return;
        };
        let due = if fate.is_reordered {
            self.stats.reordered += u64::from(self.delay.is_overtaken(at));
            at
        } else {
            self.delay.leave(&self.plan, at, fate.jitter)
        };
        self.depart(item, due, out);
    }

    /// Returns when a frame leaves the queue, or `None` if the queue is full.
    fn queue(&mut self, item: &mut Item<'_>) -> Option<Nanos> {
        let Some(rate) = &self.plan.rate else { return Some(item.at) };
        match self.queue.admit(rate, item.bytes.len() as u64, item.at) {
            Admission::Full => None,
            Admission::Leaves { at, is_marked } => {
                if is_marked && alter::mark_ce(&mut item.bytes) {
                    self.stats.marked += 1;
                }
                Some(at)
            }
        }
    }

    fn depart<'a>(&mut self, item: Item<'a>, due: Nanos, out: &mut Vec<Departure<'a>>) {
        self.stats.in_transit += item.amount().packets;
        let due = due.saturating_add(item.extra.as_nanos().try_into().unwrap_or(u64::MAX));
        let Item { bytes, offload, of, .. } = item;
        out.push(Departure { direction: self.direction, due, bytes, offload, of });
    }

    /// Counts a departure that was sent at `at`, or could not be sent.
    pub(super) fn sent(&mut self, departure: &Departure<'_>, at: Nanos, is_delivered: bool) {
        self.is_changed = true;
        let Amount { packets, bytes } = Amount::of(&departure.bytes, &departure.offload);
        self.stats.in_transit = self.stats.in_transit.saturating_sub(packets);
        if !is_delivered {
            self.stats.undeliverable += packets;
            self.mark(departure.of, true, |_| "not delivered: the far end is down".to_owned());
            return;
        }
        self.trace.pass(&Frame::parse(&departure.bytes));
        self.stats.sent += packets;
        self.stats.sent_bytes += bytes;
        let late = Duration::from_nanos(at.saturating_sub(departure.due));
        self.stats.latest = self.stats.latest.max(late);
    }
}

/// Returns whether a stage treats each packet of a frame by itself. Loss does so without dividing
/// the rest.
fn needs_wire(plan: &ImpairmentPlan) -> bool {
    let probabilities = [plan.corrupt, plan.duplicate];
    plan.rate.is_some()
        || plan.reorder.is_some()
        || probabilities.iter().any(|one| *one != Probability::NEVER)
}

/// Returns the parts that are not lost, adjacent ones as one. `lost` has some of the parts, in
/// their order.
fn runs(parts: impl Iterator<Item = Range<usize>>, lost: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut lost = lost.iter().peekable();
    let mut runs: Vec<Range<usize>> = Vec::new();
    for part in parts {
        if lost.next_if(|lost| lost.start == part.start).is_some() {
            continue;
        }
        match runs.last_mut() {
            Some(run) if run.end == part.start => run.end = part.end,
            _ => runs.push(part),
        }
    }
    runs
}
