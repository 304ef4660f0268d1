//! Partitions between nodes of a running lab, as methods of the lab.

use std::collections::BTreeSet;

use crate::error::{Failure, Result, located};
use crate::evidence::facts::event::{Event, EventKind};
use crate::evidence::log;
use crate::lab::plan::Plan;
use crate::lab::run::lab::Lab;
use crate::lab::topology::{NodeId, NodeKind};

impl Lab {
    /// Drops all packets between two groups of nodes, in both directions, silently (no ICMP, no
    /// RST). It applies to IPv4 and IPv6, on every path, to existing connections too, from the
    /// moment when this returns.
    ///
    /// Partitions add up; [`heal`](Self::heal) ends all of them. Nodes in neither group reach all
    /// others. If the lab adds an address to a node later, the partition covers it from the first
    /// packet.
    ///
    /// A node drops packets whose source is an address of the other group. Frames that are no IP
    /// packets arrive, and so do IPv4 packets to multicast groups and to 255.255.255.255 on a
    /// segment that both groups share.
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
    pub fn partition(&self, one: &[NodeId], other: &[NodeId]) -> Result<()> {
        log::note(|| {
            let names = |side: &[NodeId]| {
                let known = side.iter().filter_map(|node| self.plan().position(*node));
                known.map(|at| self.plan().nodes()[at].name.clone()).collect::<Vec<_>>().join(", ")
            };
            let (one, other) = (names(one), names(other));
            let event = Event::of(EventKind::Partition, "", format!("{one} | {other}"));
            event.with("state", "on").with("one", one).with("other", other)
        });
        located(self.try_partition(one, other))
    }

    fn try_partition(&self, one: &[NodeId], other: &[NodeId]) -> Result<()> {
        let fabric = self.fabric();
        let sides = [self.side(one)?, self.side(other)?];
        let [one, other] = &sides;
        if let Some(&both) = one.iter().find(|node| other.contains(node)) {
            return Err(invalid(&fabric.plan, both, "it is on both sides").into());
        }
        fabric.partitions.add(&fabric.nodes, one, other)
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
        located(self.fabric().heal())
    }

    /// Returns the positions of the nodes of one side.
    fn side(&self, nodes: &[NodeId]) -> Result<BTreeSet<usize>> {
        let plan = self.plan();
        let place = |node: &NodeId| match plan.position(*node) {
            None => {
                let object = "a node of another topology";
                Err(Failure::new("partition", object, "it is not in this lab").into())
            }
            Some(at) if plan.nodes()[at].kind == NodeKind::Switch => {
                let why = "it is a switch, and has no address; name the nodes on it";
                Err(invalid(plan, at, why).into())
            }
            Some(at) => Ok(at),
        };
        nodes.iter().map(place).collect()
    }
}

fn invalid(plan: &Plan, node: usize, why: &str) -> Failure {
    Failure::new("partition", plan.nodes()[node].name.as_str(), why)
}
