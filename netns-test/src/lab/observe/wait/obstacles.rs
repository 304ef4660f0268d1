//! Obstacles between two nodes, as the lab knows them: a lost packet does not say where it was
//! lost.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::error::Result;
use crate::lab::fabric::ends::End;
use crate::lab::fabric::moved::current;
use crate::lab::fabric::state::Fabric;
use crate::lab::plan::{InterfaceKind, InterfaceRef, NodePlan, Plan};
use crate::lab::topology::NodeKind;

/// Step of a packet: a node, and the interface by which the packet leaves it.
type Step = (usize, Option<usize>);

/// Returns what keeps packets of a node from an address, or the answers from the node, one sentence
/// each: nodes on the path that are powered off, links that are down, partitions.
pub(crate) fn between(fabric: &Fabric, from: usize, to: IpAddr) -> Result<Vec<String>> {
    let cables = fabric.links.lock().clone();
    let planned = fabric.now();
    let now = current(&planned, &fabric.indexes, &cables);
    let plan = &*now.plan;
    let Some(end) = owner(fabric, plan, to)? else { return Ok(Vec::new()) };
    let there = way(plan, from, end, to);
    let own = plan.nodes()[from].addresses.iter();
    let own = own.copied().find(|own| own.is_ipv4() == to.is_ipv4());
    let back = own.map_or_else(Vec::new, |own| way(plan, end, from, own));
    let mut found: Vec<String> = Vec::new();
    for way in [&there, &back] {
        for step in way.windows(2) {
            found.extend(on_step(fabric, (plan, &cables), step[0], step[1].0)?);
        }
    }
    let on_way: BTreeSet<usize> =
        there.iter().chain(&back).map(|step| step.0).chain([from, end]).collect();
    let name = |node: usize| fabric.plan.nodes()[node].name.as_str();
    let off = on_way.iter().filter(|node| !fabric.nodes[**node].is_on());
    found.extend(off.map(|node| format!("{} is powered off", name(*node))));
    let parted = fabric.partitions.pairs().into_iter().filter(|[one, other]| {
        let ends = [from, end];
        let is_on = |node| on_way.contains(node);
        // A router does not forward packets from the other side, and two routers on different sides
        // do not resolve each other's Ethernet addresses.
        is_on(one) && is_on(other) && (ends.contains(one) || ends.contains(other))
            || there.windows(2).chain(back.windows(2)).any(|step| {
                let step = [step[0].0, step[1].0];
                step.contains(one) && step.contains(other)
            })
    });
    found.extend(
        parted.map(|[one, other]| {
            format!("a partition lies between {} and {}", name(one), name(other))
        }),
    );
    let mut seen = BTreeSet::new();
    found.retain(|sentence| seen.insert(sentence.clone()));
    Ok(found)
}

/// Returns the node that has an address, by the plan or now.
fn owner(fabric: &Fabric, plan: &Plan, address: IpAddr) -> Result<Option<usize>> {
    let planned = |node: &NodePlan| node.addresses.contains(&address);
    if let Some(at) = plan.nodes().iter().position(planned) {
        return Ok(Some(at));
    }
    for (at, host) in fabric.nodes.iter().enumerate() {
        let Ok(here) = host.here() else { continue };
        if here.netlink.addresses()?.iter().any(|one| one.cidr.address() == address) {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

/// Returns the path from one node to the other, with the links where they are now.
fn way(plan: &Plan, from: usize, end: usize, to: IpAddr) -> Vec<Step> {
    let planned = &plan.nodes()[end].addresses;
    let near = planned.iter().find(|own| own.is_ipv4() == to.is_ipv4());
    let to = if planned.contains(&to) { to } else { near.copied().unwrap_or(to) };
    let mut steps = Vec::new();
    plan.walk(from, to, |node, interface| steps.push((node, interface)));
    steps
}

/// Returns the links that are down between a node and the next one, over the switches between them.
fn on_step(
    fabric: &Fabric,
    (plan, cables): (&Plan, &[[End; 2]]),
    (node, interface): Step,
    next: usize,
) -> Result<Vec<String>> {
    let Some(interface) = interface else { return Ok(Vec::new()) };
    // A tunnel has a path of its own.
    if !matches!(plan.interface(InterfaceRef { node, interface }).kind, InterfaceKind::Veth { .. })
    {
        return Ok(Vec::new());
    }
    let mut broken = Vec::new();
    for (at, ends) in cables.iter().enumerate() {
        if let Some(why) = why_broken(fabric, ends)? {
            broken.push((at, why));
        }
    }
    let is_broken = |at: usize| broken.iter().any(|(other, _)| *other == at);
    if join(fabric, cables, [node, next], |at| !is_broken(at)).is_some() {
        return Ok(Vec::new());
    }
    let name = |node: usize| plan.nodes()[node].name.as_str();
    let Some(way) = join(fabric, cables, [node, next], |_| true) else {
        return Ok(vec![format!("no link leads from {} to {}", name(node), name(next))]);
    };
    let broken = broken.into_iter().filter(|(at, _)| way.contains(at));
    Ok(broken.map(|(at, why)| format!("{} is down: {why}", plan.link_label(at))).collect())
}

/// Returns the reason why a link carries no packets, if there is one.
fn why_broken(fabric: &Fabric, ends: &[End; 2]) -> Result<Option<String>> {
    for end in ends {
        let Ok(here) = fabric.nodes[end.node].here() else {
            return Ok(Some(format!("{} is powered off", fabric.plan.nodes()[end.node].name)));
        };
        let there = here.netlink.interfaces()?;
        match there.iter().find(|one| one.index == end.index) {
            Some(one) if one.is_up => {}
            Some(_) => return Ok(Some(format!("{} is down", fabric.label(end)))),
            None => return Ok(Some(format!("{} is gone", fabric.label(end)))),
        }
    }
    Ok(None)
}

/// Returns the links from one node to the other, over switches, that `is_meant` accepts.
fn join(
    fabric: &Fabric,
    cables: &[[End; 2]],
    [from, to]: [usize; 2],
    is_meant: impl Fn(usize) -> bool,
) -> Option<Vec<usize>> {
    let (mut ways, mut seen) = (vec![(from, Vec::new())], BTreeSet::from([from]));
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for (at, way) in ways {
            for (cable, ends) in cables.iter().enumerate().filter(|(cable, _)| is_meant(*cable)) {
                for [near, far] in [[0, 1], [1, 0]].map(|ways| ways.map(|way| ends[way].node)) {
                    let way: Vec<usize> = way.iter().copied().chain([cable]).collect();
                    if near == at && far == to {
                        return Some(way);
                    }
                    let is_switch = fabric.plan.nodes()[far].kind == NodeKind::Switch;
                    if near == at && is_switch && seen.insert(far) {
                        longer.push((far, way));
                    }
                }
            }
        }
        ways = longer;
    }
    None
}
