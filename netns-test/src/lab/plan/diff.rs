//! What an extended plan has besides the plan of a lab, and that nothing of this has changed.

use std::net::IpAddr;

use crate::addr::cidr::{Cidr, Subnet};
use crate::error::Failure;
use crate::lab::plan::{InterfaceKind, InterfacePlan, NodePlan, Plan, RoutePlan};

/// By node that was there: what is new of it.
#[derive(Debug, Default)]
pub(crate) struct Growth {
    /// For each of its interfaces, the place that it has now.
    pub(crate) places: Vec<Vec<usize>>,
    pub(crate) nodes: Vec<NodeGrowth>,
}

#[derive(Debug, Default)]
pub(crate) struct NodeGrowth {
    /// The places of new interfaces.
    pub(crate) interfaces: Vec<usize>,
    /// New addresses of interfaces that were there, by their places.
    pub(crate) addresses: Vec<(usize, Cidr)>,
    /// New ends of tunnels that were there, by the places of these.
    pub(crate) remotes: Vec<(usize, IpAddr)>,
    /// Routes that are new, or lead elsewhere.
    pub(crate) routes: Vec<RoutePlan>,
    /// Where no route leads any more.
    pub(crate) lost: Vec<Subnet>,
    pub(crate) sysctls: Vec<(String, String)>,
}

impl Growth {
    /// Takes the routes from these, which know where links have been moved.
    pub(crate) fn reroute(&mut self, old: &Plan, new: &Plan) {
        for (growth, (before, after)) in
            self.nodes.iter_mut().zip(old.nodes().iter().zip(new.nodes()))
        {
            growth.reroute(before, after);
        }
    }
}

impl NodeGrowth {
    fn reroute(&mut self, before: &NodePlan, after: &NodePlan) {
        let is_new = |route: &&RoutePlan| !before.routes.contains(route);
        self.routes = after.routes.iter().filter(is_new).cloned().collect();
        let is_lost = |route: &&RoutePlan| {
            after.routes.iter().all(|other| other.destination != route.destination)
        };
        self.lost = before.routes.iter().filter(is_lost).map(|route| route.destination).collect();
    }
}

/// What `new` has besides `old`.
pub(crate) fn between(old: &Plan, new: &Plan) -> Result<Growth, Failure> {
    if new.nodes().len() < old.nodes().len() || new.links().len() < old.links().len() {
        let why = "it has less than the lab; extend the topology that the lab was built from";
        return Err(Failure::new("extend", "the lab", why));
    }
    let both = || old.nodes().iter().zip(new.nodes());
    // First: the interfaces of a switch have the names of the nodes beside it.
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
    for (before, after) in old.links().iter().zip(new.links()) {
        let ends = |plan: &Plan, ends: &[crate::lab::plan::InterfaceRef; 2]| {
            ends.each_ref().map(|end| (end.node, plan.interface(*end).name.clone()))
        };
        if before.name != after.name || ends(old, &before.ends) != ends(new, &after.ends) {
            let name = before.name.as_deref().unwrap_or("without a name");
            return Err(changed(&format!("link {name}"), "its name or its ends"));
        }
    }
    Ok(growth)
}

fn between_nodes(before: &NodePlan, after: &NodePlan) -> Result<(Vec<usize>, NodeGrowth), Failure> {
    let name = before.name.as_str();
    let mut growth = NodeGrowth::default();
    let mut places = Vec::new();
    for interface in &before.interfaces {
        let what = || format!("{} of {name}", interface.name);
        let found = after.interfaces.iter().position(|other| other.name == interface.name);
        let place = found.ok_or_else(|| changed(&what(), "its name"))?;
        places.push(place);
        between_interfaces(interface, &after.interfaces[place], place, &mut growth)
            .map_err(|why| changed(&what(), why))?;
    }
    growth.interfaces = (0..after.interfaces.len()).filter(|at| !places.contains(at)).collect();
    growth.reroute(before, after);
    let is_new = |sysctl: &&(String, String)| !before.sysctls.contains(sysctl);
    growth.sysctls = after.sysctls.iter().filter(is_new).cloned().collect();
    Ok((places, growth))
}

/// An error says what would change.
fn between_interfaces(
    before: &InterfacePlan,
    after: &InterfacePlan,
    place: usize,
    growth: &mut NodeGrowth,
) -> Result<(), &'static str> {
    let is_same = match (&before.kind, &after.kind) {
        (
            InterfaceKind::Veth { link, bridge, .. },
            InterfaceKind::Veth { link: other, bridge: other_bridge, .. },
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
        return Err("what it is");
    }
    if before.mac != after.mac {
        return Err("its Ethernet address");
    }
    if before.mtu != after.mtu {
        return Err("its MTU");
    }
    if !before.addresses.iter().all(|address| after.addresses.contains(address)) {
        return Err("its addresses");
    }
    let new = after.addresses.iter().filter(|address| !before.addresses.contains(address));
    growth.addresses.extend(new.map(|address| (place, *address)));
    Ok(())
}

fn changed(what: &str, would: &str) -> Failure {
    let why = format!("{would} would change; what is there stays as it is, build another lab");
    Failure::new("extend", what, why)
}
