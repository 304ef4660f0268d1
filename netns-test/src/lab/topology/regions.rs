//! Regions and the round-trip times between them. Pure.
//!
//! A region is a router. Each pair of regions with a round-trip time has a link between its
//! routers, so that any table of times can be had, also one in which no tree has these distances.

use std::ops::Index;
use std::time::Duration;

use crate::lab::topology::impairment::Impairment;
use crate::lab::topology::{LinkId, NodeId, Topology};

/// Table of the round-trip times between named regions: a value, which [`Topology::regions`]
/// declares.
///
/// ```
/// use std::time::Duration;
/// use netns_test::{Topology, lab::Regions};
///
/// let ms = Duration::from_millis;
/// let table = Regions::new().rtt("eu", "us", ms(80)).rtt("us", "asia", ms(140));
/// let mut net = Topology::new();
/// let world = net.regions(&table.rtt("eu", "asia", ms(160)));
/// let (a, b) = (net.host("a"), net.host("b"));
/// net.link(a, world["eu"]);
/// net.link(b, world["us"]);
/// assert!(net.plan()?.can_reach(a, b).both());
/// # Ok::<(), netns_test::lab::TopologyErrors>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Regions {
    names: Vec<String>,
    pairs: Vec<([usize; 2], Impairment)>,
}

/// Routers of regions and the links between them; [`Topology::regions`] returns them. The name of a
/// region as index is its router.
#[derive(Clone, Debug)]
pub struct RegionRouters {
    routers: Vec<(String, NodeId)>,
    links: Vec<([usize; 2], LinkId)>,
}

impl Regions {
    /// Creates a table without regions.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the round-trip time between two regions. They exist from their first mention on.
    ///
    /// Packets of a pair without a time travel over other regions, by the fewest.
    #[must_use]
    pub fn rtt(self, a: impl Into<String>, b: impl Into<String>, time: Duration) -> Self {
        self.impair(a, b, Impairment::new().rtt(time))
    }

    /// Sets the impairments between two regions, in place of a round-trip time alone. The first
    /// direction is the one from `a`.
    #[must_use]
    pub fn impair(
        mut self,
        a: impl Into<String>,
        b: impl Into<String>,
        impairment: Impairment,
    ) -> Self {
        let ends = [self.position(a.into()), self.position(b.into())];
        let is_it = |pair: &[usize; 2]| *pair == ends || *pair == [ends[1], ends[0]];
        match self.pairs.iter_mut().find(|(pair, _)| is_it(pair)) {
            Some(pair) => *pair = (ends, impairment),
            None => self.pairs.push((ends, impairment)),
        }
        self
    }

    fn position(&mut self, name: String) -> usize {
        let known = self.names.iter().position(|known| *known == name);
        known.unwrap_or_else(|| {
            self.names.push(name);
            self.names.len() - 1
        })
    }
}

impl Topology {
    /// Adds a router for each region, with the region's name, and a link between two routers for
    /// each pair of the table. A node is in a region by a link to its router, or to a switch that
    /// has one.
    ///
    /// The time between two nodes is that of their regions, plus those of their own links. An
    /// address of a router itself may be on its link to a third region, over which packets to it
    /// travel.
    pub fn regions(&mut self, table: &Regions) -> RegionRouters {
        let Regions { names, pairs } = table;
        let routers: Vec<(String, NodeId)> =
            names.iter().map(|name| (name.clone(), self.router(name.as_str()))).collect();
        let links = pairs.iter().map(|(ends, impairment)| {
            let [a, b] = ends.map(|end| routers[end].1);
            (*ends, self.link(a, b).impair(impairment.clone()).id())
        });
        let links = links.collect();
        RegionRouters { routers, links }
    }
}

impl RegionRouters {
    /// Returns the router of a region, or `None` if the table has no such region.
    #[must_use]
    pub fn router(&self, region: &str) -> Option<NodeId> {
        self.routers.iter().find(|(name, _)| name == region).map(|(_, router)| *router)
    }

    /// Returns the link between two regions, in any order, or `None` if the table has no time for
    /// them.
    #[must_use]
    pub fn link(&self, a: &str, b: &str) -> Option<LinkId> {
        let name = |end: usize| self.routers[end].0.as_str();
        let is_it = |[x, y]: [usize; 2]| [[a, b], [b, a]].contains(&[name(x), name(y)]);
        self.links.iter().find(|(ends, _)| is_it(*ends)).map(|(_, link)| *link)
    }

    /// Returns the regions and their routers, in the order in which the table mentions them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, NodeId)> {
        self.routers.iter().map(|(name, router)| (name.as_str(), *router))
    }
}

/// # Panics
///
/// Indexing panics if the table has no such region.
impl Index<&str> for RegionRouters {
    type Output = NodeId;

    fn index(&self, region: &str) -> &NodeId {
        match self.routers.iter().find(|(name, _)| name == region) {
            Some((_, router)) => router,
            None => panic!("there is no region `{region}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn each_pair_has_a_link_with_half_of_the_time_each_way() {
        let table = Regions::new().rtt("eu", "us", 80 * MS).rtt("us", "asia", 140 * MS);
        let table = table.rtt("asia", "eu", 160 * MS).rtt("us", "eu", 90 * MS);
        let mut net = Topology::new();
        let world = net.regions(&table);
        let nodes = ["x", "y", "z"].map(|name| net.host(name));
        for (node, (_, router)) in nodes.iter().zip(world.iter()) {
            net.link(*node, router);
        }
        let plan = net.plan().unwrap();
        assert_eq!((plan.nodes().len(), plan.links().len()), (6, 6));
        let delays = |a, b| {
            let link = plan.link_position(world.link(a, b).unwrap()).unwrap();
            plan.links()[link].impairments.clone().unwrap().map(|way| way.delay)
        };
        // The last time of a pair applies.
        assert_eq!(delays("eu", "us"), [45 * MS; 2]);
        assert_eq!(delays("eu", "asia"), [80 * MS; 2]);
        assert_eq!(delays("asia", "us"), [70 * MS; 2]);
        let names: Vec<&str> = world.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["eu", "us", "asia"]);
        assert_eq!(world.router("us"), Some(world["us"]));
        assert_eq!((world.router("mars"), world.link("us", "mars")), (None, None));
        // Between two nodes are the routers of their regions alone, whatever the times are.
        for (&a, &b) in nodes.iter().flat_map(|a| nodes.iter().map(move |b| (a, b))) {
            let path = plan.path(a, b);
            assert_eq!(path.hops.len(), if a == b { 1 } else { 4 }, "{path}");
        }
    }

    #[test]
    fn mistakes_of_a_table_are_those_of_its_routers() {
        let mut net = Topology::new();
        net.host("us");
        net.regions(&Regions::new().rtt("eu", "us", MS).rtt("eu", "eu", MS).rtt("a b", "eu", MS));
        let message = net.plan().unwrap_err().to_string();
        for part in [
            "two nodes have the name `us`",
            "link eu to eu: both ends are one node",
            "the name `a b` of a node",
        ] {
            assert!(message.contains(part), "{part}\n{message}");
        }
    }

    #[test]
    #[should_panic = "there is no region `mars`"]
    fn an_unknown_region_is_named() {
        let _ = Topology::new().regions(&Regions::new())["mars"];
    }
}
