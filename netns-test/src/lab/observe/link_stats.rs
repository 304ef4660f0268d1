//! What a link does to packets and has done: impairments, counters, and the list of lost ones.

use std::fmt;

use crate::error::{Result, located};
use crate::lab::impair::emulated::EmulatedLink;
use crate::lab::impair::passage::Direction;
use crate::lab::impair::stats::{DirectionStats, Lost};
use crate::lab::plan::diff;
use crate::lab::plan::impairment::ImpairmentPlan;
use crate::lab::run::link::Link;

/// Counters of both directions of a link ([`Link::stats`]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkStats {
    /// Names of the nodes at the ends.
    pub nodes: [String; 2],
    /// Counters of the direction from each of the nodes.
    pub from: [DirectionStats; 2],
}

impl Link {
    /// Returns the counters of the link since it was built.
    ///
    /// # Errors
    ///
    /// A link that is a direct veth pair: the interfaces at its ends have counters, in the
    /// [snapshot](crate::Lab::snapshot).
    #[track_caller]
    pub fn stats(&self) -> Result<LinkStats> {
        let from = self.look(EmulatedLink::stats);
        located(from.map(|from| LinkStats { nodes: self.names(), from }))
    }

    /// Returns the packets that the link has lost at random, in order of arrival: at most the last
    /// 10,000 ones. Packets that a rule or a full queue has dropped are only in
    /// [`stats`](Self::stats).
    ///
    /// # Errors
    ///
    /// As [`stats`](Self::stats).
    #[track_caller]
    pub fn losses(&self) -> Result<Vec<Lost>> {
        let names = self.names();
        let losses = self.look(|model| model.losses().last.clone());
        let named = |(direction, lost): (Direction, Lost)| Lost {
            from: names[direction.index()].clone(),
            ..lost
        };
        located(losses.map(|losses| losses.into_iter().map(named).collect()))
    }

    /// Returns the impairments of the direction from the link's first node, and of that from the
    /// second one, as they are now.
    ///
    /// # Errors
    ///
    /// As [`stats`](Self::stats).
    #[track_caller]
    pub fn impairments(&self) -> Result<[ImpairmentPlan; 2]> {
        let plans = |model: &EmulatedLink| Direction::BOTH.map(|way| model.plan(way).clone());
        located(self.look(plans))
    }

    fn names(&self) -> [String; 2] {
        let ends = self.fabric().links.ends(self.position());
        ends.map(|end| self.fabric().nodes[end.node].name().to_owned())
    }

    fn look<T>(&self, look: impl FnOnce(&EmulatedLink) -> T) -> Result<T> {
        let label = self.fabric().plan.link_label(self.position());
        match &self.fabric().hub {
            Some(hub) => hub.with(self.position(), ("read", &label), |model, _, _| look(model)),
            None => Err(diff::not_impairable("read", &label).into()),
        }
    }
}

/// One line for each direction: `client to server: received 10, sent 9, lost 1`. Counters that are
/// 0 are left out, except the first two.
impl fmt::Display for LinkStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b] = &self.nodes;
        let names = [(a, b), (b, a)];
        for (at, ((from, to), stats)) in names.into_iter().zip(&self.from).enumerate() {
            let end = if at == 0 { "\n" } else { "" };
            write!(f, "{from} to {to}: {}{end}", text(stats))?;
        }
        Ok(())
    }
}

fn text(stats: &DirectionStats) -> String {
    let DirectionStats {
        received,
        received_bytes: _,
        sent,
        sent_bytes: _,
        lost,
        dropped_by_rule,
        dropped_by_queue,
        duplicated,
        injected,
        corrupted,
        marked,
        reordered,
        in_transit,
        undeliverable,
        latest,
    } = stats;
    let mut parts = vec![format!("received {received}"), format!("sent {sent}")];
    let others = [
        ("lost", lost),
        ("dropped by a rule", dropped_by_rule),
        ("dropped by the queue", dropped_by_queue),
        ("duplicated", duplicated),
        ("injected", injected),
        ("corrupted", corrupted),
        ("marked CE", marked),
        ("reordered", reordered),
        ("in transit", in_transit),
        ("undeliverable", undeliverable),
    ];
    let others = others.into_iter().filter(|(_, count)| **count > 0);
    parts.extend(others.map(|(what, count)| format!("{what} {count}")));
    if !latest.is_zero() {
        parts.push(format!("late by at most {latest:?}"));
    }
    parts.join(", ")
}
