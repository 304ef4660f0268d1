//! The network after links have been moved: broadcast domains, and the routes that follow from
//! them. The plan of the lab stays as it is, and this is computed from it.
//!
//! Pure.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::addr::cidr::Subnet;
use crate::lab::fabric::ends;
use crate::lab::fabric::ends::End;
use crate::lab::plan::addresses::order;
use crate::lab::plan::ifindex::Indexes;
use crate::lab::plan::nat::set;
use crate::lab::plan::routes::shortest_paths;
use crate::lab::plan::{
    InterfaceKind, InterfacePlan, InterfaceRef, NodePlan, Plan, RoutePlan, SegmentKind, SegmentPlan,
};

/// Plan with the links where they are now, and the indexes of its interfaces. Planned interfaces
/// keep their positions, and ends that have been moved to a node come after them.
#[derive(Debug)]
pub(crate) struct Current<'a> {
    pub(crate) plan: Cow<'a, Plan>,
    pub(crate) indexes: Cow<'a, Indexes>,
}

/// Computes the network from the plan and the ends of its links.
pub(crate) fn current<'a>(plan: &'a Plan, indexes: &'a Indexes, links: &[[End; 2]]) -> Current<'a> {
    if links.iter().flatten().all(|end| end.planned.is_some() && end.given.is_none()) {
        return Current { plan: Cow::Borrowed(plan), indexes: Cow::Borrowed(indexes) };
    }
    let (plan, indexes) = (plan.clone(), indexes.clone());
    let mut work = Work { plan, indexes, links, new: HashMap::new(), touched: Vec::new() };
    for at in 0..links.len() {
        work.place(at);
    }
    let Work { mut plan, indexes, new, touched, .. } = work;
    for segment in new.into_values() {
        plan.segments[segment].subnets = subnets(&plan, &plan.segments[segment]);
    }
    let nodes = &mut plan.nodes;
    for (at, node) in nodes.iter_mut().enumerate() {
        let interfaces = &node.interfaces;
        let is_usable = |route: &RoutePlan| {
            let on = |one: &(usize, &InterfacePlan)| one.1.name == route.dev;
            let is_near = |(interface, one): (usize, &InterfacePlan)| match route.via {
                _ if !touched.contains(&InterfaceRef { node: at, interface }) => true,
                Some(via) => one.addresses.iter().any(|own| own.is_near(via)),
                None => !one.addresses.is_empty(),
            };
            interfaces.iter().enumerate().find(on).is_some_and(is_near)
        };
        node.routes.retain(|route| route.is_static && is_usable(route));
        node.addresses.clear();
    }
    order::order(nodes, &plan.segments);
    set::follow_nats(nodes, &plan.segments);
    shortest_paths::compute(nodes, &plan.segments);
    plan.derive();
    set::follow_firewalls(&mut plan);
    Current { plan: Cow::Owned(plan), indexes: Cow::Owned(indexes) }
}

struct Work<'a> {
    plan: Plan,
    indexes: Indexes,
    links: &'a [[End; 2]],
    /// New segments, by the first of their links.
    new: HashMap<usize, usize>,
    /// Interfaces that have been moved to another segment or node.
    touched: Vec<InterfaceRef>,
}

