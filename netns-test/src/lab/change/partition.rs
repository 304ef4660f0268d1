//! Partitions between nodes of a running lab, as methods of the lab.

use std::collections::BTreeSet;

use crate::error::{Failure, Result, located};
use crate::lab::plan::Plan;
use crate::lab::run::lab::Lab;
use crate::lab::topology::{NodeId, NodeKind};

impl Lab {
    /// Parts two groups of nodes: no node of one hears anything of a node of the other any more, over
    /// IPv4 or IPv6, by whatever way, on connections that are there, too. Nobody is told: packets are
    /// lost. It holds when this comes back.
    ///
    /// Partitions add up; [`heal`](Self::heal) undoes all. Nodes that are in neither group hear all
    /// others. They hold for what addresses the nodes are given later, too, by the lab, from the first
    /// packet on. A router that is in one forwards nothing that comes from a node of the other; and where
    /// the two are neighbours, nothing to it either, once they would have to ask for each other's Ethernet
    /// addresses.
    ///
    /// Dropped is what has an address of the other side as its source. Frames of other kinds, and on a
    /// segment that both sides share packets to IPv4 multicast groups and to 255.255.255.255, arrive.
    ///
    /// # Errors
    ///
    /// A node that is in both groups, is a switch, or is of another topology; EOPNOTSUPP from a
    /// kernel without rules for routes (`CONFIG_IP_MULTIPLE_TABLES`). No partition is added then.
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
    /// // `c` is alone.
    /// lab.heal()?;
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn partition(&self, one: &[NodeId], other: &[NodeId]) -> Result<()> {
        located(self.try_partition(one, other))
    }

    fn try_partition(&self, one: &[NodeId], other: &[NodeId]) -> Result<()> {
        let fabric = self.fabric();
        let sides = [self.side(one)?, self.side(other)?];
        let [one, other] = &sides;
        if let Some(&both) = one.iter().find(|node| other.contains(node)) {
            return Err(mistake(&fabric.plan, both, "it is on both sides").into());
        }
        fabric.partitions.add(&fabric.hosts, one, other)
    }

    /// Undoes all [partitions](Self::partition): everybody hears everybody when this comes back, also who
    /// has asked for the other's Ethernet address in vain meanwhile.
    ///
    /// # Errors
    ///
    /// What the kernel says; ENOENT where somebody has removed a rule by hand. All else is undone then.
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
        located(self.fabric().heal())
    }

    /// The places of the nodes.
    fn side(&self, nodes: &[NodeId]) -> Result<BTreeSet<usize>> {
        let plan = self.plan();
        let place = |node: &NodeId| match plan.position(*node) {
            None => {
                let who = "a node of another topology";
                Err(Failure::new("partition", who, "it is not in this lab").into())
            }
            Some(at) if plan.nodes()[at].kind == NodeKind::Switch => {
                let why = "it is a switch, and has no address; name the nodes on it";
                Err(mistake(plan, at, why).into())
            }
            Some(at) => Ok(at),
        };
        nodes.iter().map(place).collect()
    }
}

fn mistake(plan: &Plan, node: usize, why: &str) -> Failure {
    Failure::new("partition", plan.nodes()[node].name.as_str(), why)
}
