//! Computed routes: the shortest path over routers to every subnet, and default routes of hosts.
//! Pure.
//!
//! For each segment a breadth-first search goes outwards over routers, in the order of
//! declaration. A router gets a route to each subnet that it has no address in. A host gets a
//! default route to the first router on its segments, and a route of its own to each subnet that is
//! nearer by another router. No path leads through a tunnel to another segment, because the
//! packets of the tunnel could then be routed into the tunnel. No path leads from the outside of a
//! NAT to its inside, and one through fewer NATs comes before a shorter one.

use std::collections::VecDeque;
use std::net::IpAddr;

use crate::addr::cidr::Subnet;
use crate::lab::plan::nat::borders;
use crate::lab::plan::nat::realms::{Border, Realms};
use crate::lab::plan::routes::replaced::add_unless_replaced;
use crate::lab::plan::{InterfacePlan, NodePlan, RoutePlan, SegmentKind, SegmentPlan};
use crate::lab::topology::NodeKind;
use crate::lab::topology::nat::model::Ipv6Nat;

/// Adds computed routes to the nodes, which have their static routes already.
pub(crate) fn compute(nodes: &mut [NodePlan], segments: &[SegmentPlan]) {
    for is_ipv4 in [true, false] {
        let found = {
            let map = Map::new(nodes, segments, is_ipv4);
            map.routes()
        };
        for (node, found) in nodes.iter_mut().zip(found) {
            add_unless_replaced(node, found, is_ipv4);
        }
    }
}

/// An interface with an address of the family.
#[derive(Clone, Copy, Debug)]
struct Port {
    node: usize,
    interface: usize,
    segment: usize,
    address: IpAddr,
    /// False for the outside interface of a NAT.
    is_inside: bool,
}

/// Next hop of a node for a segment.
#[derive(Clone, Copy, Debug)]
struct Hop {
    interface: usize,
    via: IpAddr,
}

/// Result of a search for a node.
#[derive(Clone, Copy, Debug)]
struct Found {
    distance: u32,
    /// Next hop; `None` for a node on the segment itself.
    hop: Option<Hop>,
}

/// Nodes and their distances.
type Queue = VecDeque<(usize, u32)>;

/// Takes the nearest node from two queues that are ordered by distance.
fn nearest(one: &mut Queue, two: &mut Queue) -> Option<(usize, u32)> {
    let is_second = match (one.front(), two.front()) {
        (Some((_, one)), Some((_, two))) => two < one,
        (one, _) => one.is_none(),
    };
    if is_second { two.pop_front() } else { one.pop_front() }
}

/// Topology of one address family.
struct Map<'a> {
    nodes: &'a [NodePlan],
    segments: &'a [SegmentPlan],
    is_ipv4: bool,
    /// Ports of each node.
    ports: Vec<Vec<Port>>,
    /// Ports of routers on each segment.
    routers: Vec<Vec<Port>>,
    /// Segments that are a single interface of a host.
    stubs_of_hosts: Vec<usize>,
    realms: Realms,
}

