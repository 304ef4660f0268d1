//! Builder of the impairments of a link. It stores what the caller passes; `Topology::plan` checks
//! it. Pure.

pub(crate) mod conditions;
pub(crate) mod model;
pub(crate) mod text;

use std::time::Duration;

use crate::lab::topology::impairment::model::{Length, Loss, LossUnit, OneWay, QueueLimit};
use crate::lab::topology::quantity::{PatternArg, ProbabilityArg, RateArg};

/// Impairments of a link: a value, which [`LinkSpec::impair`](super::LinkSpec::impair) puts on it.
///
/// A method sets both directions. [`back`](Self::back) sets the direction from the second node of
/// the link to the first one apart, as [named conditions](#named-conditions) do whose directions
/// differ.
///
/// The stages of a direction are, in this order: loss, corruption, duplication, rate and queue,
/// delay and jitter, reordering. Packets that are equal in two runs meet the same fate in both.
///
/// Values that cannot be used are reported by [`Topology::plan`](super::Topology::plan), and by the
/// methods of a running link. `Display` writes the numbers.
///
/// ```
/// use std::time::Duration;
/// use netns_test::{Topology, lab::Impairment};
///
/// let mut net = Topology::new();
/// let (home, server) = (net.router("home"), net.host("server"));
/// let bad = Impairment::new().rtt(Duration::from_millis(80)).loss("1%").rate("10mbit");
/// net.link(home, server).impair(bad);
/// let plan = net.plan()?;
/// let [forth, _back] = plan.links()[0].impairments.as_ref().unwrap();
/// assert_eq!(forth.delay, Duration::from_millis(40));
/// # Ok::<(), netns_test::lab::TopologyErrors>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Impairment {
    forth: OneWay,
    /// The other direction, if it differs.
    back: Option<OneWay>,
}

impl Impairment {
    /// Creates impairments that change nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the delay of each packet.
    #[must_use]
    pub fn delay(self, delay: Duration) -> Self {
        self.each(|way| way.delay = delay)
    }

    /// Sets the delay of each direction to half of a round-trip time.
    #[must_use]
    pub fn rtt(self, round_trip: Duration) -> Self {
        self.delay(round_trip / 2)
    }

    /// Sets the largest deviation from the delay, in both directions: each packet is delayed by
    /// `delay` ± `jitter`, uniformly. It is at most the delay.
    ///
    /// Packets keep their order: one that would overtake another leaves right after it. That is not
    /// so in `tc-netem(8)`; for packets out of order use [`reorder`](Self::reorder).
    #[must_use]
    pub fn jitter(self, jitter: Duration) -> Self {
        self.each(|way| way.jitter = jitter)
    }

    /// Sets the loss: each packet is lost by itself with this probability. It replaces another kind
    /// of loss.
    ///
    /// Requests and replies for neighbours (ARP, RFC 4861) are spared; see
    /// [`include_neighbours`](Self::include_neighbours).
    #[must_use]
    pub fn loss(self, probability: impl Into<ProbabilityArg>) -> Self {
        self.lose(&Loss::Independent(probability.into()))
    }

    /// Sets a loss in bursts, by its average and the mean number of packets that are lost in a row.
    /// It replaces another kind of loss.
    ///
    /// This is the chain of [`loss_gilbert_elliott`](Self::loss_gilbert_elliott) that loses all
    /// packets in its bad state and none in the good one (Gilbert's model).
    #[must_use]
    pub fn loss_in_bursts(self, average: impl Into<ProbabilityArg>, length: f64) -> Self {
        self.lose(&Loss::Bursts { loss: average.into(), length: Length(length) })
    }

    /// Sets a loss by the Gilbert-Elliott model: a chain of a good and a bad state. It replaces
    /// another kind of loss.
    ///
    /// `p` is the probability of the step from good to bad, `r` of the step back. `bad` and `good`
    /// are the probabilities of a loss in these states: 1-h and 1-k of `loss gemodel` of
    /// `tc-netem(8)`. A chain runs over the packets of each flow.
    #[must_use]
    pub fn loss_gilbert_elliott(
        self,
        p: impl Into<ProbabilityArg>,
        r: impl Into<ProbabilityArg>,
        bad: impl Into<ProbabilityArg>,
        good: impl Into<ProbabilityArg>,
    ) -> Self {
        self.lose(&Loss::GilbertElliott([p.into(), r.into(), bad.into(), good.into()]))
    }

    /// Runs one chain of a loss in bursts over all packets of the direction, in order of arrival,
    /// in place of one for each flow: a burst hits all flows, as on a radio link. Which packets it
    /// hits is not the same in each run.
    #[must_use]
    pub fn share_bursts(self) -> Self {
        self.each(|way| way.shares_bursts = true)
    }

    /// Sets a pattern of losses, which is repeated over the packets of each flow: `"....x"` loses
    /// the fifth of five. It replaces another kind of loss.
    ///
    /// The packets of a TCP stream are its slots; see [`LossUnit`].
    #[must_use]
    pub fn loss_pattern(self, pattern: impl Into<PatternArg>) -> Self {
        self.lose(&Loss::Pattern(pattern.into()))
    }

    /// Sets the units by which TCP data is lost. The default is [`LossUnit::Slot`].
    #[must_use]
    pub fn loss_unit(self, unit: LossUnit) -> Self {
        self.each(|way| way.loss_unit = unit)
    }

    /// Impairs requests and replies for neighbours at random, too. Each one that is lost costs a
    /// second, the kernel's interval between two of them.
    #[must_use]
    pub fn include_neighbours(self) -> Self {
        self.each(|way| way.includes_neighbours = true)
    }

