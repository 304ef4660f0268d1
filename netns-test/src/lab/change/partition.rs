//! Partitions between nodes of a running lab, as methods of the lab.

use std::collections::BTreeSet;

use crate::error::{Failure, Result, located};
use crate::evidence::facts::event::{Event, EventKind};
use crate::evidence::log;
use crate::lab::fabric::state::Fabric;
use crate::lab::plan::Plan;
use crate::lab::run::lab::Lab;
use crate::lab::topology::{NodeId, NodeKind};

/// A partition of a [`Lab`]. It stays when this is dropped.
#[derive(Debug)]
pub struct Partition<'a> {
    lab: &'a Lab,
    number: u64,
    sides: Sides,
}

/// The two sides of a partition.
#[derive(Clone, Debug)]
pub(crate) struct Sides {
    /// Positions of their nodes.
    nodes: [BTreeSet<usize>; 2],
    /// Names of their nodes.
    names: [String; 2],
    ways: Ways,
}

/// Directions in which packets are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ways {
    Both,
    /// From the first side to the second one.
    One,
}

impl Partition<'_> {
    /// Ends this partition; others stay. When it returns, all nodes that no other partition
    /// separates reach each other. After [`Lab::heal`] it does nothing.
    ///
    /// # Errors
    ///
    /// As [`Lab::heal`].
    #[track_caller]
    pub fn heal(self) -> Result<()> {
        located(self.lab.fabric().join(self.number, &self.sides))
    }
}

impl Lab {
    /// Drops all packets between two groups of nodes, in both directions, silently (no ICMP, no
    /// RST). It applies to IPv4 and IPv6, on every path, to existing connections too, from the
    /// moment when this returns.
    ///
    /// Partitions add up; [`heal`](Self::heal) ends all of them, and [`Partition::heal`] this one.
    /// Nodes in neither group reach all others. If the lab adds an address to a node later, the
    /// partition covers it from the first packet.
    ///
    /// A node drops packets whose source is an address of the other group, also those to multicast
    /// groups and broadcast addresses. Frames that are no IP packets arrive. On a kernel without
    /// nftables (`CONFIG_NF_TABLES_IPV4`), IPv4 packets to multicast groups and to 255.255.255.255
    /// arrive, too: that is one of the [`limitations`](Self::limitations).
    ///
    /// As on a real network, a packet to a node on the same segment waits in its sender for about 3
    /// seconds, if the Ethernet address is not known there: it may arrive if the partition ends
    /// meanwhile.
    ///
    /// A router in one group does not forward packets from a node of the other group. It still
    /// forwards packets to such a node, which drops those of the router's group. If both are on one
    /// segment, that ends when the router's neighbour entry for the node expires.
    ///
    /// # Errors
    ///
    /// A node that is in both groups, is a switch, or is of another topology; EOPNOTSUPP from a
    /// kernel without policy routing (`CONFIG_IP_MULTIPLE_TABLES`). No partition is added then.
    ///
    /// ```no_run
    /// # fn main() -> netns_test::Result<()> {
    /// use netns_test::Topology;
    ///
    /// let mut net = Topology::new();
    /// let switch = net.switch("switch");
    /// let [a, b, c] = ["a", "b", "c"].map(|name| {
    ///     let host = net.host(name);
    ///     net.link(host, switch);
    ///     host
    /// });
    /// let lab = net.build()?;
    /// lab.partition(&[a, b], &[c])?;
    /// // `c` reaches neither `a` nor `b`.
    /// lab.heal()?;
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn partition(&self, one: &[NodeId], other: &[NodeId]) -> Result<Partition<'_>> {
        located(self.part([one, other], Ways::Both))
    }

    /// Drops all packets from the nodes of one group to those of another one, silently. Packets in
    /// the other direction arrive; their answers do not. Otherwise as
    /// [`partition`](Self::partition).
    ///
    /// While it lasts, nodes of both groups on one segment have permanent neighbour entries for
    /// each other: what is sent does not wait for an Ethernet address.
    ///
    /// # Errors
    ///
    /// As [`partition`](Self::partition).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn test(
    /// #     lab: netns_test::Lab,
    /// #     [leader, follower]: [netns_test::NodeId; 2],
    /// # ) -> netns_test::Result<()> {
    /// // The leader hears the follower, and its answers are lost.
    /// let cut = lab.partition_one_way(&[leader], &[follower])?;
    /// // ...
    /// cut.heal()?;
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn partition_one_way(&self, from: &[NodeId], to: &[NodeId]) -> Result<Partition<'_>> {
        located(self.part([from, to], Ways::One))
    }

    fn part(&self, sides: [&[NodeId]; 2], ways: Ways) -> Result<Partition<'_>> {
        let sides = Sides::new("partition", self.plan(), sides, ways)?;
        let number = self.fabric().part(&sides)?;
        Ok(Partition { lab: self, number, sides })
    }

    /// Ends all [partitions](Self::partition). When this returns, all nodes reach each other, also
    /// those whose neighbour entries had failed meanwhile.
    ///
    /// # Errors
    ///
    /// ENOENT if a program has removed one of the lab's rules. The other rules are removed then.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn test(
    /// #     lab: netns_test::Lab,
    /// #     [a, b]: [netns_test::NodeId; 2],
    /// # ) -> netns_test::Result<()> {
    /// use netns_test::lab::WAIT_LIMIT;
    ///
    /// lab.partition(&[a], &[b])?;
    /// lab.heal()?;
    /// lab[a].wait(WAIT_LIMIT).reachable(&lab[b])?;
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn heal(&self) -> Result<()> {
        log::note(|| Event::of(EventKind::Partition, "", "healed").with("state", "off"));
        located(self.fabric().heal(None))
    }
}

