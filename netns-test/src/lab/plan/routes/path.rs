//! Paths of packets and reachability by the plan. Pure.
//!
//! A packet is forwarded from node to node by the forwarding tables alone, as the kernels do, so
//! that the result is independent of the computation of the routes.

use std::fmt;
use std::net::IpAddr;

use crate::lab::plan::nat::exposure::Exposure;
use crate::lab::plan::nat::view::View;
use crate::lab::plan::routes::flow::{Flow, Packet, Step};
use crate::lab::plan::routes::outcome::{PathOutcome, Translation};
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
/// `client (eth0) -> home (eth1) -> server`, with translations, and with the
/// reason if the packet does not arrive.
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
    /// Translation by a NAT of the node.
    pub translation: Option<Translation>,
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
    /// NATs and firewalls have a direction, and so has the result: a client behind a NAT can reach
    /// a server outside, which in turn reaches the client only by a forwarded port or a 1:1
    /// address. A firewall counts if it lets no packet pass, of whatever protocol and port.
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
    ///
    /// A node behind a NAT has the external addresses at which the NAT has a port or an address
    /// for it. If there are none, the path ends at the NAT.
    #[must_use]
    pub fn path(&self, a: NodeId, b: NodeId) -> Path {
        let (Some(from), Some(to)) = (self.position(a), self.position(b)) else {
            return Path::none();
        };
        let targets = self.targets(from, to);
        let path = |target: &Target| self.path_of(from, target, Some(to));
        let mut paths = targets.iter().map(path);
        let first = paths.next();
        let arrives = |path: &Path| path.end == PathOutcome::Arrived;
        match first {
            Some(path) if !arrives(&path) => paths.find(arrives).unwrap_or(path),
            first => first.unwrap_or_else(Path::none),
        }
    }

    /// Returns the path of a packet from `a` to an address.
    #[must_use]
    pub fn path_to(&self, a: NodeId, destination: IpAddr) -> Path {
        match self.position(a) {
            Some(from) => {
                let target = Target { address: destination, way: Vec::new() };
                self.path_of(from, &target, None)
            }
            None => Path::none(),
        }
    }

    /// Returns the addresses at which `viewer` reaches `node` by its name: those in the
    /// [`hosts_file`](Self::hosts_file) of `viewer`. For a node behind a NAT these are external
    /// addresses, or none.
    #[must_use]
    pub fn addresses_seen_from(&self, viewer: NodeId, node: NodeId) -> Vec<IpAddr> {
        match (self.position(viewer), self.position(node)) {
            (Some(viewer), Some(node)) => {
                let view = self.view();
                view.destinations(&view.viewer(viewer), node, &self.exposures)
            }
            _ => Vec::new(),
        }
    }

    fn path_of(&self, from: usize, target: &Target, to: Option<usize>) -> Path {
        let Target { address: destination, way } = target;
        let mut hops = Vec::new();
        let visit = |(node, interface, translation): Step| {
            let name = |interface| self.interface(InterfaceRef { node, interface }).name.clone();
            hops.push(Hop {
                node,
                name: self.nodes[node].name.clone(),
                interface: interface.map(|interface| InterfaceRef { node, interface }),
                interface_name: interface.map(name),
                translation,
            });
        };
        let source = self.source(from, *destination).unwrap_or(*destination);
        let packet = Packet { source, destination: *destination };
        let (end, _) = Flow::new(self, way, to).first(from, packet, visit);
        Path { destination: Some(*destination), hops, end }
    }

    fn is_reachable(&self, a: usize, b: usize, is_ipv4: bool) -> bool {
        let mut targets = self.targets(a, b).into_iter();
        targets.any(|Target { address: destination, way }| {
            let source = (destination.is_ipv4() == is_ipv4).then(|| self.source(a, destination));
            let Some(source) = source.flatten() else { return false };
            let (sent, mut flow) = (Packet { source, destination }, Flow::new(self, &way, Some(b)));
            let mut last = a;
            let (end, arrived) = flow.first(a, sent, |(node, ..)| last = node);
            end == PathOutcome::Arrived && last == b && flow.is_answered((b, arrived), (a, sent))
        })
    }

    /// Returns the addresses to which `a` may send for `b`: those that it sees, else those of
    /// exposures, else those of the NAT between the two.
    fn targets(&self, a: usize, b: usize) -> Vec<Target> {
        let target = |address| Target { address, way: Vec::new() };
        if self.nodes.iter().all(|node| node.nats.is_empty()) {
            return self.nodes[b].addresses.iter().copied().map(target).collect();
        }
        let view = self.view();
        let viewer = view.viewer(a);
        let mut found: Vec<Target> = view.direct(&viewer, b).into_iter().map(target).collect();
        if !found.iter().any(|one| one.address.is_ipv4()) {
            let exposed = |way: Vec<Exposure>| {
                way.first()
                    .map(|one| Target { address: IpAddr::V4(one.external), way: way.clone() })
            };
            let ways = view.ways(&viewer, b, &self.exposures);
            found.splice(0..0, ways.into_iter().filter_map(exposed));
        }
        for is_ipv4 in [true, false] {
            if found.iter().all(|one| one.address.is_ipv4() != is_ipv4) {
                let sources = view.sources(&viewer, b).into_iter();
                found.extend(sources.filter(|one| one.is_ipv4() == is_ipv4).map(target));
            }
        }
        match found.is_empty() {
            true => self.nodes[b].addresses.iter().copied().map(target).collect(),
            false => found,
        }
    }

    fn view(&self) -> View<'_> {
        View { nodes: &self.nodes, realms: &self.realms }
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
            if self.owners.on(at, to).is_some() {
                visit(at, None);
                return PathOutcome::Arrived;
            }
            if step > 0 && node.kind != NodeKind::Router {
                visit(at, None);
                return PathOutcome::NotForwarded;
            }
            let Some((interface, next)) = self.fibs[at].look_up(to) else {
                visit(at, None);
                return node.without_route(to);
            };
            visit(at, Some(interface));
            let segment = node.interfaces[interface].segment;
            match self.owner_on(segment, next) {
                Some(owner) => at = owner.node,
                None => return PathOutcome::NoNeighbour(next),
            }
        }
        PathOutcome::Loop
    }

    /// Returns the interface on a segment that has an address.
    pub(crate) fn owner_on(&self, segment: usize, address: IpAddr) -> Option<InterfaceRef> {
        let mut owners = self.owners.all(address);
        owners.find(|owner| self.interface(*owner).segment == segment)
    }

    /// Returns the source address that the kernel selects.
    fn source(&self, from: usize, to: IpAddr) -> Option<IpAddr> {
        let node = &self.nodes[from];
        if self.owners.on(from, to).is_some() {
            return Some(to);
        }
        let (interface, next) = self.fibs[from].look_up(to)?;
        let addresses = &node.interfaces[interface].addresses;
        let near = addresses.iter().find(|one| one.is_near(next));
        let first = || addresses.iter().find(|one| one.address().is_ipv4() == to.is_ipv4());
        near.or_else(first).map(|one| one.address())
    }
}

