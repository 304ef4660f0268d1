//! Verdicts of the random stages on a frame: what is lost of it, and what happens to the rest.
//! Pure.

use std::net::{IpAddr, Ipv6Addr};
use std::ops::Range;

use crate::lab::impair::emulated::losses::{Losses, lost_packet};
use crate::lab::impair::flow::position::{Class, Position, Unit};
use crate::lab::impair::flow::table::{Flows, Packet};
use crate::lab::impair::frame::Frame;
use crate::lab::impair::gso;
use crate::lab::impair::hash::{FlowKey, LinkKey, Purpose};
use crate::lab::impair::loss::is_lost;
use crate::lab::impair::offload::Offload;
use crate::lab::impair::passage::Direction;
use crate::lab::plan::impairment::{ImpairmentPlan, LossPlan, LossUnit, ReorderPlan};
use crate::lab::topology::quantity::Probability;

/// Bytes of the headers of a full TCP segment, with timestamps, by IP version: 4, then 6.
const HEADERS: [u32; 2] = [52, 72];

/// State of the random stages of one direction.
#[derive(Debug)]
pub(super) struct Fates {
    direction: Direction,
    key: LinkKey,
    /// Bytes of a slot, by IP version: 4, then 6.
    slots: [u64; 2],
    /// Packets before, for a chain that all flows share.
    arrivals: u64,
    /// Positions of the current packet; kept for their allocation.
    positions: Vec<Position>,
}

/// Fate of a frame at the random stages.
#[derive(Debug, Default)]
pub(super) struct Fate {
    /// Lost parts of the payload, in bytes as of `gso::segments`.
    pub(super) lost: Vec<Range<usize>>,
    /// Draw of the bit that is flipped.
    pub(super) flipped: Option<u64>,
    pub(super) is_duplicated: bool,
    pub(super) is_reordered: bool,
    /// Draw of the deviation from the delay.
    pub(super) jitter: u64,
}

impl Fates {
    pub(super) fn new(direction: Direction, key: LinkKey, mtu: u32) -> Self {
        let slots = HEADERS.map(|headers| mtu.saturating_sub(headers).max(1).into());
        Self { direction, key, slots, arrivals: 0, positions: Vec::new() }
    }

    /// Judges a frame. Its parts are judged one by one, so that a frame that stands for several
    /// packets has the fate of these; only loss may take some of them.
    pub(super) fn judge(
        &mut self,
        plan: &ImpairmentPlan,
        frame: &Frame<'_>,
        offload: &Offload,
        flows: &mut Flows,
        losses: &mut Losses,
    ) -> Fate {
        let mut packet = flows.packet(frame, self.direction);
        let mut fate = Fate::default();
        let is_spared = frame.neighbour.is_some() && !plan.includes_neighbours;
        let draws = has_draws(plan) && !is_spared;
        let has_jitter = !plan.jitter.is_zero();
        // The key is a hash, which a link without randomness can do without.
        let key = (draws || has_jitter).then(|| packet.id.key(self.key));
        if let (Some(key), true) = (key, has_jitter) {
            fate.jitter = packet.position(&(0..0)).draw(key, Purpose::Jitter);
        }
        let drops = plan.drops_ect && frame.ip.is_some_and(|ip| ip.ecn != 0);
        let slot = self.slots[usize::from(frame.ip.is_some_and(|ip| ip.source.is_ipv6()))];
        let unit = match plan.loss_unit {
            _ if drops => Unit::Segment,
            _ if !draws => Unit::Nothing,
            _ if is_shared(&plan.loss) => Unit::Segment,
            LossUnit::Segment => Unit::Segment,
            LossUnit::Slot => Unit::Slot(slot),
        };
        if unit == Unit::Nothing && packet.is_data() {
            return fate;
        }
        let random = key.filter(|_| draws).map(|key| (plan, key));
        for part in gso::segments(frame, offload) {
            self.positions.clear();
            packet.positions(part.clone(), unit, &mut self.positions);
            let hits = self.take(random, drops, &mut packet);
            let is_lost = drops || hits > 0;
            for hit in &self.positions[..hits] {
                let lost = lost_packet(hit, slot, packet.bytes(&part));
                losses.push(self.direction, &packet.id, lost);
            }
            if is_lost {
                fate.lost.push(part);
            } else if let Some((plan, key)) = random {
                fate.alter(plan, key, &self.positions);
            }
        }
        fate
    }

    /// Judges the loss of the current packet, and counts its verdicts. Returns the number of hits,
    /// which are moved to the front of the positions.
    fn take(
        &mut self,
        random: Option<(&ImpairmentPlan, FlowKey)>,
        drops: bool,
        packet: &mut Packet<'_>,
    ) -> usize {
        let all = drops || random.is_some_and(|(plan, _)| self.takes_shared(&plan.loss));
        let mut hits = 0;
        for at in 0..self.positions.len() {
            let by_itself = |(plan, key): (&ImpairmentPlan, _)| {
                !is_shared(&plan.loss) && is_lost(&plan.loss, key, &self.positions[at])
            };
            if all || random.is_some_and(by_itself) {
                self.positions.swap(hits, at);
                hits += 1;
            }
        }
        // The other positions of a lost packet have no verdict: their data is judged again.
        let judged = if hits > 0 { hits } else { self.positions.len() };
        self.positions[..judged].iter().for_each(|position| packet.count(position));
        hits
    }

    /// Returns whether a chain that all flows share takes the current packet.
    fn takes_shared(&mut self, loss: &LossPlan) -> bool {
        if !is_shared(loss) {
            return false;
        }
        let position = Position::numbered(Class::Shared, self.arrivals);
        self.arrivals += 1;
        let none = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        is_lost(loss, self.key.flow([none; 2], [0; 4]), &position)
    }
}

impl Fate {
    /// Draws what happens to a packet that is not lost.
    fn alter(&mut self, plan: &ImpairmentPlan, key: FlowKey, positions: &[Position]) {
        let hit = |probability: Probability, purpose| {
            let mut all = positions.iter().filter(|_| probability != Probability::NEVER);
            all.find(|position| probability.is_hit(position.draw(key, purpose)))
        };
        let flipped = hit(plan.corrupt, Purpose::Corruption);
        self.flipped = flipped.map(|position| position.draw(key, Purpose::Bit));
        self.is_duplicated = hit(plan.duplicate, Purpose::Duplication).is_some();
        self.is_reordered = plan.reorder.as_ref().is_some_and(|reorder| {
            positions.iter().any(|position| {
                let draw = position.draw(key, Purpose::Reordering);
                is_candidate(reorder, position) && reorder.probability.is_hit(draw)
            })
        });
    }
}

/// Returns whether a position is the last one of its gap.
fn is_candidate(reorder: &ReorderPlan, position: &Position) -> bool {
    let gap = u64::from(reorder.gap.max(1));
    position.step.index % gap == gap - 1
}

fn is_shared(loss: &LossPlan) -> bool {
    matches!(loss, LossPlan::GilbertElliott { is_shared: true, .. })
}

/// Returns whether a stage draws at the positions of a packet.
fn has_draws(plan: &ImpairmentPlan) -> bool {
    let probabilities = [plan.corrupt, plan.duplicate];
    plan.loss != LossPlan::None
        || plan.reorder.is_some()
        || probabilities.iter().any(|one| *one != Probability::NEVER)
}
