//! Difference between a lab's plan and an extended plan. Pure.
//!
//! `extend()` can add parts; a part that would change is an error.
//!
//! Plans are destructured without `..`, so that a new field does not compile until it is handled
//! here.

use std::net::IpAddr;

use crate::addr::cidr::{Cidr, Subnet};
use crate::error::Failure;
use crate::lab::plan::{InterfaceKind, InterfacePlan, InterfaceRef};
use crate::lab::plan::{LinkPlan, NodePlan, Plan, RoutePlan};

/// Additions to the nodes of the lab.
#[derive(Debug, Default)]
pub(crate) struct Growth {
    /// New index of each interface, by node and old index.
    pub(crate) places: Vec<Vec<usize>>,
    /// Additions, by node.
    pub(crate) nodes: Vec<NodeGrowth>,
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
    /// Sysctls that are new or have another value.
    pub(crate) sysctls: Vec<(String, String)>,
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

/// Returns the additions of `new` to `old`.
///
/// # Errors
///
/// A part of `old` that `new` does not have, or has in another form.
pub(crate) fn between(old: &Plan, new: &Plan) -> Result<Growth, Failure> {
    if new.nodes().len() < old.nodes().len() || new.links().len() < old.links().len() {
        let why = "it has less than the lab; extend the topology that the lab was built from";
        return Err(Failure::new("extend", "the lab", why));
    }
    let both = || old.nodes().iter().zip(new.nodes());
    // Names of nodes are compared first: ports of a switch are named after the nodes.
    let is_same = |before: &NodePlan, after: &NodePlan| {
        (&before.name, before.kind) == (&after.name, after.kind)
    };
    if let Some((node, _)) = both().find(|(before, after)| !is_same(before, after)) {
        return Err(changed(&node.name, "its name or its kind"));
    }
    let mut growth = Growth::default();
    for (before, after) in both() {
        let (places, node) = between_nodes(before, after)?;
        growth.places.push(places);
        growth.nodes.push(node);
    }
    for (at, (before, after)) in old.links().iter().zip(new.links()).enumerate() {
        // The index of the segment follows from the links; MTU and subnets of the segment are
        // compared with the interfaces.
        let LinkPlan { name, ends, segment: _ } = before;
        let named = |plan: &Plan, ends: &[InterfaceRef; 2]| {
            ends.each_ref().map(|end| (end.node, plan.interface(*end).name.clone()))
        };
        if *name != after.name || named(old, ends) != named(new, &after.ends) {
            return Err(changed(&old.link_label(at), "its name or its ends"));
        }
    }
    Ok(growth)
}

fn between_nodes(before: &NodePlan, after: &NodePlan) -> Result<(Vec<usize>, NodeGrowth), Failure> {
    // Kind and hostname are compared by `between`; addresses repeat those of the interfaces.
    let NodePlan { name, kind: _, hostname: _, interfaces, routes, sysctls, addresses: _ } = before;
    let mut growth = NodeGrowth::default();
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
    growth.reroute(routes, &after.routes);
    let is_new = |sysctl: &&(String, String)| !sysctls.contains(sysctl);
    growth.sysctls = after.sysctls.iter().filter(is_new).cloned().collect();
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
    if !addresses.iter().all(|address| after.addresses.contains(address)) {
        return Err("its addresses");
    }
    let new = after.addresses.iter().filter(|address| !addresses.contains(address));
    growth.addresses.extend(new.map(|address| (place, *address)));
    Ok(())
}

fn changed(object: &str, part: &str) -> Failure {
    let why = format!("{part} would change: extend() only adds; build another lab");
    Failure::new("extend", object, why)
}