impl Work<'_> {
    /// Moves the ends of a link to their nodes and segments.
    fn place(&mut self, at: usize) {
        let ends = &self.links[at];
        if ends.iter().all(|end| end.planned.is_some() && end.given.is_none()) {
            return;
        }
        // Without addresses of the new segment the end stays in the old one.
        let has_joined = ends.iter().any(|end| end.given.is_some());
        let segment = if has_joined { self.segment_of(at) } else { self.plan.links[at].segment };
        for side in [0, 1] {
            let (end, planned) = (&ends[side], self.plan.links[at].ends[side]);
            let place = if end.planned.is_some() {
                planned
            } else {
                self.leave(planned);
                self.arrive(at, end, planned)
            };
            let is_switch = bridge_of(&self.plan.nodes[place.node]).is_some();
            if has_joined && !is_switch {
                self.join(place, segment);
            }
            if let Some(given) = &end.given {
                self.plan.nodes[place.node].interfaces[place.interface].addresses.clone_from(given);
            }
        }
    }

    /// Removes an interface, and those on top of it, from the network.
    fn leave(&mut self, place: InterfaceRef) {
        let interfaces = &mut self.plan.nodes[place.node].interfaces;
        let name = interfaces[place.interface].name.clone();
        let is_on_it = |one: &InterfacePlan| match &one.kind {
            InterfaceKind::Vlan { lower, .. } | InterfaceKind::Macvlan { lower, .. } => {
                *lower == name
            }
            _ => false,
        };
        let on_it = interfaces.iter().enumerate().filter(|(_, one)| is_on_it(one));
        let gone: Vec<usize> = on_it.map(|(at, _)| at).chain([place.interface]).collect();
        for interface in gone {
            interfaces[interface].addresses.clear();
            // Another interface may have the name now.
            interfaces[interface].name.clear();
            for segment in &mut self.plan.segments {
                segment.members.retain(|one| *one != InterfaceRef { node: place.node, interface });
            }
        }
    }

    /// Adds an end to the node that it was moved to.
    fn arrive(&mut self, link: usize, end: &End, planned: InterfaceRef) -> InterfaceRef {
        let InterfacePlan { mac, mtu, segment, .. } = *self.plan.interface(planned);
        let node = &mut self.plan.nodes[end.node];
        let (peer, bridge) = (planned, bridge_of(node).map(str::to_owned));
        let kind = InterfaceKind::Veth { link, peer, bridge };
        let (name, addresses) = (end.name.clone(), Vec::new());
        node.interfaces.push(InterfacePlan { name, kind, mac, mtu, addresses, segment });
        self.indexes.push(end.node, end.index);
        InterfaceRef { node: end.node, interface: node.interfaces.len() - 1 }
    }

    fn join(&mut self, place: InterfaceRef, segment: usize) {
        self.touched.push(place);
        for segment in &mut self.plan.segments {
            segment.members.retain(|one| *one != place);
        }
        self.plan.segments[segment].members.push(place);
        self.plan.nodes[place.node].interfaces[place.interface].segment = segment;
    }

    /// Returns the segment of a link: that of the nearest switch, or a new one if there is no
    /// switch, or if the plan has no segment of links for it.
    fn segment_of(&mut self, link: usize) -> usize {
        if let Some(segment) = planned_segment(&self.plan, self.links, link) {
            return segment;
        }
        let first = ends::joined(&self.plan, self.links, link).into_iter().min().unwrap_or(link);
        let Plan { segments, links, .. } = &mut self.plan;
        *self.new.entry(first).or_insert_with(|| {
            let mtu = segments[links[link].segment].mtu;
            let kind = SegmentKind::Links { first };
            let (subnets, members, switches) = (Vec::new(), Vec::new(), Vec::new());
            segments.push(SegmentPlan { kind, subnets, mtu, members, switches });
            segments.len() - 1
        })
    }
}

/// Returns the planned segment of the nearest switch that a link is on, if the segment consists of
/// links.
pub(crate) fn planned_segment(plan: &Plan, links: &[[End; 2]], link: usize) -> Option<usize> {
    let joined = ends::joined(plan, links, link);
    let nodes = joined.iter().flat_map(|at| &links[*at]).map(|end| end.node);
    let of_switch = |node: usize| {
        let is_it = |one: &SegmentPlan| {
            one.switches.contains(&node) && matches!(one.kind, SegmentKind::Links { .. })
        };
        plan.segments.iter().position(is_it)
    };
    nodes.into_iter().find_map(of_switch)
}

fn bridge_of(node: &NodePlan) -> Option<&str> {
    let is_bridge = |one: &&InterfacePlan| matches!(one.kind, InterfaceKind::Bridge { .. });
    node.interfaces.first().filter(is_bridge).map(|one| one.name.as_str())
}

/// Returns the subnets that members of a segment have addresses in.
fn subnets(plan: &Plan, segment: &SegmentPlan) -> Vec<Subnet> {
    let all = segment.members.iter().flat_map(|place| &plan.interface(*place).addresses);
    let mut found = Vec::new();
    for subnet in all.filter(|one| !one.is_whole()).map(|one| one.subnet()) {
        if !found.contains(&subnet) {
            found.push(subnet);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::fabric::ends::LinkEnds;
    use crate::lab::plan::routes::outcome::PathOutcome;
    use crate::lab::topology::Topology;

    #[test]
    fn packets_go_where_the_links_are_now() {
        let mut net = Topology::new();
        let [one, two] = ["one", "two"].map(|name| net.switch(name));
        let [roamer, first, second] = ["roamer", "first", "second"].map(|name| net.host(name));
        let router = net.router("router");
        net.link(roamer, one);
        net.link(first, one);
        net.link(second, two);
        net.link(router, one);
        net.link(router, two);
        let plan = net.plan().unwrap();
        let indexes = Indexes::new(&plan, 0);
        let links = LinkEnds::new(&plan, &indexes);
        let mut links = links.lock();
        let given = ["10.0.1.254/24", "fd6e:6574:6e73:1::fffe/64"].map(|one| one.parse().unwrap());
        links[0][0].given = Some(given.to_vec());
        links[0][1].node = plan.position(two).unwrap();
        links[0][1].planned = None;
        let now = current(&plan, &indexes, &links).plan;
        for (from, to, hops) in [
            (roamer, second, vec!["roamer", "second"]),
            (second, roamer, vec!["second", "roamer"]),
            (roamer, first, vec!["roamer", "router", "first"]),
            (first, roamer, vec!["first", "router", "roamer"]),
        ] {
            let path = now.path(from, to);
            let names: Vec<&str> = path.hops.iter().map(|hop| hop.name.as_str()).collect();
            assert_eq!((path.end, names), (PathOutcome::Arrived, hops), "{path}");
            assert!(now.can_reach(from, to).both(), "{path}");
        }
    }
}
