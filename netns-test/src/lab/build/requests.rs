//! From a plan to requests: what the kernel is asked for, and in which order.

use std::net::IpAddr;

use crate::addr::mac::Mac;
use crate::error::{Failure, Result};
use crate::lab::build::{Made, name_of};
use crate::lab::fabric::own_network::rank;
use crate::lab::plan::{InterfaceKind, InterfacePlan, Plan, RoutePlan};
use crate::lab::topology::{MacvlanMode, NodeKind};
use crate::netlink;
use crate::netlink::Request;
use crate::netlink::kept::Kept;
use crate::netlink::link::{Kind, LOOPBACK, MacVlanMode, New};
use crate::sys::errno;

/// The first index of an interface of a lab. Those that some kernels put into every namespace
/// (`tunl0`, `sit0`, …) come before.
const FIRST: u32 = 32;

/// By which number the kernel is to know each interface of the plan: no two have the same, though
/// they are in different namespaces. A veth pair with one number at both ends is taken for something
/// else by the kernel, which then takes it into use up to a second later (`net/core/link_watch.c`).
#[derive(Clone, Debug)]
pub(crate) struct Indexes(Vec<Vec<u32>>);

impl Indexes {
    pub(crate) fn new(plan: &Plan, made: &[&Made]) -> Result<Self> {
        Self::with(plan, made, 0, |_, _| None)
    }

    /// Those of an extended plan: what was there keeps its own. `places` has, for each node that was
    /// there, the new place of each of its interfaces.
    pub(crate) fn grown(&self, plan: &Plan, made: &[&Made], places: &[Vec<usize>]) -> Result<Self> {
        let last = self.0.iter().flatten().copied().max().unwrap_or(0);
        Self::with(plan, made, last, |node, place| {
            let before = places.get(node)?.iter().position(|new| *new == place)?;
            Some(self.at(node, before))
        })
    }

    /// Those that are `known`, by node and place, and numbers after `last` for the others.
    fn with(
        plan: &Plan,
        made: &[&Made],
        last: u32,
        known: impl Fn(usize, usize) -> Option<u32>,
    ) -> Result<Self> {
        let local = plan.nodes().iter().position(|node| node.kind == NodeKind::Local);
        let there = local.map(|at| made[at].netlink.interfaces()).transpose()?;
        let own = there.and_then(|there| there.last().map(|interface| interface.index));
        let mut next = FIRST.max(own.unwrap_or(0).max(last).saturating_add(1));
        let mut index = |node: usize, place: usize, interface: &InterfacePlan| {
            known(node, place).unwrap_or_else(|| match interface.kind {
                InterfaceKind::Loopback => LOOPBACK,
                _ => {
                    next = next.saturating_add(1);
                    next - 1
                }
            })
        };
        let nodes = plan.nodes().iter().enumerate().map(|(node, of_plan)| {
            let all = of_plan.interfaces.iter().enumerate();
            all.map(|(place, interface)| index(node, place, interface)).collect()
        });
        Ok(Self(nodes.collect()))
    }

    /// That of an interface, by the places of its node and its own.
    pub(crate) fn at(&self, node: usize, interface: usize) -> u32 {
        self.0[node][interface]
    }

    /// Adds that of one more interface of a node.
    pub(crate) fn push(&mut self, node: usize, index: u32) {
        self.0[node].push(index);
    }

    /// Whether these are interfaces that the lab has made on a node, and no others.
    pub(crate) fn are_of_lab(&self, plan: &Plan, node: usize, indexes: &[u32]) -> bool {
        let interfaces = plan.nodes()[node].interfaces.iter().zip(&self.0[node]);
        let made = interfaces.filter(|(one, _)| one.kind != InterfaceKind::Loopback);
        let made: Vec<u32> = made.map(|(_, index)| *index).collect();
        !indexes.is_empty() && indexes.iter().all(|index| made.contains(index))
    }

    /// That of the interface of this name.
    pub(crate) fn of(&self, plan: &Plan, node: usize, name: &str) -> u32 {
        let interfaces = &plan.nodes()[node].interfaces;
        let at = interfaces.iter().position(|interface| interface.name == name);
        at.map_or(0, |at| self.at(node, at))
    }
}

/// Lays the cables from the link at a place on: a veth pair each, with both ends in their nodes.
pub(crate) fn cables(plan: &Plan, made: &[&Made], indexes: &Indexes, from: usize) -> Result<()> {
    let mut of_node: Vec<Vec<Request>> = made.iter().map(|_| Vec::new()).collect();
    for (at, link) in plan.links().iter().enumerate().skip(from) {
        let [near, far] = link.ends;
        let end = |place: crate::lab::plan::InterfaceRef| {
            let interface = plan.interface(place);
            new(interface, indexes.at(place.node, place.interface))
        };
        let there = made[far.node].place.network();
        let object = label(plan, at);
        of_node[near.node].push(netlink::link::create(
            object,
            end(near),
            Kind::Veth { peer: end(far), there: Some(there) },
        ));
    }
    for (requests, made) in of_node.iter().zip(made) {
        made.netlink.ask_all(requests).map_err(|failure| match failure.errno {
            Some(errno::EEXIST) => failure.advise(
                "a node at one of its ends has an interface of that name; `interfaces` of the link gives another",
            ),
            _ => failure,
        })?;
    }
    Ok(())
}

/// Makes everything else of each node, in the order in which one thing stands on another.
pub(crate) fn nodes(plan: &Plan, made: &[&Made], indexes: &Indexes) -> Result<()> {
    for (at, made) in made.iter().enumerate() {
        made.netlink.ask_all(&of_node(plan, at, indexes, made, |_| true)?)?;
    }
    Ok(())
}

/// All that is to be asked for on a node whose cables are there, but for interfaces that are not to be
/// there, by their places.
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
                netlink::link::set_up(object, own, true, bridge.as_deref().map(index))
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

/// The routes of a node that are wanted.
pub(crate) fn routes_of(
    plan: &Plan,
    node: usize,
    indexes: &Indexes,
    made: &Made,
    wanted: impl Fn(&RoutePlan) -> bool,
) -> Result<Vec<Request>> {
    let mut routes: Vec<_> =
        plan.nodes()[node].routes.iter().filter(|route| wanted(route)).collect();
    // A gateway may be on a subnet that only a route on the link leads to.
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

/// One more end of a tunnel.
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

/// Returns the name of a link in messages.
pub(crate) fn label(plan: &Plan, link: usize) -> String {
    plan.link_label(link)
}
