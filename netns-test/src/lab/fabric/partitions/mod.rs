//! Partitions: all packets between two groups of nodes are dropped.
//!
//! Each node of one side has an ip rule (ip-rule(8)) for each address of the other side. It drops
//! packets from that address before the routing lookup, without an ICMP error. So the path of a
//! packet does not matter, and nodes between the two sides are not changed.
//!
//! The kernel looks up no route for an IPv4 packet to a multicast group or to 255.255.255.255. So
//! nftables, if the kernel has it, drops the IPv4 packets from these addresses, too.

mod neighbours;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};

use crate::addr::link_local::link_local;
use crate::addr::mac::Mac;
use crate::error::{Failure, Result};
use crate::lab::fabric::limitation;
use crate::lab::fabric::limitation::Limitation;
use crate::lab::fabric::node::{LiveNode, Namespaces};
use crate::lab::fabric::on_thread;
use crate::lab::fabric::partitions::neighbours::Entry;
use crate::netlink;
use crate::netlink::nft_filter;
use crate::sys::errno;
use crate::sys::lock::lock;

/// Partitions that are wanted, and the rules that enforce them.
#[derive(Debug, Default)]
pub(crate) struct Partitions(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Partitions by number: pairs of nodes, by position, of which the first one drops packets from
    /// the second one.
    cuts: BTreeMap<u64, BTreeSet<(usize, usize)>>,
    /// Number of the next partition.
    next: u64,
    /// Rules that exist: the node drops packets from the address.
    blocked: BTreeSet<(usize, IpAddr)>,
    /// Nodes whose rule for the table `local` is behind these rules, with the family: whether it is
    /// IPv4.
    prepared: BTreeSet<(usize, bool)>,
    /// Neighbour entries that exist for partitions of one way, by node.
    neighbours: BTreeMap<usize, BTreeSet<Entry>>,
    /// Nodes whose nftables drop packets from the addresses of the rules.
    filtered: BTreeSet<usize>,
    /// Refusals of the kernel, by node.
    limitations: BTreeMap<usize, Limitation>,
    /// Addresses that nodes are about to get. Rules for them exist before the addresses do.
    expected: BTreeSet<(usize, IpAddr)>,
    /// Nodes that are being powered on.
    starting: BTreeMap<usize, Arc<Namespaces>>,
}

impl Partitions {
    /// Adds a partition: pairs of nodes, by position, of which the first one drops packets from the
    /// second one. Returns its number. If a node refuses it, none is added.
    pub(crate) fn add(
        &self,
        nodes: &[Arc<LiveNode>],
        deaf: BTreeSet<(usize, usize)>,
    ) -> Result<u64> {
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        state.cuts.insert(number, deaf);
        state.enforce(nodes).inspect_err(|_| {
            state.cuts.remove(&number);
            // The first error is returned; this removes as many of the new rules as it can.
            drop(state.enforce(nodes));
        })?;
        Ok(number)
    }

    /// Removes one partition, or all. One that is removed already is no error.
    pub(crate) fn heal(&self, nodes: &[Arc<LiveNode>], number: Option<u64>) -> Result<()> {
        let mut state = self.lock();
        state.cuts.retain(|cut, _| number.is_some_and(|number| number != *cut));
        state.enforce(nodes)
    }

    /// Enforces the partitions for addresses that are about to be added, by the positions of their
    /// nodes, and for a node that is being powered on. [`arrived`](Self::arrived) must follow, also
    /// after a failure.
    pub(crate) fn expect(
        &self,
        nodes: &[Arc<LiveNode>],
        new: &[(usize, IpAddr)],
        starting: Option<(usize, Arc<Namespaces>)>,
    ) -> Result<()> {
        let mut state = self.lock();
        state.expected.extend(new);
        state.starting.extend(starting);
        state.enforce_if_any(nodes)
    }

    /// Enforces the partitions for the addresses that exist, and drops the expectation of `new`.
    pub(crate) fn arrived(&self, nodes: &[Arc<LiveNode>], new: &[(usize, IpAddr)]) -> Result<()> {
        let mut state = self.lock();
        state.expected.retain(|expected| !new.contains(expected));
        state.starting.retain(|node, _| !nodes[*node].is_on());
        state.enforce_if_any(nodes)
    }

    /// Forgets the rules of a node whose network is gone.
    pub(crate) fn forget(&self, node: usize) {
        self.lock().forget(node);
    }

