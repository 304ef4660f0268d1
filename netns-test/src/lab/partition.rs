//! Partitions: nodes that hear nothing of others, whatever lies between them.
//!
//! Each node of one side has a rule for each address of the other side, which drops what comes from
//! there without a word before anything else is looked up. So it does not matter by which way a
//! packet comes, and nodes between the two sides are not touched.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use super::plan::Plan;
use super::running::{Fabric, Lab};
use super::topology::{NodeId, NodeKind};
use crate::error::{Failure, Result};
use crate::netlink::requests;

/// Which nodes do not hear which others, and what has been done for it.
#[derive(Debug, Default)]
pub(super) struct Partitions(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Places of nodes: the first one hears nothing of the second one.
    deaf: BTreeSet<(usize, usize)>,
    /// The rules that there are: on the node, what comes from the address is dropped.
    blocked: BTreeSet<(usize, IpAddr)>,
    /// Nodes whose rules have room for these, by family.
    prepared: BTreeSet<(usize, bool)>,
}

impl Lab {
    /// Parts two groups of nodes: no node of one hears anything of a node of the other any more, over
    /// IPv4 or IPv6, by whatever way, on connections that are there, too. Nobody is told: packets are
    /// lost. It holds when this comes back.
    ///
    /// Partitions add up; [`heal`](Self::heal) undoes all. Nodes that are in neither group hear all
    /// others. They hold for what addresses the nodes are given later, too, by the lab. A router that is in one forwards nothing that comes from a node of the other; and where
    /// the two are neighbours, nothing to it either, once they would have to ask for each other's
    /// Ethernet addresses.
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
    pub fn partition(&self, one: &[NodeId], other: &[NodeId]) -> Result<()> {
        let fabric = self.fabric();
        let sides = [self.side(one)?, self.side(other)?];
        let [one, other] = &sides;
        if let Some(&both) = one.iter().find(|node| other.contains(node)) {
            return Err(mistake(&fabric.plan, both, "it is on both sides").into());
        }
        let pairs = one.iter().flat_map(|&a| other.iter().flat_map(move |&b| [(a, b), (b, a)]));
        let mut state = fabric.partitions.lock();
        let before = state.deaf.clone();
        state.deaf.extend(pairs);
        state.put_in_force(fabric).inspect_err(|_| {
            state.deaf = before;
            // What is wrong is told; this is to leave as little of it as can be.
            drop(state.put_in_force(fabric));
        })
    }

    /// Undoes all [partitions](Self::partition): everybody hears everybody when this comes back.
    ///
    /// # Errors
    ///
    /// What the kernel says; ENOENT where somebody has removed a rule by hand.
    pub fn heal(&self) -> Result<()> {
        let fabric = self.fabric();
        fabric.partitions.heal(fabric)
    }

