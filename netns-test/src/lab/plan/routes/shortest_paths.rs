//! The routes that are worked out: the shortest way over routers to every subnet, and default
//! routes for hosts.
//!
//! For each segment a breadth-first search goes outwards over routers, in the order of
//! declaration. A router gets a route to each subnet that it is not on. A host gets a default route
//! to the first router on its segments, and routes of its own to what is nearer by another.
//! Tunnels carry only what is on them: no way to another segment leads through one, or a tunnel's
//! packets could be sent into itself.

use std::collections::VecDeque;
use std::net::IpAddr;

use crate::addr::cidr::Subnet;
use crate::lab::plan::{InterfacePlan, NodePlan, RoutePlan, SegmentKind, SegmentPlan};
use crate::lab::topology::NodeKind;

/// Adds the routes to the nodes, which have those given by hand already.
pub(crate) fn work_out(nodes: &mut [NodePlan], segments: &[SegmentPlan]) {
    for is_ipv4 in [true, false] {
        let found = {
            let map = Map::new(nodes, segments, is_ipv4);
            map.routes()
        };
        for (node, found) in nodes.iter_mut().zip(found) {
            keep(node, found, is_ipv4);
        }
    }
}

/// Adds those of `found` that no route by hand takes the place of.
fn keep(node: &mut NodePlan, found: Vec<RoutePlan>, is_ipv4: bool) {
    let hand: Vec<Subnet> =
        node.routes.iter().filter(|route| route.is_static).map(|route| route.destination).collect();
    let has_default = hand.iter().any(|subnet| subnet.prefix() == 0 && subnet.is_ipv4() == is_ipv4);
    let is_kept = |route: &RoutePlan| {
        let is_replaced = match route.via {
            // A router that sent all to one gateway would send back what came from there.
            Some(_) if has_default && node.kind != NodeKind::Router => true,
            _ => hand.iter().any(|hand| {
                (hand.prefix() > 0 || route.destination.prefix() == 0)
                    && hand.contains_subnet(route.destination)
            }),
        };
        !is_replaced
    };
    let kept: Vec<RoutePlan> = found.into_iter().filter(is_kept).collect();
    node.routes.extend(kept);
}

/// An interface with an address of the family.
#[derive(Clone, Copy, Debug)]
struct Port {
    node: usize,
    interface: usize,
    segment: usize,
    address: IpAddr,
}

/// Where a node sends what is for a segment.
#[derive(Clone, Copy, Debug)]
struct Hop {
    interface: usize,
    via: IpAddr,
}

/// What a search has found for a node.
#[derive(Clone, Copy, Debug)]
struct Found {
    distance: u32,
    /// None for a node on the segment itself.
    hop: Option<Hop>,
}

/// The network as one family sees it.
struct Map<'a> {
    nodes: &'a [NodePlan],
    segments: &'a [SegmentPlan],
    is_ipv4: bool,
    /// By node.
    ports: Vec<Vec<Port>>,
    /// By segment: the ports of routers on it.
    routers: Vec<Vec<Port>>,
    /// Segments that are one interface of a host.
    alone_on_hosts: Vec<usize>,
}

impl<'a> Map<'a> {
    fn new(nodes: &'a [NodePlan], segments: &'a [SegmentPlan], is_ipv4: bool) -> Self {
        let mut ports = vec![Vec::new(); nodes.len()];
        let mut routers = vec![Vec::new(); segments.len()];
        let mut alone_on_hosts = Vec::new();
        for (segment, plan) in segments.iter().enumerate() {
            for &place in &plan.members {
                let (node, interface) = (place.node, place.interface);
                let addresses = &nodes[node].interfaces[interface].addresses;
                let mut addresses = addresses.iter().map(|one| one.address());
                let Some(address) = addresses.find(|one| one.is_ipv4() == is_ipv4) else {
                    continue;
                };
                let port = Port { node, interface, segment, address };
                ports[node].push(port);
                if nodes[node].kind == NodeKind::Router {
                    routers[segment].push(port);
                } else if matches!(plan.kind, SegmentKind::Stub { .. }) {
                    alone_on_hosts.push(segment);
                }
            }
        }
        for ports in &mut ports {
            ports.sort_by_key(|port| port.interface);
        }
        Self { nodes, segments, is_ipv4, ports, routers, alone_on_hosts }
    }

    fn routes(&self) -> Vec<Vec<RoutePlan>> {
        let mut routes: Vec<Vec<RoutePlan>> =
            (0..self.nodes.len()).map(|node| self.on_link(node)).collect();
        let gateways: Vec<Vec<Port>> =
            (0..self.nodes.len()).map(|node| self.gateways(node)).collect();
        let routers: Vec<usize> = (0..self.nodes.len())
            .filter(|&node| self.nodes[node].kind == NodeKind::Router)
            .collect();
        let is_host =
            |&node: &usize| matches!(self.nodes[node].kind, NodeKind::Host | NodeKind::Local);
        let hosts: Vec<usize> = (0..self.nodes.len()).filter(is_host).collect();
        let choosers: Vec<usize> =
            hosts.iter().copied().filter(|&node| gateways[node].len() > 1).collect();
        let mut found = vec![None; self.nodes.len()];
        for segment in 0..self.segments.len() {
            let subnets = self.subnets(segment);
            if subnets.is_empty() {
                continue;
            }
            self.search(segment, &mut found);
            for &node in &routers {
                if let Some(Found { hop: Some(hop), .. }) = found[node] {
                    self.push(&mut routes[node], node, &subnets, hop);
                }
            }
            // Other hosts have no choice, unless the segment is on a host beside them.
            let hosts = if self.alone_on_hosts.contains(&segment) { &hosts } else { &choosers };
            for &node in hosts {
                let default = self.default(node, &gateways[node]);
                if let Some(hop) = self.way_of_host(node, segment, &found) {
                    if default.is_none_or(|other| {
                        (other.interface, other.via) != (hop.interface, hop.via)
                    }) {
                        self.push(&mut routes[node], node, &subnets, hop);
                    }
                }
            }
        }
        for &node in &hosts {
            if let Some(hop) = self.default(node, &gateways[node]) {
                let every = if self.is_ipv4 { Subnet::EVERY_IPV4 } else { Subnet::EVERY_IPV6 };
                self.push(&mut routes[node], node, &[every], hop);
            }
        }
        routes
    }