    /// Returns the positions of nodes of which at least one drops the packets of the other one,
    /// each pair once.
    pub(crate) fn pairs(&self) -> Vec<[usize; 2]> {
        let state = self.lock();
        let pairs = state.deaf().map(|(one, other)| [one.min(other), one.max(other)]);
        pairs.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Returns what the kernel has refused to a node.
    pub(crate) fn limitation(&self, node: usize) -> Option<Limitation> {
        self.lock().limitations.get(&node).cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        lock(&self.0)
    }
}

impl State {
    /// Returns the pairs of all partitions; a pair that is in several is returned for each.
    fn deaf(&self) -> impl Iterator<Item = (usize, usize)> {
        self.cuts.values().flatten().copied()
    }

    fn enforce_if_any(&mut self, nodes: &[Arc<LiveNode>]) -> Result<()> {
        if self.cuts.is_empty() { Ok(()) } else { self.enforce(nodes) }
    }

    /// Adds missing rules and removes needless ones on all nodes, also after one of them has
    /// failed. Returns the first error.
    fn enforce(&mut self, nodes: &[Arc<LiveNode>]) -> Result<()> {
        let wanted = self.wanted(nodes)?;
        let mut places: Vec<usize> =
            wanted.iter().chain(&self.blocked).map(|blocked| blocked.0).collect();
        places.extend(self.prepared.iter().map(|prepared| prepared.0));
        places.sort_unstable();
        places.dedup();
        // Entries first: a node that is deaf already cannot ask for them.
        let known = self.introduce(nodes);
        let each = places.into_iter().map(|node| self.enforce_on(nodes, node, &wanted));
        each.fold(known, Result::and)
    }

    /// Sets the neighbour entries of the nodes of partitions of one way.
    fn introduce(&mut self, nodes: &[Arc<LiveNode>]) -> Result<()> {
        let both_ways = |cut: &BTreeSet<_>, (one, other): (usize, usize)| {
            (!cut.contains(&(other, one))).then_some([(one, other), (other, one)])
        };
        let pairs = self
            .cuts
            .values()
            .flat_map(|cut| cut.iter().filter_map(move |pair| both_ways(cut, *pair)).flatten());
        let mut wanted: BTreeMap<usize, BTreeSet<Entry>> = BTreeMap::new();
        for (one, other) in pairs.collect::<BTreeSet<_>>() {
            if let (Some(near), Some(far)) = (self.here(nodes, one), self.here(nodes, other)) {
                wanted.entry(one).or_default().extend(neighbours::wanted(&near, &far)?);
            }
        }
        let places: BTreeSet<usize> =
            wanted.keys().chain(self.neighbours.keys()).copied().collect();
        let mut done = Ok(());
        for node in places {
            let new = wanted.remove(&node).unwrap_or_default();
            let old = self.neighbours.remove(&node).unwrap_or_default();
            if let Some(here) = self.here(nodes, node) {
                done = done.and(neighbours::set((nodes[node].name(), &here), &new, &old));
                if !new.is_empty() {
                    self.neighbours.insert(node, new);
                }
            }
        }
        done
    }

