//! Difference between a lab and an extended topology and its plan. Pure.
//!
//! `extend()` can add parts; a part that is missing or would change is an error.
//!
//! Plans are destructured without `..`, so that a new field does not compile until it is handled
//! here.

pub(crate) mod declared;
#[cfg(feature = "dns")]
pub(crate) mod dns;

use std::net::IpAddr;

use crate::addr::cidr::{Cidr, Subnet};
use crate::addr::sysctl::Sysctl;
use crate::error::Failure;
use crate::lab::plan::impairment::ImpairmentPlan;
use crate::lab::plan::{InterfaceKind, InterfacePlan, InterfaceRef};
use crate::lab::plan::{LinkPlan, NodePlan, Plan, RoutePlan};

/// Additions to the nodes of the lab.
#[derive(Debug, Default)]
pub(crate) struct Growth {
    /// New index of each interface, by node and old index.
    pub(crate) places: Vec<Vec<usize>>,
    /// Additions, by node.
    pub(crate) nodes: Vec<NodeGrowth>,
    /// Links whose impairments change, with the new ones.
    pub(crate) impairments: Vec<(usize, [ImpairmentPlan; 2])>,
}

/// Additions to a node of the lab.
#[derive(Debug, Default)]
pub(crate) struct NodeGrowth {
    /// Indexes of new interfaces.
    pub(crate) interfaces: Vec<usize>,
    /// New addresses of existing interfaces, by the interfaces' new indexes.
    pub(crate) addresses: Vec<(usize, Cidr)>,
    /// New remote ends of existing tunnels, by the interfaces' new indexes.
    pub(crate) remotes: Vec<(usize, IpAddr)>,
    /// Routes that are new or have another next hop.
    pub(crate) routes: Vec<RoutePlan>,
    /// Destinations without a route in the extended plan.
    pub(crate) lost: Vec<Subnet>,
    /// New destinations whose packets a router discards.
    pub(crate) black_holes: Vec<Subnet>,
    /// Sysctls that are new or have another value.
    pub(crate) sysctls: Vec<(String, String)>,
    /// True if NATs or the firewall differ.
    pub(crate) has_new_rules: bool,
}

impl Growth {
    /// Computes the differences of routes again, from plans that know where links have been moved.
    pub(crate) fn reroute(&mut self, old: &Plan, new: &Plan) {
        for (growth, (before, after)) in
            self.nodes.iter_mut().zip(old.nodes().iter().zip(new.nodes()))
        {
            growth.reroute(&before.routes, &after.routes);
        }
    }
}

impl NodeGrowth {
    fn reroute(&mut self, before: &[RoutePlan], after: &[RoutePlan]) {
        let is_new = |route: &&RoutePlan| !before.contains(route);
        self.routes = after.iter().filter(is_new).cloned().collect();
        let is_lost =
            |route: &&RoutePlan| after.iter().all(|other| other.destination != route.destination);
        self.lost = before.iter().filter(is_lost).map(|route| route.destination).collect();
    }
}

/// Returns the additions of `new` to `old`. [`declared::check`] has accepted the topology of `new`.
///
/// # Errors
///
/// A part of `old` that `new` does not have, or has in another form.
pub(crate) fn between(old: &Plan, new: &Plan) -> Result<Growth, Failure> {
    let mut growth = Growth::default();
    for (before, after) in old.nodes().iter().zip(new.nodes()) {
        let (places, node) = between_nodes(before, after)?;
        growth.places.push(places);
        growth.nodes.push(node);
    }
    for (at, (before, after)) in old.links().iter().zip(new.links()).enumerate() {
        // The topologies have the same names. The index of the segment follows from the links;
        // MTU and subnets of the segment are compared with the interfaces.
        let LinkPlan { name: _, ends, segment: _, impairments, is_captured, offloads } = before;
        let named = |plan: &Plan, ends: &[InterfaceRef; 2]| {
            ends.each_ref().map(|end| (end.node, plan.interface(*end).name.clone()))
        };
        if named(old, ends) != named(new, &after.ends) {
            return Err(changed(&old.link_label(at), "its ends"));
        }
        if *is_captured != after.is_captured {
            return Err(changed(&old.link_label(at), "its capture"));
        }
        if *offloads != after.offloads {
            return Err(changed(&old.link_label(at), "its offloads"));
        }
        match (impairments, &after.impairments) {
            (None, Some(_)) => return Err(not_impairable("extend", &old.link_label(at))),
            (Some(_), None) => {
                return Err(changed(&old.link_label(at), "its kind to a direct veth pair"));
            }
            (Some(one), Some(two)) if one != two => growth.impairments.push((at, two.clone())),
            _ => {}
        }
    }
    Ok(growth)
}

