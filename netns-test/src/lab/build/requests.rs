//! Netlink requests that build what the plan says, in the order in which they depend on each other.

use std::net::IpAddr;

use crate::addr::cidr::Subnet;
use crate::addr::mac::Mac;
use crate::error::{Failure, Result};
use crate::lab::build::end::LinkEnd;
use crate::lab::build::nat;
use crate::lab::build::offloads;
use crate::lab::build::sysctls;
use crate::lab::fabric::hub;
use crate::lab::fabric::hub::network;
use crate::lab::fabric::hub::network::HubNetwork;
use crate::lab::fabric::node::Made;
use crate::lab::fabric::own_network::rank;
use crate::lab::plan::ifindex::{Indexes, LOOPBACK};
use crate::lab::plan::labels::name_of;
use crate::lab::plan::{InterfaceKind, InterfacePlan, NodePlan, Plan, RoutePlan};
use crate::lab::topology::{MacvlanMode, NodeKind};
use crate::netlink;
use crate::netlink::Request;
use crate::netlink::kept::Kept;
use crate::netlink::link::{Kind, MacVlanMode, New};
use crate::sys::errno;

/// Returns the highest interface index of the caller's own network, or 0 if that is no node.
pub(crate) fn last_index(plan: &Plan, made: &[&Made]) -> Result<u32> {
    let local = plan.nodes().iter().position(|node| node.kind == NodeKind::Local);
    let there = local.map(|at| made[at].netlink.interfaces()).transpose()?;
    Ok(there.and_then(|there| there.last().map(|interface| interface.index)).unwrap_or(0))
}

/// Creates the veth pairs of the links from the position `from` on, with both ends in their nodes.
/// A link that can be impaired consists of two pairs, whose inner ends are in the hub, and down:
/// the ends in the nodes have no carrier before [`HubNetwork::set_up`].
pub(crate) fn make_links(
    plan: &Plan,
    made: &[&Made],
    (indexes, hub): (&Indexes, Option<&HubNetwork>),
    from: usize,
) -> Result<()> {
    let mut of_node: Vec<Vec<Request>> = made.iter().map(|_| Vec::new()).collect();
    for (at, link) in plan.links().iter().enumerate().skip(from) {
        let [near, far] = link.ends;
        let end = |place: crate::lab::plan::InterfaceRef| {
            let interface = plan.interface(place);
            new(interface, indexes.at(place.node, place.interface))
        };
        let object = plan.link_label(at);
        if let Some(there) = hub::place(plan, at, hub) {
            for (side, place) in link.ends.into_iter().enumerate() {
                let name = network::name(at, side);
                let peer = network::inner_end(&name, at, side);
                let kind = Kind::Veth { peer, there: Some(there) };
                of_node[place.node].push(netlink::link::create(object.clone(), end(place), kind));
            }
            continue;
        }
        let there = made[far.node].place.network();
        of_node[near.node].push(netlink::link::create(
            object,
            end(near),
            Kind::Veth { peer: end(far), there: Some(there) },
        ));
    }
    for (requests, made) in of_node.iter().zip(made) {
        made.netlink.ask_all(requests).map_err(|failure| match failure.errno {
            Some(errno::EEXIST) => failure.advise(
                "a node at one of its ends has an interface of that name; name the interface by `interfaces` of the link",
            ),
            _ => failure,
        })?;
    }
    for link in &plan.links()[from..] {
        let unwanted = offloads::unwanted(link);
        for place in link.ends.into_iter().filter(|_| !unwanted.is_empty()) {
            let name = plan.interface(place).name.as_str();
            let object = name_of(plan, place.node, name);
            made[place.node].netlink.turn_off((name, &object), &unwanted)?;
        }
    }
    Ok(())
}

/// Sets up a node whose ends of links are in its network, with the interfaces whose positions
/// `is_there` accepts: interfaces, addresses, routes, and the sysctls of interfaces.
pub(crate) fn set_up_node(
    plan: &Plan,
    node: usize,
    indexes: &Indexes,
    made: &Made,
    is_there: impl Fn(usize) -> bool,
) -> Result<()> {
    // Before the first packet passes.
    nat::apply(&plan.nodes()[node], &made.place)?;
    made.netlink.ask_all(&of_node(plan, node, indexes, made, &is_there)?)?;
    let of_plan = &plan.nodes()[node];
    made.netlink.ask_all(&black_holes(of_plan, &of_plan.black_holes))?;
    let there = of_plan.interfaces.iter().enumerate().filter(|(at, _)| is_there(*at));
    let names: Vec<&str> = there.map(|(_, interface)| interface.name.as_str()).collect();
    sysctls::set_of_interfaces(of_plan, &made.place, &names)
}

