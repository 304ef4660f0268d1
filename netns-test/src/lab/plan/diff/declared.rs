//! Declarations of a lab's topology that another topology lacks. Pure.
//!
//! The topology and its parts are destructured without `..`, so that a new declaration does not
//! compile until it is handled here.

use crate::addr::sysctl::Sysctl;
use crate::error::Failure;
use crate::lab::plan::diff::changed;
#[cfg(feature = "dns")]
use crate::lab::plan::diff::dns;
use crate::lab::topology::Topology;
use crate::lab::topology::model::{
    AddressOn, ExtraInterface, ExtraKind, Link, LinkEnd, Node, StaticRoute,
};
use crate::lab::topology::nat::declared::{DeclaredFirewall, DeclaredForward, DeclaredNat};
use crate::lab::topology::nat::text::RuleLine;

/// Checks that `new` is `old` or a clone of it, with all of its declarations.
///
/// # Errors
///
/// The first declaration that `new` does not have, by its name.
pub(crate) fn check(old: &Topology, new: &Topology) -> Result<(), Failure> {
    // The plans reject unknown nodes and links, and show the impairments and the subnets that would
    // change. The counter of declarations only orders them.
    let Topology {
        ids,
        nodes,
        links,
        unknown_nodes: _,
        unknown_links: _,
        is_impairable: _,
        pools: _,
        declared: _,
        nats: _,
        forwards: _,
        firewalls: _,
        black_holes,
        #[cfg(feature = "dns")]
            dns: servers,
    } = old;
    let failed = |why| Err(Failure::new("extend", "the lab", why));
    if !ids.have_origin_of(&new.ids) {
        return failed("it was not built from this topology");
    }
    if new.nodes.len() < nodes.len() || new.links.len() < links.len() {
        return failed("it has less than the lab; extend the topology that the lab was built from");
    }
    // Names of nodes are compared first: ports of a switch are named after the nodes.
    let mut both = nodes.iter().zip(&new.nodes);
    let is_other = |(one, two): &(&Node, &Node)| (&one.name, one.kind) != (&two.name, two.kind);
    if let Some((node, _)) = both.find(is_other) {
        return Err(changed(&node.name, "its name or its kind"));
    }
    let mut both = nodes.iter().zip(&new.nodes);
    both.try_for_each(|(before, after)| check_node(old, before, after))?;
    for (at, (before, after)) in links.iter().zip(&new.links).enumerate() {
        if !has_same_ends(before, after) {
            return Err(changed(&old.link_label(at), "its name or its ends"));
        }
    }
    if let Some(hole) = black_holes.iter().find(|one| !new.black_holes.contains(one)) {
        let destination = hole.0.as_ref().map(ToString::to_string).unwrap_or_default();
        let why = "the topology lacks it: extend() only adds; build another lab";
        return Err(Failure::new("extend", format!("black hole {destination}"), why));
    }
    check_rules(old, new)?;
    #[cfg(feature = "dns")]
    dns::check(servers, new)?;
    if !ids.are_in(&new.ids) {
        let why = "a clone of its topology has declared equal nodes or links anew, with other ids; \
                   extend the topology that the lab was built from";
        return failed(why);
    }
    Ok(())
}

/// Checks that no NAT, forwarded port or firewall is missing. Those that differ are applied.
fn check_rules(old: &Topology, new: &Topology) -> Result<(), Failure> {
    let Topology { nats, forwards, firewalls, .. } = new;
    let has_nat = |one: &DeclaredNat| {
        let DeclaredNat { router, link, nat: _ } = one;
        nats.iter().any(|two| (*router, *link) == (two.router, two.link))
    };
    let has_forward = |one: &DeclaredForward| {
        let DeclaredForward { router, link, protocol, external_port, to: _, to_port: _ } = *one;
        let is_it = |two: &DeclaredForward| {
            (router, link) == (two.router, two.link)
                && (protocol, external_port) == (two.protocol, two.external_port)
        };
        forwards.iter().any(is_it)
    };
    let has_firewall = |one: &DeclaredFirewall| {
        let DeclaredFirewall { node, firewall: _ } = one;
        firewalls.iter().any(|two| *node == two.node)
    };
    let is_kept = old.nats.iter().map(has_nat);
    let is_kept = is_kept.chain(old.forwards.iter().map(has_forward));
    let mut is_kept = is_kept.chain(old.firewalls.iter().map(has_firewall));
    let Some(missing) = is_kept.position(|is_kept| !is_kept) else { return Ok(()) };
    let RuleLine { node, what, on, text } = old.rule_lines().swap_remove(missing);
    let name = node.map_or("?", |node| old.nodes[node].name.as_str());
    let object = match what {
        "forward" => format!("{what} {text} of {name}{on}"),
        _ => format!("{what} of {name}{on}"),
    };
    let why = "the topology lacks it: extend() only adds; build another lab";
    Err(Failure::new("extend", object, why))
}