impl Fabric {
    /// Adds a partition. Returns its number.
    pub(crate) fn part(&self, sides: &Sides) -> Result<u64> {
        sides.note("on");
        self.partitions.add(&self.nodes, sides.deaf())
    }

    /// Ends a partition by its number.
    pub(crate) fn join(&self, number: u64, sides: &Sides) -> Result<()> {
        sides.note("off");
        self.heal(Some(number))
    }
}

impl Sides {
    /// Returns the sides of a partition or a hold of `plan`, or the reason why they are none.
    pub(crate) fn new(
        step: &'static str,
        plan: &Plan,
        sides: [&[NodeId]; 2],
        ways: Ways,
    ) -> Result<Self> {
        let nodes = [side(step, plan, sides[0])?, side(step, plan, sides[1])?];
        if let Some(&both) = nodes[0].intersection(&nodes[1]).next() {
            return Err(invalid(step, plan, both, "it is on both sides").into());
        }
        let name = |at: &usize| plan.nodes()[*at].name.as_str();
        let names = |side: &BTreeSet<usize>| side.iter().map(name).collect::<Vec<_>>().join(", ");
        let names = nodes.each_ref().map(names);
        Ok(Self { nodes, names, ways })
    }

    /// Returns pairs of nodes, by position, of which the first one drops packets from the second
    /// one.
    fn deaf(&self) -> BTreeSet<(usize, usize)> {
        let [one, other] = &self.nodes;
        let forth = one.iter().flat_map(|&from| other.iter().map(move |&to| (to, from)));
        let back = |pair: (usize, usize)| (self.ways == Ways::Both).then_some((pair.1, pair.0));
        forth.flat_map(|pair| [Some(pair), back(pair)]).flatten().collect()
    }

    /// Returns the nodes of each side, by position.
    pub(crate) fn nodes(&self) -> &[BTreeSet<usize>; 2] {
        &self.nodes
    }

    pub(crate) fn ways(&self) -> Ways {
        self.ways
    }

    /// Returns the sides as text: `a, b | c`, or `a, b to c` for one way.
    pub(crate) fn text(&self) -> String {
        let [one, other] = &self.names;
        let sign = match self.ways {
            Ways::Both => "|",
            Ways::One => "to",
        };
        format!("{one} {sign} {other}")
    }

    /// Notes the begin (`on`) or the end (`off`) of the partition in the log of the test.
    fn note(&self, state: &str) {
        log::note(|| {
            let [one, other] = &self.names;
            let end = if state == "off" { " healed" } else { "" };
            let event = Event::of(EventKind::Partition, "", self.text() + end);
            event.with("state", state).with("one", one).with("other", other)
        });
    }
}

/// Returns the positions of the nodes of one side.
fn side(step: &'static str, plan: &Plan, nodes: &[NodeId]) -> Result<BTreeSet<usize>> {
    let place = |node: &NodeId| match plan.position(*node) {
        None => {
            let object = "a node of another topology";
            Err(Failure::new(step, object, "it is not in this lab").into())
        }
        Some(at) if plan.nodes()[at].kind == NodeKind::Switch => {
            let why = "it is a switch, and has no address; name the nodes on it";
            Err(invalid(step, plan, at, why).into())
        }
        Some(at) => Ok(at),
    };
    nodes.iter().map(place).collect()
}

fn invalid(step: &'static str, plan: &Plan, node: usize, why: &str) -> Failure {
    Failure::new(step, plan.nodes()[node].name.as_str(), why)
}