/// Returns the requests that set up a node with the interfaces that `is_there` accepts, by
/// position. The ends of its links are there.
pub(crate) fn of_node(
    plan: &Plan,
    node: usize,
    indexes: &Indexes,
    made: &Made,
    is_there: impl Fn(usize) -> bool,
) -> Result<Vec<Request>> {
    let of_plan = &plan.nodes()[node];
    let here = || of_plan.interfaces.iter().enumerate().filter(|(at, _)| is_there(*at));
    let index = |name: &str| indexes.of(plan, node, name);
    let mut requests = Vec::new();
    if of_plan.kind != NodeKind::Local {
        requests.push(netlink::link::set_up(name_of(plan, node, "lo"), LOOPBACK, true, None));
    }
    for (at, interface) in here() {
        let (own, object) = (indexes.at(node, at), name_of(plan, node, &interface.name));
        requests.push(match &interface.kind {
            InterfaceKind::Loopback => continue,
            InterfaceKind::Veth { bridge, .. } => {
                let bridge = bridge.as_deref().map(index);
                LinkEnd { label: object, index: own, bridge, is_up: true }.request()
            }
            other => netlink::link::create(object, new(interface, own), kind_of(other, index)),
        });
        if let InterfaceKind::Vxlan { remotes, .. } = &interface.kind {
            let others = remotes.iter().skip(1);
            requests.extend(others.map(|&remote| flood(plan, node, interface, own, remote)));
        }
    }
    for (at, interface) in here() {
        for address in &interface.addresses {
            let object = format!("{address} on {}", name_of(plan, node, &interface.name));
            requests.push(netlink::addr::add(object, indexes.at(node, at), *address));
        }
    }
    let has_dev = |route: &RoutePlan| here().any(|(_, interface)| interface.name == route.dev);
    requests.extend(routes_of(plan, node, indexes, made, has_dev)?);
    Ok(requests)
}

/// Returns the requests for these black holes of a router.
pub(crate) fn black_holes(node: &NodePlan, all: &[Subnet]) -> Vec<Request> {
    let request = |destination: &Subnet| {
        let object = format!("black hole {destination} of {}", node.name);
        netlink::route::add_black_hole(object, *destination)
    };
    all.iter().map(request).collect()
}

/// Returns the requests for the routes of a node that `wanted` accepts.
pub(crate) fn routes_of(
    plan: &Plan,
    node: usize,
    indexes: &Indexes,
    made: &Made,
    wanted: impl Fn(&RoutePlan) -> bool,
) -> Result<Vec<Request>> {
    let mut routes: Vec<_> =
        plan.nodes()[node].routes.iter().filter(|route| wanted(route)).collect();
    // A gateway may be on a subnet that needs an on-link route.
    routes.sort_by_key(|route| route.via.is_some());
    let is_local = plan.nodes()[node].kind == NodeKind::Local;
    let there = if is_local { made.netlink.kept_routes()? } else { Vec::new() };
    let is_own = |route: &Kept| indexes.are_of_lab(plan, node, &route.indexes());
    let request = |route: &RoutePlan| {
        let object = format!("route to {} of {}", route.destination, plan.nodes()[node].name);
        let rank = rank::rank(&there, route.destination, is_own);
        let rank = rank.map_err(|why| Failure::new("add", object.as_str(), why))?;
        let way = (route.via, Some(indexes.of(plan, node, &route.dev)));
        Ok(netlink::route::add(object, route.destination, way, rank))
    };
    routes.into_iter().map(request).collect()
}

/// Returns the request for one more remote end of a VXLAN tunnel (an FDB entry).
pub(crate) fn flood(
    plan: &Plan,
    node: usize,
    interface: &InterfacePlan,
    own: u32,
    to: IpAddr,
) -> Request {
    let object = format!("{to} as an end of {}", name_of(plan, node, &interface.name));
    netlink::neigh::add_flood(object, own, to)
}

fn kind_of(kind: &InterfaceKind, index: impl Fn(&str) -> u32) -> Kind<'static> {
    match kind {
        InterfaceKind::Bridge { stp } => Kind::Bridge { stp: *stp },
        InterfaceKind::Vlan { lower, vid } => Kind::Vlan { lower: index(lower), vid: *vid },
        InterfaceKind::Macvlan { lower, mode } => {
            let mode = match mode {
                MacvlanMode::Private => MacVlanMode::Private,
                MacvlanMode::Vepa => MacVlanMode::Vepa,
                MacvlanMode::Bridge => MacVlanMode::Bridge,
                MacvlanMode::Passthru => MacVlanMode::Passthrough,
            };
            Kind::Macvlan { lower: index(lower), mode }
        }
        InterfaceKind::Vxlan { vni, local, remotes, port } => Kind::Vxlan {
            vni: *vni,
            local: Some(*local),
            remote: remotes.first().copied(),
            port: *port,
        },
        InterfaceKind::Dummy | InterfaceKind::Veth { .. } | InterfaceKind::Loopback => Kind::Dummy,
    }
}

fn new(interface: &InterfacePlan, index: u32) -> New<'_> {
    let mac = interface.mac.map(Mac::octets);
    New { name: &interface.name, index, mac, mtu: Some(interface.mtu) }
}
