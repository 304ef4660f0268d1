//! Whether two nodes can talk: a packet is walked from node to node by the planned routes alone,
//! as the kernels would do, and its answer back. It knows nothing of how the routes were found.

use std::fmt;
use std::net::IpAddr;

use crate::lab::plan::{InterfaceRef, Plan};
use crate::lab::topology::{NodeId, NodeKind};

/// For each family whether two nodes can talk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Reachability {
    /// Over IPv4.
    pub ipv4: bool,
    /// Over IPv6.
    pub ipv6: bool,
}

/// The way of a packet. Its `Display` is one line:
/// `client (eth0) -> home (eth1) -> server`, and why it ends if it does not arrive.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Path {
    /// Where the packet is sent to.
    pub destination: Option<IpAddr>,
    /// The nodes that it comes to, from the sender on.
    pub hops: Vec<Hop>,
    /// How it ends.
    pub end: PathOutcome,
}

/// A node on the way of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hop {
    /// Its place in [`Plan::nodes`].
    pub node: usize,
    /// Its name.
    pub name: String,
    /// The interface by which the packet leaves it, if it does.
    pub interface: Option<InterfaceRef>,
    /// The name of that interface.
    pub interface_name: Option<String>,
}

/// How the way of a packet ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PathOutcome {
    /// At a node that has the address.
    Arrived,
    /// The node has no route to it.
    NoRoute,
    /// The node is a host, which does not forward.
    NotForwarded,
    /// Nobody on the segment has the address of the gateway or of the destination.
    NoNeighbour(IpAddr),
    /// The packet goes round for ever.
    Loop,
    /// The node that it is for has no address, or is of another topology.
    NoAddress,
}

impl Reachability {
    /// Over IPv4 and over IPv6.
    #[must_use]
    pub fn both(self) -> bool {
        self.ipv4 && self.ipv6
    }

    /// Over one of the two at least.
    #[must_use]
    pub fn any(self) -> bool {
        self.ipv4 || self.ipv6
    }
}

impl Plan {
    /// Whether the plan says that two nodes can talk: that a packet from `a` to an address of `b`
    /// arrives, and the answer at the address that it came from.
    #[must_use]
    pub fn can_reach(&self, a: NodeId, b: NodeId) -> Reachability {
        match (self.position(a), self.position(b)) {
            (Some(a), Some(b)) => {
                Reachability { ipv4: self.can_talk(a, b, true), ipv6: self.can_talk(a, b, false) }
            }
            _ => Reachability::default(),
        }
    }

    /// The way of a packet from `a` to the first address of `b` at which it arrives; if there is
    /// none, to the one that its name stands for.
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

    /// The way of a packet from `a` to an address.
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

    fn can_talk(&self, a: usize, b: usize, is_ipv4: bool) -> bool {
        let arrives = |from, to| self.walk(from, to, |_, _| {}) == PathOutcome::Arrived;
        let mut addresses = self.nodes[b].addresses.iter();
        addresses.any(|&to| {
            let source = if to.is_ipv4() == is_ipv4 { self.source(a, to) } else { None };
            source.is_some_and(|source| arrives(a, to) && arrives(b, source))
        })
    }

    /// Walks a packet, and tells `visit` each node with the interface by which it leaves.
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

    /// The address that the kernel would send from.
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
            PathOutcome::NoNeighbour(address) => write!(f, " -> ?: nobody there has {address}"),
            PathOutcome::Loop => write!(f, " -> ...: a loop of routes to {to}"),
            PathOutcome::NoAddress => write!(f, "no way: no such node, or it has no address"),
        }
    }
}