    /// Sets the probability that one bit of a packet is flipped. The receiver notices it by the
    /// checksum and drops the packet, unless the bit is one that no checksum covers.
    #[must_use]
    pub fn corrupt(self, probability: impl Into<ProbabilityArg>) -> Self {
        let probability = probability.into();
        self.each(|way| way.corrupt = probability.clone())
    }

    /// Sets the probability that a packet is sent twice.
    #[must_use]
    pub fn duplicate(self, probability: impl Into<ProbabilityArg>) -> Self {
        let probability = probability.into();
        self.each(|way| way.duplicate = probability.clone())
    }

    /// Sets the probability that a packet is sent at once, without the delay, so that it overtakes
    /// earlier ones (`reorder` of `tc-netem(8)`). It needs a delay.
    #[must_use]
    pub fn reorder(self, probability: impl Into<ProbabilityArg>) -> Self {
        let probability = probability.into();
        self.each(|way| way.reorder = Some(probability.clone()))
    }

    /// Makes each `gap`-th packet alone a candidate for [`reorder`](Self::reorder). The default is
    /// 1: each packet.
    #[must_use]
    pub fn reorder_gap(self, gap: u32) -> Self {
        self.each(|way| way.reorder_gap = Some(gap))
    }

    /// Sets the rate: `"10mbit"`, or a number of bits per second. Packets wait for it in a queue;
    /// those that do not fit are dropped.
    ///
    /// The length of a packet is that of its Ethernet frame without check sequence, plus
    /// [`overhead`](Self::overhead).
    #[must_use]
    pub fn rate(self, rate: impl Into<RateArg>) -> Self {
        let rate = rate.into();
        self.each(|way| way.rate = Some(rate.clone()))
    }

    /// Sets the bytes that pass at once after a pause (`burst` of `tc-tbf(8)`). The default is one
    /// full frame.
    #[must_use]
    pub fn burst_bytes(self, bytes: u64) -> Self {
        self.each(|way| way.burst = Some(bytes))
    }

    /// Adds bytes to the length of each frame when it waits for the rate: 24 for preamble, check
    /// sequence and gap of Ethernet; -14 to count IP packets. The default is 0.
    #[must_use]
    pub fn overhead(self, bytes: i32) -> Self {
        self.each(|way| way.overhead = Some(bytes))
    }

    /// Limits the queue in front of the rate to bytes of frames. It replaces a limit in packets.
    ///
    /// The default is what the rate sends in twice the delay, or in 50 ms if that is longer; at
    /// least ten full frames, and at most 16 MiB.
    #[must_use]
    pub fn queue_bytes(self, bytes: u64) -> Self {
        self.each(|way| way.queue = Some(QueueLimit::Bytes(bytes)))
    }

    /// Limits the queue in front of the rate to packets. It replaces a limit in bytes.
    #[must_use]
    pub fn queue_packets(self, packets: u64) -> Self {
        self.each(|way| way.queue = Some(QueueLimit::Packets(packets)))
    }

    /// Marks ECN-capable packets CE (RFC 3168) while the queue is longer than these bytes.
    #[must_use]
    pub fn ecn_mark_above(self, bytes: u64) -> Self {
        self.each(|way| way.mark_above = Some(bytes))
    }

    /// Drops packets that are ECN-capable (ECT(0), ECT(1), CE; RFC 3168), as some paths do.
    #[must_use]
    pub fn drop_ect(self) -> Self {
        self.each(|way| way.drops_ect = true)
    }

    /// Sets the other direction apart: from the second node of the link to the first one. Of `back`
    /// its own first direction counts.
    #[must_use]
    pub fn back(self, back: Self) -> Self {
        Self { back: Some(back.forth), ..self }
    }

    /// Exchanges the two directions.
    #[must_use]
    pub fn reversed(self) -> Self {
        match self.back {
            Some(back) => Self { forth: back, back: Some(self.forth) },
            None => self,
        }
    }

    /// Returns both directions of a link that begins at its end `from`, 0 or 1.
    pub(crate) fn both(&self, from: usize) -> [&OneWay; 2] {
        let back = self.back.as_ref().unwrap_or(&self.forth);
        if from == 0 { [&self.forth, back] } else { [back, &self.forth] }
    }

    /// Returns the direction from the end `from` of a link, 0 or 1, and the other one if it was set
    /// apart.
    pub(crate) fn one(&self, from: usize) -> [Option<&OneWay>; 2] {
        let (forth, back) = (Some(&self.forth), self.back.as_ref());
        if from == 0 { [forth, back] } else { [back, forth] }
    }

    /// Returns what [`both`](Self::both) does for a link that begins at its end 0.
    pub(crate) fn into_both(self) -> [OneWay; 2] {
        let back = self.back.unwrap_or_else(|| self.forth.clone());
        [self.forth, back]
    }

    /// Returns what [`one`](Self::one) does.
    pub(crate) fn into_one(self, from: usize) -> [Option<OneWay>; 2] {
        let ways = [Some(self.forth), self.back];
        if from == 0 {
            ways
        } else {
            let [forth, back] = ways;
            [back, forth]
        }
    }

    fn lose(self, loss: &Loss) -> Self {
        self.each(|way| way.loss = loss.clone())
    }

    fn each(mut self, set: impl Fn(&mut OneWay)) -> Self {
        set(&mut self.forth);
        self.back.iter_mut().for_each(set);
        self
    }
}