impl<'a> Map<'a> {
    fn new(nodes: &'a [NodePlan], segments: &'a [SegmentPlan], is_ipv4: bool) -> Self {
        let mut ports = vec![Vec::new(); nodes.len()];
        let mut routers = vec![Vec::new(); segments.len()];
        let mut stubs_of_hosts = Vec::new();
        for (segment, plan) in segments.iter().enumerate() {
            for &place in &plan.members {
                let (node, interface) = (place.node, place.interface);
                let addresses = &nodes[node].interfaces[interface].addresses;
                let mut addresses = addresses.iter().map(|one| one.address());
                let Some(address) = addresses.find(|one| one.is_ipv4() == is_ipv4) else {
                    continue;
                };
                let border = nodes[node].border(&nodes[node].interfaces[interface].name, is_ipv4);
                let is_inside = border == Border::Open;
                let port = Port { node, interface, segment, address, is_inside };
                ports[node].push(port);
                if nodes[node].kind == NodeKind::Router {
                    routers[segment].push(port);
                } else if matches!(plan.kind, SegmentKind::Stub { .. }) {
                    stubs_of_hosts.push(segment);
                }
            }
        }
        for ports in &mut ports {
            ports.sort_by_key(|port| port.interface);
        }
        let realms = borders::realms(nodes, segments, is_ipv4);
        Self { nodes, segments, is_ipv4, ports, routers, stubs_of_hosts, realms }
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
        let multihomed: Vec<usize> =
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
            // A host with one gateway needs no further route, unless the segment is a single
            // interface of a neighbouring host.
            let hosts = if self.stubs_of_hosts.contains(&segment) { &hosts } else { &multihomed };
            for &node in hosts {
                let default = self.default(node, &gateways[node]);
                if let Some(hop) = self.hop_of_host(node, segment, &found) {
                    if default.is_none_or(|other| {
                        (other.interface, other.via) != (hop.interface, hop.via)
                    }) {
                        self.push(&mut routes[node], node, &subnets, hop);
                    }
                }
            }
        }
        self.push_external(&mut routes, &gateways, &mut found);
        for &node in &hosts {
            if let Some(hop) = self.default(node, &gateways[node]) {
                let every = if self.is_ipv4 { Subnet::EVERY_IPV4 } else { Subnet::EVERY_IPV6 };
                self.push(&mut routes[node], node, &[every], hop);
            }
        }
        routes
    }

    /// Adds the routes to external prefixes of NATs: their routers take the packets.
    fn push_external(
        &self,
        routes: &mut [Vec<RoutePlan>],
        gateways: &[Vec<Port>],
        found: &mut [Option<Found>],
    ) {
        let with_nats = self.nodes.iter().enumerate().filter(|_| !self.is_ipv4);
        for (router, of_plan) in with_nats {
            for nat in &of_plan.nats {
                let Ipv6Nat::Prefix { outside, .. } = nat.ipv6 else { continue };
                let name = |port: &Port| &of_plan.interfaces[port.interface].name;
                let mut ports = self.ports[router].iter();
                let Some(port) = ports.find(|port| *name(port) == nat.outside) else { continue };
                self.search_from(port, found);
                for node in (0..self.nodes.len()).filter(|node| *node != router) {
                    let hop = match self.nodes[node].kind {
                        NodeKind::Router => found[node].and_then(|found| found.hop),
                        NodeKind::Switch => None,
                        _ => self.hop_to(node, port, found),
                    };
                    let default = self.default(node, &gateways[node]);
                    let is_new = |hop: &Hop| default.is_none_or(|other| other.via != hop.via);
                    if let Some(hop) = hop.filter(is_new) {
                        self.push(&mut routes[node], node, &[outside], hop);
                    }
                }
            }
        }
    }

    /// Searches the next hop and distance of every router to a router, from outside of its NAT.
    fn search_from(&self, outside: &Port, found: &mut [Option<Found>]) {
        found.fill(None);
        found[outside.node] = Some(Found { distance: 0, hop: None });
        let mut queue = VecDeque::new();
        if self.is_transit(outside) {
            for next in &self.routers[outside.segment] {
                if found[next.node].is_none() {
                    let hop = Some(Hop { interface: next.interface, via: outside.address });
                    found[next.node] = Some(Found { distance: 1, hop });
                    queue.push_back((next.node, 1));
                }
            }
        }
        self.spread(outside.segment, (queue, VecDeque::new()), found);
    }

    /// Returns the next hop from a host to the outside of a NAT.
    fn hop_to(&self, node: usize, outside: &Port, found: &[Option<Found>]) -> Option<Hop> {
        let mut ports = self.ports[node].iter();
        match ports.find(|port| port.segment == outside.segment) {
            Some(own) => Some(Hop { interface: own.interface, via: outside.address }),
            None => self.hop_of_host(node, outside.segment, found),
        }
    }

    fn subnets(&self, segment: usize) -> Vec<Subnet> {
        let subnets = self.segments[segment].subnets.iter().copied();
        subnets.filter(|subnet| subnet.is_ipv4() == self.is_ipv4).collect()
    }

    /// Searches the next hop and distance of every router to the segment.
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
        self.spread(segment, (queue, VecDeque::new()), found);
    }

    /// Goes on from the nodes of a queue. Nodes that need no NAT come first, then those that need
    /// one, and so on.
    fn spread(
        &self,
        segment: usize,
        (mut queue, mut beyond): (Queue, Queue),
        found: &mut [Option<Found>],
    ) {
        // By the number of NATs, then by distance.
        let mut later: Vec<(u32, u32, usize)> = Vec::new();
        let mut level = 0;
        let has_one_realm = self.realms.count() == 1;
        loop {
            while let Some((node, distance)) = nearest(&mut queue, &mut beyond) {
                let is_way = |port: &&Port| self.is_transit(port) && port.is_inside;
                for port in self.ports[node].iter().filter(is_way) {
                    let steps =
                        if has_one_realm { Some(0) } else { self.steps(port.segment, segment) };
                    match steps {
                        None => continue,
                        Some(steps) if steps > level => {
                            later.push((steps, distance, node));
                            continue;
                        }
                        Some(_) => {}
                    }
                    for next in &self.routers[port.segment] {
                        if found[next.node].is_none() {
                            let hop = Hop { interface: next.interface, via: port.address };
                            let hop = Some(hop);
                            found[next.node] = Some(Found { distance: distance + 1, hop });
                            queue.push_back((next.node, distance + 1));
                        }
                    }
                }
            }
            let Some(next) = later.iter().map(|(steps, ..)| *steps).min() else { return };
            level = next;
            later.sort_unstable();
            let now = later.iter().filter(|(steps, ..)| *steps == level);
            beyond = now.map(|&(_, distance, node)| (node, distance)).collect();
            later.retain(|(steps, ..)| *steps != level);
        }
    }

    /// Returns the number of NATs on the way from one segment to another one, if there is a way.
    fn steps(&self, from: usize, to: usize) -> Option<u32> {
        self.realms.steps(self.realms.of(from), self.realms.of(to))
    }

    fn is_transit(&self, port: &Port) -> bool {
        !self.segments[port.segment].is_overlay()
    }

    /// Returns the next hop on the shortest path from a host that is not on the segment.
    fn hop_of_host(&self, node: usize, segment: usize, found: &[Option<Found>]) -> Option<Hop> {
        if self.ports[node].iter().any(|port| port.segment == segment) {
            return None;
        }
        let owner = match self.segments[segment].kind {
            SegmentKind::Stub { place } => self.ports[place.node].as_slice(),
            _ => &[],
        };
        let mut best: Option<((u32, u32), Hop)> = None;
        for port in self.ports[node].iter().filter(|port| self.is_transit(port)) {
            let Some(steps) = self.steps(port.segment, segment) else { continue };
            let beside = owner.iter().filter(|other| other.segment == port.segment);
            let routers = self.routers[port.segment].iter().filter(|next| next.is_inside);
            for next in beside.chain(routers) {
                let Some(Found { distance, .. }) = found[next.node] else { continue };
                let cost = (steps, distance);
                if best.is_none_or(|(other, _)| cost < other) {
                    best = Some((cost, Hop { interface: port.interface, via: next.address }));
                }
            }
        }
        best.map(|(_, hop)| hop)
    }

    /// Returns the routers on the segments of a host, each by its first port there.
    fn gateways(&self, node: usize) -> Vec<Port> {
        let mut gateways: Vec<Port> = Vec::new();
        if self.nodes[node].kind == NodeKind::Router {
            return gateways;
        }
        for port in self.ports[node].iter().filter(|port| self.is_transit(port)) {
            for router in self.routers[port.segment].iter().filter(|next| next.is_inside) {
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

    /// Returns routes without a gateway to the subnets of the node's segments in which it has no
    /// address.
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
