//! NATs and firewalls of all nodes of a plan, with their mistakes. Pure.

use std::net::Ipv4Addr;

use crate::lab::plan::errors::TopologyError;
use crate::lab::plan::nat::borders;
use crate::lab::plan::nat::declared::Declared;
use crate::lab::plan::nat::firewall;
use crate::lab::plan::nat::inside::{Forward, Site};
use crate::lab::plan::nat::ipv6;
use crate::lab::plan::nat::numbers;
use crate::lab::plan::nat::view::View;
use crate::lab::plan::nat::{NatPlan, PortForwardPlan};
use crate::lab::plan::{InterfacePlan, InterfaceRef, NodePlan, Plan, SegmentPlan};
use crate::lab::topology::Topology;
use crate::lab::topology::nat::declared::DeclaredForward;

/// Sets the NATs of the nodes, whose interfaces have their addresses already.
pub(crate) fn nats(
    topology: &Topology,
    declared: &[Declared<'_>],
    (nodes, segments): (&mut [NodePlan], &[SegmentPlan]),
    errors: &mut Vec<TopologyError>,
) {
    if declared.is_empty() {
        return;
    }
    let mut mistakes = vec![Vec::new(); declared.len()];
    for (one, mistakes) in declared.iter().zip(&mut mistakes) {
        let InterfaceRef { node, interface } = one.outside;
        let outside = nodes[node].interfaces[interface].name.clone();
        nodes[node].nats.push(numbers::planned(one.nat, &outside, mistakes));
    }
    let [realms, realms_of_ipv6] =
        [true, false].map(|is_ipv4| borders::realms(nodes, segments, is_ipv4));
    let mut done: Vec<(InterfaceRef, NatPlan)> = Vec::new();
    for (one, mut mistakes) in declared.iter().zip(mistakes) {
        let InterfaceRef { node: router, interface: outside } = one.outside;
        let site = Site { nodes, realms: &realms, router, outside };
        let Some(mut plan) = nat_at(site.nodes, one.outside).cloned() else { continue };
        let mut one_to_one: Vec<(Ipv4Addr, usize)> = Vec::new();
        for (address, inside) in &one.nat.one_to_one {
            match inside.node(&topology.ids) {
                Some(node) => one_to_one.push((*address, node)),
                None => {
                    let place = format!("1:1 of {address}, {}", one.place);
                    errors.push(TopologyError::UnknownNode { place });
                }
            }
        }
        site.complete((&mut plan, one.nat), &one_to_one, &mut mistakes);
        let ipv6 = ipv6::Site { nodes, segments, realms: &realms_of_ipv6, place: one.outside };
        ipv6.complete(&mut plan, &mut mistakes);
        let is_other = |(other, plan): &(InterfaceRef, NatPlan)| {
            other.node == router && plan.port_mapping.is_some()
        };
        if plan.port_mapping.is_some() && done.iter().any(is_other) {
            mistakes.push(
                "another NAT of the router serves port mapping, and hosts could not say which one \
                 they mean; remove it from one"
                    .to_owned(),
            );
        }
        let error = |why| TopologyError::BadNat { place: one.place.clone(), why };
        errors.extend(mistakes.into_iter().map(error));
        plan.forwards = forwards(topology, &site, &one.forwards, errors);
        done.push((one.outside, plan));
    }
    for (InterfaceRef { node, interface }, plan) in done {
        let of_plan = &mut nodes[node];
        let name = &of_plan.interfaces[interface].name;
        if let Some(nat) = of_plan.nats.iter_mut().find(|nat| nat.outside == *name) {
            *nat = plan;
        }
    }
}

fn nat_at(nodes: &[NodePlan], place: InterfaceRef) -> Option<&NatPlan> {
    let node = &nodes[place.node];
    let name = &node.interfaces[place.interface].name;
    node.nats.iter().find(|nat| nat.outside == *name)
}

fn forwards(
    topology: &Topology,
    site: &Site<'_>,
    declared: &[&DeclaredForward],
    errors: &mut Vec<TopologyError>,
) -> Vec<PortForwardPlan> {
    let mut found = Vec::new();
    let router = &topology.nodes[site.router].name;
    for forward in declared {
        let DeclaredForward { protocol, external_port, to, to_port, .. } = **forward;
        let place = format!("forwarded {protocol} port {external_port} of `{router}`");
        let Some(to) = to else {
            errors.push(TopologyError::UnknownNode { place });
            continue;
        };
        match site.forward(Forward { protocol, external_port, to, port: to_port }, &found) {
            Ok(forward) => found.push(forward),
            Err(why) => errors.push(TopologyError::BadNat { place, why }),
        }
    }
    found
}

/// Sets the firewalls of the nodes, which have all else already.
pub(crate) fn firewalls(
    topology: &Topology,
    (nodes, segments): (&mut [NodePlan], &[SegmentPlan]),
    errors: &mut Vec<TopologyError>,
) {
    if topology.firewalls.is_empty() {
        return;
    }
    let realms = [true, false].map(|is_ipv4| borders::realms(nodes, segments, is_ipv4));
    let view = View { nodes, realms: &realms };
    let exposures = view.exposures();
    let site = firewall::Site { ids: &topology.ids, view, exposures: &exposures };
    for (node, plan) in firewall::all(topology, &site, errors) {
        nodes[node].firewall = Some(plan);
    }
}

/// Makes the NATs of nodes whose links have been moved know the addresses of their inside nodes.
pub(crate) fn follow_nats(nodes: &mut [NodePlan], segments: &[SegmentPlan]) {
    let realms = borders::realms(nodes, segments, true);
    for router in 0..nodes.len() {
        let mut nats = nodes[router].nats.clone();
        for nat in &mut nats {
            let is_outside = |one: &InterfacePlan| one.name == nat.outside;
            let Some(outside) = nodes[router].interfaces.iter().position(is_outside) else {
                continue;
            };
            Site { nodes, realms: &realms, router, outside }.follow(nat);
        }
        nodes[router].nats = nats;
    }
}

/// Makes the firewalls of nodes know the addresses of the nodes that their rules name.
pub(crate) fn follow_firewalls(plan: &mut Plan) {
    let view = View { nodes: &plan.nodes, realms: &plan.realms };
    let all = plan.nodes.iter().map(|node| node.firewall.clone()).enumerate();
    let followed = all.map(|(at, mut firewall)| {
        if let Some(firewall) = &mut firewall {
            firewall::follow(firewall, at, (view, &plan.exposures));
        }
        firewall
    });
    let followed: Vec<_> = followed.collect();
    for (node, firewall) in plan.nodes.iter_mut().zip(followed) {
        node.firewall = firewall;
    }
}