fn between_nodes(before: &NodePlan, after: &NodePlan) -> Result<(Vec<usize>, NodeGrowth), Failure> {
    // The topologies have the same names and kinds, which decide the hostname; addresses repeat
    // those of the interfaces.
    let NodePlan {
        name,
        kind: _,
        hostname: _,
        interfaces,
        routes,
        black_holes,
        sysctls,
        // `/etc/hosts` is written anew.
        hosts_entries: _,
        private_dirs,
        addresses: _,
        nats,
        firewall,
    } = before;
    let mut growth = NodeGrowth {
        has_new_rules: *nats != after.nats || *firewall != after.firewall,
        ..NodeGrowth::default()
    };
    if *private_dirs != after.private_dirs {
        let why = "its private directories would change, and it may use them";
        let advice = "declare them before build(), or build another lab";
        return Err(Failure::new("extend", name.as_str(), why).advise(advice));
    }
    let mut places = Vec::new();
    for interface in interfaces {
        let object = || format!("{} of {name}", interface.name);
        let found = after.interfaces.iter().position(|other| other.name == interface.name);
        let place = found.ok_or_else(|| changed(&object(), "its name"))?;
        places.push(place);
        between_interfaces(interface, &after.interfaces[place], place, &mut growth)
            .map_err(|part| changed(&object(), part))?;
    }
    growth.interfaces = (0..after.interfaces.len()).filter(|at| !places.contains(at)).collect();
    let is_new = |one: &&Subnet| !black_holes.contains(one);
    growth.black_holes = after.black_holes.iter().filter(is_new).copied().collect();
    growth.reroute(routes, &after.routes);
    growth.sysctls = new_sysctls(sysctls, after);
    Ok((places, growth))
}

/// Adds what is new of an interface to `growth`. An error names the part that would change.
fn between_interfaces(
    before: &InterfacePlan,
    after: &InterfacePlan,
    place: usize,
    growth: &mut NodeGrowth,
) -> Result<(), &'static str> {
    // Interfaces are found by name; indexes of segments change when segments are added.
    let InterfacePlan { name: _, kind, mac, mtu, addresses, segment: _ } = before;
    let is_same = match (kind, &after.kind) {
        // The index of the peer changes when its node gets more interfaces.
        (
            InterfaceKind::Veth { link, bridge, peer: _ },
            InterfaceKind::Veth { link: other, bridge: other_bridge, peer: _ },
        ) => (link, bridge) == (other, other_bridge),
        (
            InterfaceKind::Vxlan { vni, local, remotes, port },
            InterfaceKind::Vxlan { vni: v, local: l, remotes: r, port: p },
        ) => {
            let new = r.iter().filter(|remote| !remotes.contains(remote));
            growth.remotes.extend(new.map(|remote| (place, *remote)));
            (vni, local, port) == (v, l, p) && remotes.iter().all(|remote| r.contains(remote))
        }
        (one, other) => one == other,
    };
    if !is_same {
        return Err("its kind");
    }
    if *mac != after.mac {
        return Err("its Ethernet address");
    }
    if *mtu != after.mtu {
        return Err("its MTU");
    }
    let of_family = |all: &[Cidr], is_ipv4: bool| -> Vec<Cidr> {
        all.iter().filter(|one| one.address().is_ipv4() == is_ipv4).copied().collect()
    };
    // The first address of a family is the primary one: others can only follow.
    let only_adds =
        |family| of_family(&after.addresses, family).starts_with(&of_family(addresses, family));
    if ![true, false].into_iter().all(only_adds) {
        return Err("its addresses");
    }
    let new = after.addresses.iter().filter(|address| !addresses.contains(address));
    growth.addresses.extend(new.map(|address| (place, *address)));
    Ok(())
}

/// Returns the sysctls of a node that are new or get another value, in the order of writing.
fn new_sysctls(before: &[(String, String)], after: &NodePlan) -> Vec<(String, String)> {
    let all: Vec<(Sysctl, &(String, String))> =
        after.sysctls.iter().map(|one| (Sysctl::new(&one.0), one)).collect();
    // The last value of a sysctl applies.
    let value_before = |key: &Sysctl| {
        let mut same = before.iter().rev().filter(|(name, _)| Sysctl::new(name) == *key);
        same.next().map(|(_, value)| value)
    };
    let is_last = |at: usize| all[at + 1..].iter().all(|(key, _)| *key != all[at].0);
    let is_new = |at: usize| value_before(&all[at].0) != Some(&all[at].1.1);
    let last: Vec<usize> = (0..all.len()).filter(|at| is_last(*at)).collect();
    let new: Vec<usize> = last.iter().copied().filter(|at| is_new(*at)).collect();
    // The kernel copies a value of `all` to each interface.
    let is_overwritten = |at: usize| new.iter().any(|new| is_of_all(&all[*new].0, &all[at].0));
    let names_interface = |at: usize| {
        let parts = all[at].0.parts();
        after.interfaces.iter().any(|one| parts.contains(&one.name.as_str()))
    };
    let wanted = last.into_iter().filter(|at| new.contains(at) || is_overwritten(*at));
    let (of_interfaces, others): (Vec<_>, Vec<_>) = wanted.partition(|at| names_interface(*at));
    others.into_iter().chain(of_interfaces).map(|at| all[at].1.clone()).collect()
}

/// Returns whether `all` is the sysctl of all interfaces that `one` is of one of them.
fn is_of_all(all: &Sysctl, one: &Sysctl) -> bool {
    let (all, one) = (all.parts(), one.parts());
    let mut pairs = all.iter().zip(&one);
    all.len() == one.len() && all != one && pairs.all(|(all, one)| all == one || *all == "all")
}

/// Returns the error of impairments on a link that is a direct veth pair.
pub(crate) fn not_impairable(operation: &'static str, link: &str) -> Failure {
    let why = "it was built as a direct veth pair, which has no impairments";
    let advice = "declare it `impairable()`, or call `impairable_links()` before `build()`";
    Failure::new(operation, link, why).advise(advice)
}

pub(super) fn changed(object: &str, part: &str) -> Failure {
    let why = format!("{part} would change: extend() only adds; build another lab");
    Failure::new("extend", object, why)
}