/// An address to which packets for a node are sent, and the exposures that lead to the node.
struct Target {
    address: IpAddr,
    way: Vec<Exposure>,
}

impl Path {
    fn none() -> Self {
        Self { destination: None, hops: Vec::new(), end: PathOutcome::NoAddress }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (order, hop) in self.hops.iter().enumerate() {
            write!(f, "{}{}", if order == 0 { "" } else { " -> " }, hop.name)?;
            let translation = hop.translation.map(|one| match one {
                Translation::Source(address) => format!("source translated to {address}"),
                Translation::Destination(address) => format!("destination translated to {address}"),
            });
            let words: Vec<String> =
                hop.interface_name.clone().into_iter().chain(translation).collect();
            if !words.is_empty() {
                write!(f, " ({})", words.join(", "))?;
            }
        }
        let last = self.hops.last().map_or("", |hop| hop.name.as_str());
        let to = self.destination.map_or("it".to_owned(), |address| address.to_string());
        match self.end {
            PathOutcome::Arrived => Ok(()),
            PathOutcome::NoRoute => write!(f, ": {last} has no route to {to}"),
            PathOutcome::BlackHole => write!(f, ": {last} discards packets to {to}"),
            PathOutcome::NotForwarded => write!(f, ": {last} is a host and does not forward"),
            PathOutcome::NoNeighbour(address) => write!(f, " -> ?: no node there has {address}"),
            PathOutcome::Loop => write!(f, " -> ...: a loop of routes to {to}"),
            PathOutcome::NoMapping => write!(f, ": the NAT of {last} has no mapping to the inside"),
            PathOutcome::Filtered => write!(f, ": dropped by the firewall of {last}"),
            PathOutcome::Ipv6Blocked => write!(f, ": the NAT of {last} blocks IPv6"),
            PathOutcome::NoAddress => write!(f, "no path: no such node, or it has no address"),
        }
    }
}