    fn subnets(&self, segment: usize) -> Vec<Subnet> {
        let subnets = self.segments[segment].subnets.iter().copied();
        subnets.filter(|subnet| subnet.is_ipv4() == self.is_ipv4).collect()
    }

    /// For every router the way to the segment.
    fn search(&self, segment: usize, found: &mut [Option<Found>]) {
        found.fill(None);
        let mut queue = VecDeque::new();
        let owners = match self.segments[segment].kind {
            SegmentKind::Stub { place } => self.ports[place.node]
                .iter()
                .any(|port| port.segment == segment)
                .then_some(place.node),
            _ => None,
        };
        let routers = self.routers[segment].iter().map(|port| port.node);
        for node in owners.into_iter().chain(routers) {
            if found[node].is_none() {
                found[node] = Some(Found { distance: 0, hop: None });
                queue.push_back((node, 0));
            }
        }
        while let Some((node, distance)) = queue.pop_front() {
            for port in self.ports[node].iter().filter(|port| self.is_way(port)) {
                for next in &self.routers[port.segment] {
                    if found[next.node].is_none() {
                        let hop = Hop { interface: next.interface, via: port.address };
                        found[next.node] = Some(Found { distance: distance + 1, hop: Some(hop) });
                        queue.push_back((next.node, distance + 1));
                    }
                }
            }
        }
    }

    fn is_way(&self, port: &Port) -> bool {
        !self.segments[port.segment].is_overlay()
    }

    /// The nearest way from a host that is not on the segment.
    fn way_of_host(&self, node: usize, segment: usize, found: &[Option<Found>]) -> Option<Hop> {
        if self.ports[node].iter().any(|port| port.segment == segment) {
            return None;
        }
        let owner = match self.segments[segment].kind {
            SegmentKind::Stub { place } => self.ports[place.node].as_slice(),
            _ => &[],
        };
        let mut best: Option<(u32, Hop)> = None;
        for port in self.ports[node].iter().filter(|port| self.is_way(port)) {
            let beside = owner.iter().filter(|other| other.segment == port.segment);
            for next in beside.chain(&self.routers[port.segment]) {
                let Some(Found { distance, .. }) = found[next.node] else { continue };
                if best.is_none_or(|(other, _)| distance < other) {
                    best = Some((distance, Hop { interface: port.interface, via: next.address }));
                }
            }
        }
        best.map(|(_, hop)| hop)
    }

    /// The routers on the segments of a node, each once, as the first port of it there.
    fn gateways(&self, node: usize) -> Vec<Port> {
        let mut gateways: Vec<Port> = Vec::new();
        if self.nodes[node].kind == NodeKind::Router {
            return gateways;
        }
        for port in self.ports[node].iter().filter(|port| self.is_way(port)) {
            for router in &self.routers[port.segment] {
                if gateways.iter().all(|other| other.node != router.node) {
                    gateways.push(*router);
                }
            }
        }
        gateways
    }

    fn default(&self, node: usize, gateways: &[Port]) -> Option<Hop> {
        let first = gateways.first()?;
        let port = self.ports[node].iter().find(|port| port.segment == first.segment)?;
        Some(Hop { interface: port.interface, via: first.address })
    }

    /// Routes to the subnets of a node's own segments in which it has no address.
    fn on_link(&self, node: usize) -> Vec<RoutePlan> {
        let mut routes: Vec<RoutePlan> = Vec::new();
        for port in &self.ports[node] {
            let interfaces = &self.nodes[node].interfaces;
            let on_segment = || interfaces.iter().filter(|other| other.segment == port.segment);
            let has = |other: &InterfacePlan, subnet| {
                other.addresses.iter().any(|one| one.subnet() == subnet)
            };
            for subnet in self.subnets(port.segment) {
                let is_connected = has(&interfaces[port.interface], subnet)
                    || on_segment().any(|other| has(other, subnet));
                if !is_connected && routes.iter().all(|route| route.destination != subnet) {
                    let dev = self.nodes[node].interfaces[port.interface].name.clone();
                    routes.push(RoutePlan {
                        destination: subnet,
                        via: None,
                        dev,
                        is_static: false,
                    });
                }
            }
        }
        routes
    }

    fn push(&self, routes: &mut Vec<RoutePlan>, node: usize, subnets: &[Subnet], hop: Hop) {
        for &destination in subnets {
            let dev = self.nodes[node].interfaces[hop.interface].name.clone();
            routes.push(RoutePlan { destination, via: Some(hop.via), dev, is_static: false });
        }
    }
}
