//! Paths of packets and reachability by the plan. Pure.
//!
//! A packet is forwarded from node to node by the forwarding tables alone, as the kernels do, so
//! that the result is independent of the computation of the routes.

use std::fmt;
use std::net::IpAddr;

use crate::lab::plan::{InterfaceRef, Plan};
use crate::lab::topology::{NodeId, NodeKind};

/// Reachability of one node from another, by family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Reachability {
    /// True if packets and their answers arrive over IPv4.
    pub ipv4: bool,
    /// True if packets and their answers arrive over IPv6.
    pub ipv6: bool,
}

/// Path of a packet by the plan. `Display` writes one line,
/// `client (eth0) -> home (eth1) -> server`, with the reason if the packet does not arrive.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Path {
    /// Destination address; `None` if the destination node has no address.
    pub destination: Option<IpAddr>,
    /// Nodes that the packet passes, beginning with the sender.
    pub hops: Vec<Hop>,
    /// Outcome at the last node.
    pub end: PathOutcome,
}

/// A node on the path of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hop {
    /// Index of the node in [`Plan::nodes`].
    pub node: usize,
    /// Name of the node.
    pub name: String,
    /// Outgoing interface; `None` if the packet does not leave the node.
    pub interface: Option<InterfaceRef>,
    /// Name of the outgoing interface.
    pub interface_name: Option<String>,
}

/// Outcome of the path of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PathOutcome {
    /// The packet reaches a node that has the destination address.
    Arrived,
    /// The last node has no route to the destination.
    NoRoute,
    /// The last node is a host, which does not forward packets.
    NotForwarded,
    /// No node on the segment has this address, which is the next hop.
    NoNeighbour(IpAddr),
    /// The routes form a loop.
    Loop,
    /// The destination node has no address, or one of the nodes is of another topology.
    NoAddress,
}

impl Reachability {
    /// Returns whether the node is reachable over both IPv4 and IPv6.
    #[must_use]
    pub fn both(self) -> bool {
        self.ipv4 && self.ipv6
    }

    /// Returns whether the node is reachable over at least one family.
    #[must_use]
    pub fn any(self) -> bool {
        self.ipv4 || self.ipv6
    }
}

impl Plan {
    /// Returns the families over which `a` can reach `b` by the plan: a packet from `a` to some
    /// address of `b` arrives, and so does the answer to its source address.
    ///
    /// The result is empty for the id of another topology.
    #[must_use]
    pub fn can_reach(&self, a: NodeId, b: NodeId) -> Reachability {
        match (self.position(a), self.position(b)) {
            (Some(a), Some(b)) => Reachability {
                ipv4: self.is_reachable(a, b, true),
                ipv6: self.is_reachable(a, b, false),
            },
            _ => Reachability::default(),
        }
    }

    /// Returns the path of a packet from `a` to the first address of `b` at which it arrives. If it
    /// arrives at none, returns the path to the first address of `b`.
    #[must_use]
    pub fn path(&self, a: NodeId, b: NodeId) -> Path {
        let addresses = self.addresses_of(b);
        let arrives = |&to: &IpAddr| {
            let from = self.position(a);
            from.is_some_and(|from| self.walk(from, to, |_, _| {}) == PathOutcome::Arrived)
        };
        match addresses.iter().copied().find(arrives).or_else(|| addresses.first().copied()) {
            Some(address) => self.path_to(a, address),
            None => Path { destination: None, hops: Vec::new(), end: PathOutcome::NoAddress },
        }
    }

    /// Returns the path of a packet from `a` to an address.
    #[must_use]
    pub fn path_to(&self, a: NodeId, destination: IpAddr) -> Path {
        let Some(from) = self.position(a) else {
            return Path { destination: None, hops: Vec::new(), end: PathOutcome::NoAddress };
        };
        let mut hops = Vec::new();
        let end = self.walk(from, destination, |node, interface| {
            let name = |interface| self.interface(InterfaceRef { node, interface }).name.clone();
            hops.push(Hop {
                node,
                name: self.nodes[node].name.clone(),
                interface: interface.map(|interface| InterfaceRef { node, interface }),
                interface_name: interface.map(name),
            });
        });
        Path { destination: Some(destination), hops, end }
    }

    fn is_reachable(&self, a: usize, b: usize, is_ipv4: bool) -> bool {
        let arrives = |from, to| self.walk(from, to, |_, _| {}) == PathOutcome::Arrived;
        let mut addresses = self.nodes[b].addresses.iter();
        addresses.any(|&to| {
            let source = if to.is_ipv4() == is_ipv4 { self.source(a, to) } else { None };
            source.is_some_and(|source| arrives(a, to) && arrives(b, source))
        })
    }

    /// Follows a packet, and calls `visit` with each node and its outgoing interface.
    pub(crate) fn walk(
        &self,
        from: usize,
        to: IpAddr,
        mut visit: impl FnMut(usize, Option<usize>),
    ) -> PathOutcome {
        let mut at = from;
        for step in 0..=self.nodes.len() {
            let node = &self.nodes[at];
            if self.owners.get(&to).is_some_and(|owner| owner.node == at) {
                visit(at, None);
                return PathOutcome::Arrived;
            }
            if step > 0 && node.kind != NodeKind::Router {
                visit(at, None);
                return PathOutcome::NotForwarded;
            }
            let Some((interface, next)) = self.fibs[at].look_up(to) else {
                visit(at, None);
                return PathOutcome::NoRoute;
            };
            visit(at, Some(interface));
            let segment = node.interfaces[interface].segment;
            match self.owners.get(&next) {
                Some(&owner) if self.interface(owner).segment == segment => at = owner.node,
                _ => return PathOutcome::NoNeighbour(next),
            }
        }
        PathOutcome::Loop
    }

    /// Returns the source address that the kernel selects.
    fn source(&self, from: usize, to: IpAddr) -> Option<IpAddr> {
        let node = &self.nodes[from];
        if self.owners.get(&to).is_some_and(|owner| owner.node == from) {
            return Some(to);
        }
        let (interface, next) = self.fibs[from].look_up(to)?;
        let addresses = &node.interfaces[interface].addresses;
        let near = addresses.iter().find(|one| one.is_near(next));
        let first = || addresses.iter().find(|one| one.address().is_ipv4() == to.is_ipv4());
        near.or_else(first).map(|one| one.address())
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (order, hop) in self.hops.iter().enumerate() {
            write!(f, "{}{}", if order == 0 { "" } else { " -> " }, hop.name)?;
            if let Some(name) = &hop.interface_name {
                write!(f, " ({name})")?;
            }
        }
        let last = self.hops.last().map_or("", |hop| hop.name.as_str());
        let to = self.destination.map_or("it".to_owned(), |address| address.to_string());
        match self.end {
            PathOutcome::Arrived => Ok(()),
            PathOutcome::NoRoute => write!(f, ": {last} has no route to {to}"),
            PathOutcome::NotForwarded => write!(f, ": {last} is a host and does not forward"),
            PathOutcome::NoNeighbour(address) => write!(f, " -> ?: no node there has {address}"),
            PathOutcome::Loop => write!(f, " -> ...: a loop of routes to {to}"),
            PathOutcome::NoAddress => write!(f, "no path: no such node, or it has no address"),
        }
    }
}
