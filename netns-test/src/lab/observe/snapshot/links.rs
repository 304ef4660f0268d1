//! The links of a snapshot: impairments, holds and rules.

use std::fmt::{self, Display, Formatter};

use crate::error::Result;
use crate::lab::fabric::ends::End;
use crate::lab::fabric::state::Fabric;
use crate::lab::impair::emulated::EmulatedLink;
use crate::lab::impair::passage::Direction;
use crate::lab::impair::rule::rules::{Rule, RuleCounts};
use crate::lab::impair::stats::DirectionStats;
use crate::lab::plan::impairment::ImpairmentPlan;

/// State of a link.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LinkState {
    /// Name of the link, or `a to b` by its nodes.
    pub name: String,
    /// Names of the nodes that it ends at now.
    pub nodes: [String; 2],
    /// The direction from each of the nodes; none for a direct veth pair, which has no state
    /// besides that of the interfaces at its ends.
    pub from: Option<[DirectionState; 2]>,
}

/// State of one direction of a link.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct DirectionState {
    /// Impairments as they are now.
    pub impairment: ImpairmentPlan,
    /// Whether packets are held: all ([`Link::hold`](crate::lab::Link::hold)), or those between
    /// groups of nodes ([`Lab::hold`](crate::Lab::hold)).
    pub is_held: bool,
    /// Rules, in their order.
    pub rules: Vec<LinkRuleState>,
    /// Counters since the link was built; none in the stable form.
    pub stats: Option<DirectionStats>,
}

/// Rule on the packets of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkRuleState {
    /// Action, packets and choice: `drop TCP, SYN|ACK set: packet 3`.
    pub rule: String,
    /// Number of packets that it has acted on; none in the stable form.
    pub hits: Option<u64>,
}

/// Reads the links.
pub(super) fn read(fabric: &Fabric) -> Result<Vec<LinkState>> {
    let visited = fabric.hub.as_ref().map(|hub| hub.visit(ways)).transpose()?;
    let mut visited = visited.unwrap_or_default().into_iter().peekable();
    let ends = fabric.links.lock();
    let state = |(at, ends): (usize, &[End; 2])| LinkState {
        name: fabric.plan.link_name(at),
        nodes: ends.each_ref().map(|end| fabric.nodes[end.node].name().to_owned()),
        from: visited.next_if(|(link, _)| *link == at).map(|(_, from)| from),
    };
    Ok(ends.iter().enumerate().map(state).collect())
}

fn ways(model: &mut EmulatedLink) -> [DirectionState; 2] {
    let mut stats = model.stats().map(Some);
    Direction::BOTH.map(|way| DirectionState {
        impairment: model.plan(way).clone(),
        is_held: model.is_held(way),
        rules: model.rules(way).all().map(rule).collect(),
        stats: stats[way.index()].take(),
    })
}

fn rule((rule, counts): (&Rule, RuleCounts)) -> LinkRuleState {
    LinkRuleState { rule: rule.to_string(), hits: Some(counts.hits) }
}

impl LinkState {
    /// Removes what differs from run to run.
    pub(super) fn stabilize(&mut self) {
        for way in self.from.iter_mut().flatten() {
            way.stats = None;
            way.rules.iter_mut().for_each(|rule| rule.hits = None);
        }
    }
}

/// Prints two lines and the rules for a link that can be impaired, and nothing for a direct veth
/// pair.
impl Display for LinkState {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Some(from) = &self.from else { return Ok(()) };
        let [a, b] = &self.nodes;
        for ([from, to], way) in [[a, b], [b, a]].into_iter().zip(from) {
            writeln!(f, "  {}: {from} to {to}: {way}", self.name)?;
            way.rules.iter().try_for_each(|rule| writeln!(f, "    {rule}"))?;
        }
        Ok(())
    }
}

/// Prints `delay 20ms, held (received 3, sent 0, in transit 3)`.
impl Display for DirectionState {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.impairment, if self.is_held { ", held" } else { "" })?;
        self.stats.as_ref().map_or(Ok(()), |stats| write!(f, " ({stats})"))
    }
}

/// Prints `rule drop TCP: packet 3, acted on 1`.
impl Display for LinkRuleState {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "rule {}", self.rule)?;
        self.hits.map_or(Ok(()), |hits| write!(f, ", acted on {hits}"))
    }
}
