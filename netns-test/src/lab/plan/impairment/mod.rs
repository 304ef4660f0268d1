//! Impairments of one direction of a link, checked and as numbers. Pure.

pub(crate) mod check;
pub(crate) mod queue;
pub(crate) mod text;

use std::time::Duration;

pub use crate::lab::topology::impairment::model::{LossUnit, QueueLimit};
use crate::lab::topology::quantity::Probability;

/// Impairments of one direction of a link, in the order of its stages: loss, corruption,
/// duplication, rate and queue, delay and jitter, reordering.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ImpairmentPlan {
    /// Loss of packets.
    pub loss: LossPlan,
    /// Units by which TCP data is lost.
    pub loss_unit: LossUnit,
    /// True if ARP and neighbour discovery are impaired at random, too.
    pub includes_neighbours: bool,
    /// Probability that one bit of a packet is flipped.
    pub corrupt: Probability,
    /// Probability that a packet is sent twice.
    pub duplicate: Probability,
    /// Rate and queue.
    pub rate: Option<RatePlan>,
    /// True if packets that are ECN-capable (ECT(0), ECT(1), CE; RFC 3168) are dropped.
    pub drops_ect: bool,
    /// Delay of each packet.
    pub delay: Duration,
    /// Largest deviation of the delay, in both directions; not above `delay`.
    pub jitter: Duration,
    /// Reordering of packets; jitter keeps their order.
    pub reorder: Option<ReorderPlan>,
}

/// Loss of packets.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum LossPlan {
    /// No loss.
    #[default]
    None,
    /// Each packet by itself.
    Independent(Probability),
    /// Gilbert-Elliott: a chain of a good and a bad state (`loss gemodel` of `tc-netem(8)`).
    GilbertElliott {
        /// Probability of the step from good to bad.
        p: Probability,
        /// Probability of the step from bad to good.
        r: Probability,
        /// Probability of a loss in the bad state (1-h of netem).
        bad: Probability,
        /// Probability of a loss in the good state (1-k of netem).
        good: Probability,
        /// True if one chain runs over all packets of the direction, in order of arrival, in place
        /// of one for each flow. Which packets it hits is not the same in each run.
        is_shared: bool,
    },
    /// A repeated pattern over the packets (TCP: the slots) of each flow; true is a loss.
    Pattern(Vec<bool>),
}

/// Rate and queue (a token bucket, `tc-tbf(8)`).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RatePlan {
    /// Bits per second.
    pub bits_per_second: u64,
    /// Bytes that pass at once after a pause.
    pub burst: u64,
    /// Bytes added to the length of each frame, which counts without its frame check sequence.
    pub overhead: i32,
    /// Limit of the queue; a frame beyond it is dropped.
    pub queue: QueueLimit,
    /// Length of the queue in bytes above which ECN-capable packets are marked CE (RFC 3168).
    pub mark_above: Option<u64>,
}

/// Reordering of packets.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ReorderPlan {
    /// Probability that a packet is sent at once, without the delay (`reorder` of `tc-netem(8)`).
    pub probability: Probability,
    /// Packets between two candidates; 1 makes each packet a candidate.
    pub gap: u32,
}

impl ImpairmentPlan {
    /// Returns whether the direction passes all packets on, at once and unchanged.
    #[must_use]
    pub fn is_perfect(&self) -> bool {
        *self == Self::default()
    }
}
