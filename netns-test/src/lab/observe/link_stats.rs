//! What a link does to packets and has done: impairments, counters, and the list of lost ones.

use std::fmt;
use std::ops::Deref;

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

/// Packets that a link has lost at random ([`Link::losses`]), in order of arrival. It is a slice of
/// [`Lost`], and `Display` prints a line for each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Losses {
    /// The last ones, at most 10,000.
    pub last: Vec<Lost>,
    /// Number of those before, which are no longer listed.
    pub earlier: u64,
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

    /// Returns the packets that the link has lost at random, in order of arrival: the last 10,000
    /// ones, and how many there were before. Packets that a rule or a full queue has dropped are
    /// only in [`stats`](Self::stats).
    ///
    /// # Errors
    ///
    /// As [`stats`](Self::stats).
    #[track_caller]
    pub fn losses(&self) -> Result<Losses> {
        let names = self.names();
        let named = |(direction, lost): (Direction, Lost)| Lost {
            from: names[direction.index()].clone(),
            ..lost
        };
        let losses = self.look(|model| model.losses().clone());
        located(losses.map(|all| Losses {
            last: all.last.into_iter().map(named).collect(),
            earlier: all.earlier,
        }))
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
            write!(f, "{from} to {to}: {stats}{end}")?;
        }
        Ok(())
    }
}

impl Deref for Losses {
    type Target = [Lost];

    fn deref(&self) -> &[Lost] {
        &self.last
    }
}

impl IntoIterator for Losses {
    type Item = Lost;
    type IntoIter = std::vec::IntoIter<Lost>;

    fn into_iter(self) -> Self::IntoIter {
        self.last.into_iter()
    }
}

impl<'a> IntoIterator for &'a Losses {
    type Item = &'a Lost;
    type IntoIter = std::slice::Iter<'a, Lost>;

    fn into_iter(self) -> Self::IntoIter {
        self.last.iter()
    }
}

/// One line for each packet, after one with the number of those that are not listed.
impl fmt::Display for Losses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let earlier = (self.earlier > 0).then(|| format!("{} earlier ones\n", self.earlier));
        f.write_str(&earlier.unwrap_or_default())?;
        for (at, lost) in self.last.iter().enumerate() {
            write!(f, "{}{lost}", if at == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}