    /// The places of the nodes.
    fn side(&self, nodes: &[NodeId]) -> Result<BTreeSet<usize>> {
        let plan = self.plan();
        let place = |node: &NodeId| match plan.position(*node) {
            None => {
                let who = "a node of another topology";
                Err(Failure::new("part", who, "it is not in this lab").into())
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

impl Partitions {
    pub(super) fn heal(&self, fabric: &Fabric) -> Result<()> {
        let mut state = self.lock();
        state.deaf.clear();
        state.put_in_force(fabric)
    }

    /// Has the partitions hold for the addresses that the nodes have now.
    pub(super) fn refresh(&self, fabric: &Fabric) -> Result<()> {
        let mut state = self.lock();
        if state.deaf.is_empty() { Ok(()) } else { state.put_in_force(fabric) }
    }

    /// The rules of a node are those of a new network.
    pub(super) fn forget(&self, node: usize) {
        let mut state = self.lock();
        state.blocked.retain(|blocked| blocked.0 != node);
        state.prepared.retain(|prepared| prepared.0 != node);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Adds the rules that are missing, and removes those that are no longer wanted.
    fn put_in_force(&mut self, fabric: &Fabric) -> Result<()> {
        let wanted = self.wanted(fabric)?;
        let mut nodes: Vec<usize> =
            wanted.iter().chain(&self.blocked).map(|blocked| blocked.0).collect();
        nodes.extend(self.prepared.iter().map(|prepared| prepared.0));
        nodes.sort_unstable();
        nodes.dedup();
        nodes.into_iter().try_for_each(|node| self.put_in_force_on(fabric, node, &wanted))
    }

    fn put_in_force_on(
        &mut self,
        fabric: &Fabric,
        node: usize,
        wanted: &BTreeSet<(usize, IpAddr)>,
    ) -> Result<()> {
        let own = |blocked: &&(usize, IpAddr)| blocked.0 == node;
        let new: Vec<_> = wanted.difference(&self.blocked).filter(own).copied().collect();
        let old: Vec<_> = self.blocked.difference(wanted).filter(own).copied().collect();
        let here = fabric.hosts[node].here()?;
        let netlink = &here.netlink;
        for family in [IpAddr::from([0_u8; 4]), IpAddr::from([0_u16; 8])] {
            let is_of_family = |blocked: &&(usize, IpAddr)| blocked.1.is_ipv4() == family.is_ipv4();
            let key = (node, family.is_ipv4());
            let rules = rules_of(fabric, node);
            if new.iter().any(|blocked| is_of_family(&blocked)) && !self.prepared.contains(&key) {
                let requests = requests::make_room_for_blocks(&rules, family, true);
                netlink.ask_all(&requests).map_err(without_rules)?;
                self.prepared.insert(key);
            }
            let changes = new.iter().map(|blocked| (blocked, true));
            for (blocked, on) in changes.chain(old.iter().map(|blocked| (blocked, false))) {
                if is_of_family(&blocked) {
                    let object = label(fabric, *blocked);
                    netlink.ask_all(&[requests::block(object, blocked.1, on)])?;
                    if on {
                        self.blocked.insert(*blocked)
                    } else {
                        self.blocked.remove(blocked)
                    };
                }
            }
            let is_empty = !self.blocked.iter().filter(own).any(|blocked| is_of_family(&blocked));
            if is_empty && self.prepared.contains(&key) {
                let requests = requests::make_room_for_blocks(&rules, family, false);
                netlink.ask_all(&requests)?;
                self.prepared.remove(&key);
            }
        }
        Ok(())
    }

    /// What is to be dropped where.
    fn wanted(&self, fabric: &Fabric) -> Result<BTreeSet<(usize, IpAddr)>> {
        let nodes: BTreeSet<usize> = self.deaf.iter().map(|pair| pair.0).collect();
        let mut addresses = std::collections::BTreeMap::new();
        for node in nodes {
            // Who is powered off neither speaks nor hears.
            let here = fabric.hosts[node].here().ok();
            let all = here.map(|here| here.netlink.addresses()).transpose()?.unwrap_or_default();
            let own: BTreeSet<IpAddr> = all.into_iter().map(|one| one.address).collect();
            addresses.insert(node, own);
        }
        let pairs = self.deaf.iter().flat_map(|(hearer, speaker)| {
            // Nobody is to be cut off from itself.
            let speakers = addresses[speaker].difference(&addresses[hearer]);
            let hears = fabric.hosts[*hearer].is_on();
            speakers.filter(move |one| hears && !one.is_loopback()).map(|one| (*hearer, *one))
        });
        Ok(pairs.collect())
    }
}

fn rules_of(fabric: &Fabric, node: usize) -> String {
    format!("the rules of {}", fabric.plan.nodes()[node].name)
}

fn label(fabric: &Fabric, (node, address): (usize, IpAddr)) -> String {
    format!("{address} on {}", fabric.plan.nodes()[node].name)
}

fn mistake(plan: &Plan, node: usize, why: &str) -> Failure {
    Failure::new("part", plan.nodes()[node].name.as_str(), why)
}

/// The kernel does not say what it lacks.
fn without_rules(failure: Failure) -> Failure {
    match failure.errno {
        // EOPNOTSUPP and EAFNOSUPPORT.
        Some(95 | 97) => failure.advise(
            "a partition needs a kernel with CONFIG_IP_MULTIPLE_TABLES and CONFIG_IPV6_MULTIPLE_TABLES",
        ),
        _ => failure,
    }
}
