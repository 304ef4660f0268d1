//! Partitions: nodes that hear nothing of others, whatever lies between them.
//!
//! Each node of one side has a rule for each address of the other side, which drops what comes from
//! there without a word before anything else is looked up. So it does not matter by which way a
//! packet comes, and nodes between the two sides are not touched.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use crate::addr::link_local::link_local;
use crate::addr::mac::Mac;
use crate::error::{Failure, Result};
use crate::lab::fabric::node::{Here, LiveNode};
use crate::netlink;
use crate::sys::lock::lock;

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

impl Partitions {
    /// Adds a partition between two groups of nodes, given by their positions. Where a node refuses
    /// it, none is added.
    pub(crate) fn add(
        &self,
        nodes: &[Arc<LiveNode>],
        one: &BTreeSet<usize>,
        other: &BTreeSet<usize>,
    ) -> Result<()> {
        let pairs = one.iter().flat_map(|&a| other.iter().flat_map(move |&b| [(a, b), (b, a)]));
        let mut state = self.lock();
        let before = state.deaf.clone();
        state.deaf.extend(pairs);
        state.put_in_force(nodes).inspect_err(|_| {
            state.deaf = before;
            // The first error is returned; this removes as many of the new rules as it can.
            drop(state.put_in_force(nodes));
        })
    }

    /// Removes all partitions.
    pub(crate) fn heal(&self, nodes: &[Arc<LiveNode>]) -> Result<()> {
        let mut state = self.lock();
        state.deaf.clear();
        state.put_in_force(nodes)
    }

    /// Has them hold for what is to come: addresses, by the places of their nodes, and a node that is
    /// powered on. [`arrived`](Self::arrived) is to follow, whether it has come or not.
    pub(crate) fn expect(
        &self,
        nodes: &[Arc<LiveNode>],
        new: &[(usize, IpAddr)],
        starting: Option<(usize, Arc<Here>)>,
    ) -> Result<()> {
        let mut state = self.lock();
        state.expected.extend(new);
        state.starting.extend(starting);
        state.put_in_force_if_any(nodes)
    }

    /// Has them hold for what is there, and no longer for what was expected.
    pub(crate) fn arrived(&self, nodes: &[Arc<LiveNode>], new: &[(usize, IpAddr)]) -> Result<()> {
        let mut state = self.lock();
        state.expected.retain(|expected| !new.contains(expected));
        state.starting.retain(|node, _| !nodes[*node].is_on());
        state.put_in_force_if_any(nodes)
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
        lock(&self.0)
    }
}

impl State {
    fn put_in_force_if_any(&mut self, nodes: &[Arc<LiveNode>]) -> Result<()> {
        if self.deaf.is_empty() { Ok(()) } else { self.put_in_force(nodes) }
    }

    /// Adds the rules that are missing, and removes those that are no longer wanted, on all nodes, whatever
    /// one of them refuses. The first refusal is told.
    fn put_in_force(&mut self, nodes: &[Arc<LiveNode>]) -> Result<()> {
        let wanted = self.wanted(nodes)?;
        let mut places: Vec<usize> =
            wanted.iter().chain(&self.blocked).map(|blocked| blocked.0).collect();
        places.extend(self.prepared.iter().map(|prepared| prepared.0));
        places.sort_unstable();
        places.dedup();
        let each = places.into_iter().map(|node| self.put_in_force_on(nodes, node, &wanted));
        each.fold(Ok(()), Result::and)
    }

    fn put_in_force_on(
        &mut self,
        nodes: &[Arc<LiveNode>],
        node: usize,
        wanted: &BTreeSet<(usize, IpAddr)>,
    ) -> Result<()> {
        let own = |blocked: &&(usize, IpAddr)| blocked.0 == node;
        let new: Vec<_> = wanted.difference(&self.blocked).filter(own).copied().collect();
        let old: Vec<_> = self.blocked.difference(wanted).filter(own).copied().collect();
        let Some(here) = self.here(nodes, node) else {
            // It is powered off at this moment, and its rules are gone with its network.
            self.forget(node);
            return Ok(());
        };
        let netlink = &here.netlink;
        for family in [IpAddr::from([0_u8; 4]), IpAddr::from([0_u16; 8])] {
            let is_of_family = |blocked: &&(usize, IpAddr)| blocked.1.is_ipv4() == family.is_ipv4();
            let key = (node, family.is_ipv4());
            let rules = rules_of(nodes, node);
            if new.iter().any(|blocked| is_of_family(&blocked)) && !self.prepared.contains(&key) {
                let requests = netlink::rule::make_room_for_blocks(&rules, family, true);
                netlink.ask_all(&requests).map_err(without_rules)?;
                self.prepared.insert(key);
            }
            let changes = new.iter().map(|blocked| (blocked, true));
            for (blocked, on) in changes.chain(old.iter().map(|blocked| (blocked, false))) {
                if is_of_family(&blocked) {
                    let object = label(nodes, *blocked);
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
    fn wanted(&self, nodes: &[Arc<LiveNode>]) -> Result<BTreeSet<(usize, IpAddr)>> {
        let parted: BTreeSet<usize> = self.deaf.iter().map(|pair| pair.0).collect();
        let mut addresses: BTreeMap<usize, BTreeSet<IpAddr>> = BTreeMap::new();
        for &node in &parted {
            // Who is powered off neither speaks nor hears.
            if let Some(here) = self.here(nodes, node) {
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
    fn here(&self, nodes: &[Arc<LiveNode>], node: usize) -> Option<Arc<Here>> {
        nodes[node].here().ok().or_else(|| self.starting.get(&node).cloned())
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

fn rules_of(nodes: &[Arc<LiveNode>], node: usize) -> String {
    format!("the rules of {}", nodes[node].name())
}

fn label(nodes: &[Arc<LiveNode>], (node, address): (usize, IpAddr)) -> String {
    format!("{address} on {}", nodes[node].name())
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
