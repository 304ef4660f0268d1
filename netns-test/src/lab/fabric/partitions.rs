//! Partitions: nodes that hear nothing of others, whatever lies between them.
//!
//! Each node of one side has a rule for each address of the other side, which drops what comes from
//! there without a word before anything else is looked up. So it does not matter by which way a
//! packet comes, and nodes between the two sides are not touched.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use crate::addr::mac::Mac;
use crate::error::{Failure, Result, located};
use crate::lab::plan::Plan;
use crate::lab::run::lab::{Fabric, Lab};
use crate::lab::run::node::Here;
use crate::lab::topology::{NodeId, NodeKind};
use crate::netlink;

/// Which nodes do not hear which others, and what has been done for it.
#[derive(Debug, Default)]
pub(crate) struct Partitions(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Places of nodes: the first one hears nothing of the second one.
    deaf: BTreeSet<(usize, usize)>,
    /// The rules that there are: on the node, what comes from the address is dropped.
    blocked: BTreeSet<(usize, IpAddr)>,
    /// Nodes whose rules have room for these, by family.
    prepared: BTreeSet<(usize, bool)>,
    /// Addresses that nodes are to have in a moment: a partition is to hold when they come, not after.
    expected: BTreeSet<(usize, IpAddr)>,
    /// Nodes that are to be on in a moment.
    starting: BTreeMap<usize, Arc<Here>>,
}

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

    /// Undoes all [partitions](Self::partition): everybody hears everybody when this comes back, also who
    /// has asked for the other's Ethernet address in vain meanwhile.
    ///
    /// # Errors
    ///
    /// What the kernel says; ENOENT where somebody has removed a rule by hand. All else is undone then.
    #[track_caller]
    pub fn heal(&self) -> Result<()> {
        located(self.try_heal())
    }

    fn try_heal(&self) -> Result<()> {
        let fabric = self.fabric();
        let healed = fabric.partitions.heal(fabric);
        // When no rule is left on any node: what fails before fails rightly.
        let forgotten = fabric.forget_failures(&fabric.cables.lock());
        healed.and(forgotten)
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

impl Partitions {
    pub(crate) fn heal(&self, fabric: &Fabric) -> Result<()> {
        let mut state = self.lock();
        state.deaf.clear();
        state.put_in_force(fabric)
    }

    /// Has them hold for what is to come: addresses, by the places of their nodes, and a node that is
    /// powered on. [`arrived`](Self::arrived) is to follow, whether it has come or not.
    pub(crate) fn expect(
        &self,
        fabric: &Fabric,
        new: &[(usize, IpAddr)],
        starting: Option<(usize, Arc<Here>)>,
    ) -> Result<()> {
        let mut state = self.lock();
        state.expected.extend(new);
        state.starting.extend(starting);
        state.put_in_force_if_any(fabric)
    }

    /// Has them hold for what is there, and no longer for what was expected.
    pub(crate) fn arrived(&self, fabric: &Fabric, new: &[(usize, IpAddr)]) -> Result<()> {
        let mut state = self.lock();
        state.expected.retain(|expected| !new.contains(expected));
        state.starting.retain(|node, _| !fabric.hosts[*node].is_on());
        state.put_in_force_if_any(fabric)
    }

    /// The rules of a node are those of a new network.
    pub(crate) fn forget(&self, node: usize) {
        self.lock().forget(node);
    }

    /// The places of nodes that are parted, each pair once.
    pub(crate) fn pairs(&self) -> Vec<[usize; 2]> {
        let state = self.lock();
        let pairs = state.deaf.iter().filter(|(one, other)| one < other);
        pairs.map(|(one, other)| [*one, *other]).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn put_in_force_if_any(&mut self, fabric: &Fabric) -> Result<()> {
        if self.deaf.is_empty() { Ok(()) } else { self.put_in_force(fabric) }
    }

    /// Adds the rules that are missing, and removes those that are no longer wanted, on all nodes, whatever
    /// one of them refuses. The first refusal is told.
    fn put_in_force(&mut self, fabric: &Fabric) -> Result<()> {
        let wanted = self.wanted(fabric)?;
        let mut nodes: Vec<usize> =
            wanted.iter().chain(&self.blocked).map(|blocked| blocked.0).collect();
        nodes.extend(self.prepared.iter().map(|prepared| prepared.0));
        nodes.sort_unstable();
        nodes.dedup();
        let each = nodes.into_iter().map(|node| self.put_in_force_on(fabric, node, &wanted));
        each.fold(Ok(()), Result::and)
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
        let Some(here) = self.here(fabric, node) else {
            // It is powered off at this moment, and its rules are gone with its network.
            self.forget(node);
            return Ok(());
        };
        let netlink = &here.netlink;
        for family in [IpAddr::from([0_u8; 4]), IpAddr::from([0_u16; 8])] {
            let is_of_family = |blocked: &&(usize, IpAddr)| blocked.1.is_ipv4() == family.is_ipv4();
            let key = (node, family.is_ipv4());
            let rules = rules_of(fabric, node);
            if new.iter().any(|blocked| is_of_family(&blocked)) && !self.prepared.contains(&key) {
                let requests = netlink::rule::make_room_for_blocks(&rules, family, true);
                netlink.ask_all(&requests).map_err(without_rules)?;
                self.prepared.insert(key);
            }
            let changes = new.iter().map(|blocked| (blocked, true));
            for (blocked, on) in changes.chain(old.iter().map(|blocked| (blocked, false))) {
                if is_of_family(&blocked) {
                    let object = label(fabric, *blocked);
                    // One that somebody else has removed is not to be removed again.
                    if !on {
                        self.blocked.remove(blocked);
                    }
                    netlink.ask_all(&[netlink::rule::block(object, blocked.1, on)])?;
                    if on {
                        self.blocked.insert(*blocked);
                    }
                }
            }
            let is_empty = !self.blocked.iter().filter(own).any(|blocked| is_of_family(&blocked));
            if is_empty && self.prepared.contains(&key) {
                let requests = netlink::rule::make_room_for_blocks(&rules, family, false);
                netlink.ask_all(&requests)?;
                self.prepared.remove(&key);
            }
        }
        Ok(())
    }

    /// What is to be dropped where.
    fn wanted(&self, fabric: &Fabric) -> Result<BTreeSet<(usize, IpAddr)>> {
        let nodes: BTreeSet<usize> = self.deaf.iter().map(|pair| pair.0).collect();
        let mut addresses: BTreeMap<usize, BTreeSet<IpAddr>> = BTreeMap::new();
        for &node in &nodes {
            // Who is powered off neither speaks nor hears.
            if let Some(here) = self.here(fabric, node) {
                let mut own = own_addresses(&here)?;
                let new = self.expected.iter().filter(|new| new.0 == node);
                own.extend(new.map(|(_, address)| *address));
                addresses.insert(node, own);
            }
        }
        let pairs = self.deaf.iter().filter_map(|(hearer, speaker)| {
            let (own, theirs) = (addresses.get(hearer)?, addresses.get(speaker)?);
            // Nobody is to be cut off from itself.
            Some(theirs.difference(own).map(|one| (*hearer, *one)))
        });
        Ok(pairs.flatten().filter(|(_, address)| !address.is_loopback()).collect())
    }

    /// What there is of a node that is on, or is to be in a moment.
    fn here(&self, fabric: &Fabric, node: usize) -> Option<Arc<Here>> {
        fabric.hosts[node].here().ok().or_else(|| self.starting.get(&node).cloned())
    }

    /// The rules of a node are those of a new network.
    fn forget(&mut self, node: usize) {
        self.blocked.retain(|blocked| blocked.0 != node);
        self.prepared.retain(|prepared| prepared.0 != node);
        self.starting.remove(&node);
    }
}

/// Those that a node has, and the link-local ones that its interfaces have whenever they are up.
fn own_addresses(here: &Here) -> Result<BTreeSet<IpAddr>> {
    let all = here.netlink.addresses()?.into_iter().map(|one| one.cidr.address());
    let interfaces = here.netlink.interfaces()?;
    let macs = interfaces.iter().filter_map(|one| one.mac.as_deref()?.try_into().ok());
    let macs = macs.filter_map(|octets| Mac::new(octets).ok());
    Ok(all.chain(macs.map(link_local)).collect())
}

/// The link-local address of an interface (RFC 4291, appendix A).
pub(crate) fn link_local(mac: Mac) -> IpAddr {
    let [a, b, c, d, e, f] = mac.octets().map(u16::from);
    let halves = [(a ^ 2) << 8 | b, c << 8 | 0xff, 0xfe00 | d, e << 8 | f];
    Ipv6Addr::new(0xfe80, 0, 0, 0, halves[0], halves[1], halves[2], halves[3]).into()
}

fn rules_of(fabric: &Fabric, node: usize) -> String {
    format!("the rules of {}", fabric.plan.nodes()[node].name)
}

fn label(fabric: &Fabric, (node, address): (usize, IpAddr)) -> String {
    format!("{address} on {}", fabric.plan.nodes()[node].name)
}

fn mistake(plan: &Plan, node: usize, why: &str) -> Failure {
    Failure::new("partition", plan.nodes()[node].name.as_str(), why)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_local_address_of_an_interface() {
        let mac = Mac::new([0x02, 0x12, 0x34, 0x56, 0x78, 0x9a]).unwrap();
        assert_eq!(link_local(mac).to_string(), "fe80::12:34ff:fe56:789a");
    }
}