fn check_node(net: &Topology, before: &Node, after: &Node) -> Result<(), Failure> {
    // The plan of the bridge has `stp`. The plans compare private directories.
    let Node {
        name,
        kind: _,
        stp: _,
        routes,
        sysctls,
        extras,
        addresses,
        hosts_entries,
        private_dirs: _,
    } = before;
    let missing = |what: String| {
        let why = "the topology lacks it: extend() only adds; build another lab";
        Err(Failure::new("extend", format!("{what} of {name}"), why))
    };
    // The value of a sysctl can change.
    let has = |key: &str| {
        let key = Sysctl::new(key);
        after.sysctls.iter().any(|(other, _)| Sysctl::new(other) == key)
    };
    if let Some((key, _)) = sysctls.iter().find(|(key, _)| !has(key)) {
        return missing(format!("sysctl {key}"));
    }
    if let Some((_, host)) = hosts_entries.iter().find(|one| !after.hosts_entries.contains(one)) {
        return missing(format!("hosts entry {host}"));
    }
    if let Some(route) = routes.iter().find(|one| !after.routes.contains(one)) {
        return missing(route_label(route));
    }
    if let Some(extra) = extras.iter().find(|one| !after.extras.iter().any(|two| is_it(one, two))) {
        return missing(extra_label(net, extra));
    }
    if let Some((on, address)) = addresses.iter().find(|one| !after.addresses.contains(one)) {
        let on = match on {
            AddressOn::Link(link) => link.map(|link| net.link_label(link)),
            AddressOn::Name(name) => Some(name.clone()),
        };
        let address = address.0.as_ref().map(ToString::to_string).unwrap_or_default();
        return missing(format!("address {address} on {}", on.unwrap_or_default()));
    }
    Ok(())
}

/// Returns whether both are the same interface. The plans compare its addresses and the peers of a
/// tunnel, which can be added.
fn is_it(one: &ExtraInterface, two: &ExtraInterface) -> bool {
    let ExtraInterface { declared: _, kind, addresses: _ } = one;
    match (kind, &two.kind) {
        (ExtraKind::Vxlan { vni, peers: _ }, ExtraKind::Vxlan { vni: other, peers: _ }) => {
            vni == other
        }
        (one, two) => one == two,
    }
}

/// Returns whether the links have the same name and nodes.
fn has_same_ends(one: &Link, two: &Link) -> bool {
    // The plans compare what these decide: MTU, addresses, and impairments.
    let Link { declared: _, name, ends, mtu: _, subnets: _, only: _, impairments: _ } = one;
    let is_same = |(one, two): (&LinkEnd, &LinkEnd)| {
        // Also in the plans: the name of the interface, its addresses, its Ethernet address.
        let LinkEnd { node, interface: _, addresses: _, mac: _ } = one;
        *node == two.node
    };
    *name == two.name && ends.iter().zip(&two.ends).all(is_same)
}

fn route_label(route: &StaticRoute) -> String {
    let StaticRoute { destination, via: _ } = route;
    match destination.as_ref().map(|subnet| &subnet.0) {
        Some(Ok(subnet)) => format!("route to {subnet}"),
        Some(Err(_)) => "a route".to_owned(),
        None => "default route".to_owned(),
    }
}

fn extra_label(net: &Topology, extra: &ExtraInterface) -> String {
    let on = |link: &Option<usize>| link.map_or_else(String::new, |link| net.link_label(link));
    match &extra.kind {
        ExtraKind::Dummy { name } | ExtraKind::Macvlan { name, .. } => format!("interface {name}"),
        ExtraKind::Vlan { link, vid } => format!("VLAN {vid} on {}", on(link)),
        ExtraKind::Vxlan { vni, .. } => format!("VXLAN {vni}"),
    }
}