    fn enforce_on(
        &mut self,
        nodes: &[Arc<LiveNode>],
        node: usize,
        wanted: &BTreeSet<(usize, IpAddr)>,
    ) -> Result<()> {
        let own = |blocked: &&(usize, IpAddr)| blocked.0 == node;
        let new: Vec<_> = wanted.difference(&self.blocked).filter(own).copied().collect();
        let old: Vec<_> = self.blocked.difference(wanted).filter(own).copied().collect();
        let Some(here) = self.here(nodes, node) else {
            // The node is powered off, and its rules are gone with its network.
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
                    // A rule that another program has removed is not removed again.
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
        if new.iter().chain(&old).any(|blocked| blocked.1.is_ipv4()) {
            self.filter(nodes, node, &here)?;
        }
        Ok(())
    }

    /// Makes nftables drop the packets from the addresses that the rules are about.
    fn filter(&mut self, nodes: &[Arc<LiveNode>], node: usize, here: &Namespaces) -> Result<()> {
        let own = self.blocked.iter().filter(|blocked| blocked.0 == node);
        let senders = own.filter_map(|(_, address)| match address {
            IpAddr::V4(sender) => Some(*sender),
            IpAddr::V6(_) => None,
        });
        let senders: Vec<Ipv4Addr> = senders.collect();
        let has_table = self.filtered.contains(&node);
        if senders.is_empty() && !has_table {
            return Ok(());
        }
        let name = nodes[node].name();
        let done = on_thread::fresh(|| {
            let enter = here.place.enter_network();
            enter.map_err(|error| errno::failure("setns", format!("to {name}"), &error))?;
            Ok(nft_filter::drop_from(&senders, has_table))
        })?;
        if senders.is_empty() {
            self.filtered.remove(&node);
        }
        match done {
            Ok(()) if senders.is_empty() => Ok(()),
            Ok(()) => {
                self.filtered.insert(node);
                Ok(())
            }
            Err(error) if !has_table && is_missing(&error) => {
                let limitation = limitation_of(&error);
                limitation::print([(name, std::slice::from_ref(&limitation))].into_iter());
                self.limitations.insert(node, limitation);
                Ok(())
            }
            Err(error) => {
                self.filtered.remove(&node);
                let object = format!("the nftables of partitions on {name}");
                Err(Failure { step: "change".to_owned(), object, ..error }.into())
            }
        }
    }

    /// Returns the rules that enforce the partitions.
    fn wanted(&self, nodes: &[Arc<LiveNode>]) -> Result<BTreeSet<(usize, IpAddr)>> {
        let parted: BTreeSet<usize> = self.deaf().flat_map(|(one, other)| [one, other]).collect();
        let mut addresses: BTreeMap<usize, BTreeSet<IpAddr>> = BTreeMap::new();
        for &node in &parted {
            // A node that is powered off sends and receives nothing.
            if let Some(here) = self.here(nodes, node) {
                let mut own = own_addresses(&here)?;
                let new = self.expected.iter().filter(|new| new.0 == node);
                own.extend(new.map(|(_, address)| *address));
                addresses.insert(node, own);
            }
        }
        let pairs = self.deaf().filter_map(|(hearer, speaker)| {
            let (own, theirs) = (addresses.get(&hearer)?, addresses.get(&speaker)?);
            // A node does not drop packets from an address of its own.
            Some(theirs.difference(own).map(move |one| (hearer, *one)))
        });
        Ok(pairs.flatten().filter(|(_, address)| !address.is_loopback()).collect())
    }

    /// Returns the namespaces of a node that is on or being powered on.
    fn here(&self, nodes: &[Arc<LiveNode>], node: usize) -> Option<Arc<Namespaces>> {
        nodes[node].here().ok().or_else(|| self.starting.get(&node).cloned())
    }

    /// Forgets the rules of a node whose network is gone.
    fn forget(&mut self, node: usize) {
        self.blocked.retain(|blocked| blocked.0 != node);
        self.prepared.retain(|prepared| prepared.0 != node);
        self.neighbours.remove(&node);
        self.filtered.remove(&node);
        self.starting.remove(&node);
    }
}

/// Returns the addresses of a node, with the link-local ones that its interfaces have while they
/// are up.
pub(crate) fn own_addresses(here: &Namespaces) -> Result<BTreeSet<IpAddr>> {
    let all = here.netlink.addresses()?.into_iter().map(|one| one.cidr.address());
    let interfaces = here.netlink.interfaces()?;
    let macs = interfaces.iter().filter_map(|one| one.mac.as_deref()?.try_into().ok());
    let macs = macs.filter_map(|octets| Mac::new(octets).ok());
    Ok(all.chain(macs.map(link_local)).collect())
}

/// Returns whether nftables are missing, or refused to the caller.
fn is_missing(error: &Failure) -> bool {
    let missing = [
        errno::EPERM,
        errno::EACCES,
        errno::ENOENT,
        errno::EINVAL,
        errno::EOPNOTSUPP,
        errno::EPROTONOSUPPORT,
        errno::EAFNOSUPPORT,
    ];
    error.errno.is_some_and(|code| missing.contains(&code))
}

fn limitation_of(error: &Failure) -> Limitation {
    let after = format!(
        "does not stop IPv4 packets to multicast groups and to 255.255.255.255: nftables are \
         refused ({}; CONFIG_NF_TABLES_IPV4)",
        error.reason
    );
    Limitation::new("a partition at", after)
}

fn rules_of(nodes: &[Arc<LiveNode>], node: usize) -> String {
    format!("the rules of {}", nodes[node].name())
}

fn label(nodes: &[Arc<LiveNode>], (node, address): (usize, IpAddr)) -> String {
    format!("{address} on {}", nodes[node].name())
}

/// Adds the kernel options that a partition needs to an error that means a lack of them.
fn without_rules(failure: Failure) -> Failure {
    match failure.errno {
        Some(errno::EOPNOTSUPP | errno::EAFNOSUPPORT) => failure.advise(
            "a partition needs a kernel with CONFIG_IP_MULTIPLE_TABLES and CONFIG_IPV6_MULTIPLE_TABLES",
        ),
        _ => failure,
    }
}
