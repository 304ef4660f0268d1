//! Static routes: their gateways, and checks that the node can send to these directly. Pure.

use std::collections::HashSet;
use std::net::IpAddr;

use crate::addr::cidr::Subnet;
use crate::lab::plan::errors::TopologyError;
use crate::lab::plan::{NodePlan, RoutePlan, SegmentPlan};
use crate::lab::topology::Topology;
use crate::lab::topology::model::{RouteVia, StaticRoute};

/// Adds the static routes of the topology to the nodes.
pub(crate) fn routes(
    topology: &Topology,
    nodes: &mut [NodePlan],
    segments: &[SegmentPlan],
    errors: &mut Vec<TopologyError>,
) {
    for (index, node) in topology.nodes.iter().enumerate() {
        if !node.has_addresses() {
            if !node.routes.is_empty() {
                let (switch, what) = (node.name.clone(), "routes".to_owned());
                errors.push(TopologyError::OnSwitch { switch, what });
            }
            continue;
        }
        let mut seen = HashSet::new();
        for route in &node.routes {
            let found = Resolver { topology, nodes, segments, node: index }.resolve(route);
            match found {
                Err(error) => errors.push(error),
                Ok(routes) => {
                    for route in routes {
                        if seen.insert(route.destination) {
                            nodes[index].routes.push(route);
                        } else {
                            let (node, destination) = (node.name.clone(), shown(route.destination));
                            errors.push(TopologyError::DuplicateRoute { node, destination });
                        }
                    }
                }
            }
        }
    }
}

/// Formats a destination for messages and drawings.
pub(crate) fn shown(destination: Subnet) -> String {
    if destination.prefix() == 0 { "default".to_owned() } else { destination.to_string() }
}

/// Returns the destination, or the default routes of both families for `None`.
fn of_families(destination: Option<Subnet>) -> impl Iterator<Item = Subnet> {
    let every = [Subnet::EVERY_IPV4, Subnet::EVERY_IPV6].into_iter();
    let wanted = every.filter(move |_| destination.is_none());
    destination.into_iter().chain(wanted)
}

struct Resolver<'a> {
    topology: &'a Topology,
    nodes: &'a [NodePlan],
    segments: &'a [SegmentPlan],
    node: usize,
}

impl Resolver<'_> {
    fn resolve(&self, route: &StaticRoute) -> Result<Vec<RoutePlan>, TopologyError> {
        let node = &self.topology.nodes[self.node].name;
        let destination = match &route.destination {
            None => None,
            Some(subnet) => Some(subnet.0.clone().map_err(|error| {
                let (place, why) = (format!("route of `{node}`"), error.to_string());
                TopologyError::Unreadable { place, why }
            })?),
        };
        let every = |ip: IpAddr| if ip.is_ipv4() { Subnet::EVERY_IPV4 } else { Subnet::EVERY_IPV6 };
        let shown_destination = destination.map_or("default".to_owned(), shown);
        match &route.via {
            RouteVia::Text(text) => {
                let place = format!("route of `{node}` to {shown_destination}");
                Err(TopologyError::Unreadable {
                    place,
                    why: format!("`{text}`: no IPv4 or IPv6 address"),
                })
            }
            RouteVia::Address(via) => {
                let destination = destination.unwrap_or_else(|| every(*via));
                Ok(vec![self.by_address(destination, *via)?])
            }
            RouteVia::Link(link) => {
                let Some(link) = *link else {
                    let place = format!("route of `{node}` to {shown_destination}");
                    return Err(TopologyError::UnknownLink { place });
                };
                self.by_link(destination, link).map_err(|why| {
                    let (node, via) = (node.clone(), self.topology.link_label(link));
                    TopologyError::UnreachableGateway {
                        node,
                        destination: shown_destination,
                        via,
                        why,
                    }
                })
            }
            RouteVia::Node(gateway) => {
                let Some(gateway) = *gateway else {
                    return Err(TopologyError::UnknownNode {
                        place: format!("route of `{node}` to {shown_destination}"),
                    });
                };
                let found = of_families(destination);
                let found: Vec<_> = found.filter_map(|to| self.by_node(to, gateway)).collect();
                if found.is_empty() {
                    let via = format!("`{}`", self.topology.nodes[gateway].name);
                    let why = "it has no address on a segment of the node; link the two, or name \
                               a node that has";
                    return Err(TopologyError::UnreachableGateway {
                        node: node.clone(),
                        destination: shown_destination,
                        via,
                        why,
                    });
                }
                Ok(found)
            }
        }
    }

    fn by_address(&self, destination: Subnet, via: IpAddr) -> Result<RoutePlan, TopologyError> {
        let refused = |why| {
            let node = self.topology.nodes[self.node].name.clone();
            let (destination, via) = (shown(destination), via.to_string());
            Err(TopologyError::UnreachableGateway { node, destination, via, why })
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
        let is_on_segment = |segment: usize| {
            self.segments[segment].subnets.iter().any(|subnet| subnet.contains(via))
        };
        let has_family = |address: IpAddr| address.is_ipv4() == via.is_ipv4();
        let dev = plan.interfaces.iter().find(|interface| {
            is_on_segment(interface.segment)
                && interface.addresses.iter().any(|one| has_family(one.address()))
        });
        match dev {
            Some(interface) => {
                let dev = interface.name.clone();
                Ok(RoutePlan { destination, via: Some(via), dev, is_static: true })
            }
            None => refused("it is on no subnet of the node; give an address that is"),
        }
    }

    /// Returns routes without a gateway on a link, in the families that the node has there.
    fn by_link(
        &self,
        destination: Option<Subnet>,
        link: usize,
    ) -> Result<Vec<RoutePlan>, &'static str> {
        let mut interfaces = self.nodes[self.node].interfaces.iter();
        let interface = interfaces.find(|interface| interface.kind.is_end_of(link));
        let interface = interface.ok_or("it does not end at the node; give a link that does")?;
        let is_there = |destination: &Subnet| {
            let is_ipv4 = destination.is_ipv4();
            interface.addresses.iter().any(|one| one.address().is_ipv4() == is_ipv4)
        };
        let route = |destination| {
            let dev = interface.name.clone();
            RoutePlan { destination, via: None, dev, is_static: true }
        };
        let found: Vec<_> = of_families(destination).filter(is_there).map(route).collect();
        if found.is_empty() {
            Err("the node has no address of its family there; add one")
        } else {
            Ok(found)
        }
    }

    /// Returns the route through the first address that `gateway` has on a segment of the node.
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
            own.map(|_| RoutePlan { destination, via: Some(via), dev, is_static: true })
        })
    }
}
