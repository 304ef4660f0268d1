//! The routes given by hand: what their gateways are, and whether the node can send there.

use std::collections::HashSet;
use std::net::IpAddr;

use super::cidr::Subnet;
use super::given::Gateway;
use super::mistakes::Mistake;
use super::plan::{NodePlan, RoutePlan, SegmentPlan};
use super::topology::{GivenRoute, Topology};

/// Adds the routes that the topology has for its nodes.
pub(crate) fn routes(
    topology: &Topology,
    nodes: &mut [NodePlan],
    segments: &[SegmentPlan],
    mistakes: &mut Vec<Mistake>,
) {
    for (index, node) in topology.nodes.iter().enumerate() {
        if !node.has_addresses() {
            if !node.routes.is_empty() {
                let (switch, what) = (node.name.clone(), "routes".to_owned());
                mistakes.push(Mistake::OnSwitch { switch, what });
            }
            continue;
        }
        let mut seen = HashSet::new();
        for given in &node.routes {
            let found = Resolver { topology, nodes, segments, node: index }.resolve(given);
            match found {
                Err(mistake) => mistakes.push(mistake),
                Ok(routes) => {
                    for route in routes {
                        if seen.insert(route.destination) {
                            nodes[index].routes.push(route);
                        } else {
                            let (node, destination) = (node.name.clone(), shown(route.destination));
                            mistakes.push(Mistake::DuplicateRoute { node, destination });
                        }
                    }
                }
            }
        }
    }
}

/// A destination as messages and drawings have it.
pub(crate) fn shown(destination: Subnet) -> String {
    if destination.prefix() == 0 { "default".to_owned() } else { destination.to_string() }
}

struct Resolver<'a> {
    topology: &'a Topology,
    nodes: &'a [NodePlan],
    segments: &'a [SegmentPlan],
    node: usize,
}

impl Resolver<'_> {
    fn resolve(&self, given: &GivenRoute) -> Result<Vec<RoutePlan>, Mistake> {
        let node = &self.topology.nodes[self.node].name;
        let destination = match &given.destination {
            None => None,
            Some(subnet) => Some(subnet.0.clone().map_err(|error| {
                let (place, why) = (format!("route of `{node}`"), error.to_string());
                Mistake::Unreadable { place, why }
            })?),
        };
        let every = |ip: IpAddr| if ip.is_ipv4() { Subnet::EVERY_IPV4 } else { Subnet::EVERY_IPV6 };
        let told = destination.map_or("default".to_owned(), shown);
        match &given.via.0 {
            Gateway::Text(text) => {
                let place = format!("route of `{node}` to {told}");
                Err(Mistake::Unreadable {
                    place,
                    why: format!("`{text}`: no IPv4 or IPv6 address"),
                })
            }
            Gateway::Address(via) => {
                let destination = destination.unwrap_or_else(|| every(*via));
                Ok(vec![self.by_address(destination, *via)?])
            }
            Gateway::Node(id) => {
                let Some(gateway) = self.topology.node_index(*id) else {
                    return Err(Mistake::UnknownNode {
                        place: format!("route of `{node}` to {told}"),
                    });
                };
                let mut found = Vec::new();
                for family in [Subnet::EVERY_IPV4, Subnet::EVERY_IPV6] {
                    let wanted = destination.unwrap_or(family);
                    if wanted.is_ipv4() == family.is_ipv4() {
                        found.extend(self.by_node(wanted, gateway));
                    }
                }
                if found.is_empty() {
                    let via = format!("`{}`", self.topology.nodes[gateway].name);
                    let why = "it has no address on a segment of the node; link the two, or name a node that has";
                    return Err(Mistake::UnreachableGateway {
                        node: node.clone(),
                        destination: told,
                        via,
                        why,
                    });
                }
                Ok(found)
            }
        }
    }

    fn by_address(&self, destination: Subnet, via: IpAddr) -> Result<RoutePlan, Mistake> {
        let refused = |why| {
            let node = self.topology.nodes[self.node].name.clone();
            let (destination, via) = (shown(destination), via.to_string());
            Err(Mistake::UnreachableGateway { node, destination, via, why })
        };
        if destination.is_ipv4() != via.is_ipv4() {
            return refused(
                "destination and gateway are of different families; give one of the same",
            );
        }
        let plan = &self.nodes[self.node];
        if plan.addresses.contains(&via) {
            return refused("it is the node's own address; give that of a neighbour");
        }
        let is_near = |segment: usize| {
            self.segments[segment].subnets.iter().any(|subnet| subnet.contains(via))
        };
        let has_family = |address: IpAddr| address.is_ipv4() == via.is_ipv4();
        let dev = plan.interfaces.iter().find(|interface| {
            is_near(interface.segment)
                && interface.addresses.iter().any(|one| has_family(one.address()))
        });
        match dev {
            Some(interface) => {
                let dev = interface.name.clone();
                Ok(RoutePlan { destination, via: Some(via), dev, by_hand: true })
            }
            None => refused("it is on no subnet of the node; give an address that is"),
        }
    }

    /// The route by the first address that `gateway` has on a segment of the node.
    fn by_node(&self, destination: Subnet, gateway: usize) -> Option<RoutePlan> {
        if gateway == self.node {
            return None;
        }
        let has_family = |address: &IpAddr| address.is_ipv4() == destination.is_ipv4();
        self.nodes[self.node].interfaces.iter().find_map(|interface| {
            let own = interface.addresses.iter().map(|one| one.address()).find(has_family);
            let members = &self.segments.get(interface.segment)?.members;
            let beside = members.iter().filter(|place| place.node == gateway);
            let mut addresses =
                beside.flat_map(|place| &self.nodes[gateway].interfaces[place.interface].addresses);
            let via = addresses.find(|one| has_family(&one.address()))?.address();
            let dev = interface.name.clone();
            own.map(|_| RoutePlan { destination, via: Some(via), dev, by_hand: true })
        })
    }
}
