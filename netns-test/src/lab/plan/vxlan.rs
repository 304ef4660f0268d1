//! The ends of VXLAN tunnels: which addresses they have, and what MTU is left for what they carry.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::lab::plan::errors::TopologyError;
use crate::lab::plan::routes::path::PathOutcome;
use crate::lab::plan::segments::USUAL_MTU;
use crate::lab::plan::{InterfaceKind, Plan, SegmentKind, SegmentPlan};
use crate::lab::topology::Topology;
use crate::lab::topology::model::ExtraKind;

/// What a tunnel adds to a packet: Ethernet, VXLAN and UDP headers with that of IPv4 or IPv6.
const OVERHEAD: [u32; 2] = [14 + 8 + 8 + 20, 14 + 8 + 8 + 40];

/// The least that is left for a tunnel over IPv4 or IPv6, which carries IPv6 itself.
const LEAST: u32 = 1280;

/// By node that is in a VXLAN: the peers that it names.
type Members = BTreeMap<usize, Vec<usize>>;

/// Checks the peers, and fills in the addresses and MTUs of tunnels.
pub(crate) fn connect(topology: &Topology, plan: &mut Plan, mistakes: &mut Vec<TopologyError>) {
    let mut tunnels: BTreeMap<u32, Members> = BTreeMap::new();
    for (index, node) in topology.nodes.iter().enumerate() {
        for extra in &node.extras {
            let ExtraKind::Vxlan { vni, peers } = &extra.kind else { continue };
            if peers.iter().any(Option::is_none) {
                let place = format!("peers of VXLAN {vni} of `{}`", node.name);
                mistakes.push(TopologyError::UnknownNode { place });
            }
            let named = peers.iter().flatten().copied().collect();
            tunnels.entry(*vni).or_default().insert(index, named);
        }
    }
    for (vni, members) in tunnels {
        let mut found = check(topology, plan, vni, &members);
        if found.is_empty() {
            fill(topology, plan, vni, &members, &mut found);
        }
        mistakes.extend(found);
    }
}

/// All nodes of one VXLAN name each other and nobody else.
fn check(topology: &Topology, plan: &Plan, vni: u32, members: &Members) -> Vec<TopologyError> {
    let name = |node: usize| topology.nodes[node].name.clone();
    let mut found = Vec::new();
    let mut say = |node: usize, peer: usize, why| {
        found.push(TopologyError::VxlanPeer { node: name(node), peer: name(peer), vni, why });
    };
    for (&node, peers) in members {
        for &peer in peers.iter().filter(|peer| !members.contains_key(peer) || **peer == node) {
            if peer == node {
                say(node, peer, "is the node itself; name others");
            } else {
                say(node, peer, "has no such VXLAN; give it one, or do not name it");
            }
        }
        for &other in members.keys().filter(|&&other| other != node && !peers.contains(&other)) {
            say(node, other, "is missing: all nodes of a VXLAN name each other; name it");
        }
        if end(plan, node, true).is_none() && end(plan, node, false).is_none() {
            say(node, node, "has no address outside of tunnels; link it");
        }
    }
    found
}

/// The first address of a node that is not in a tunnel.
fn end(plan: &Plan, node: usize, is_ipv4: bool) -> Option<IpAddr> {
    let is_outside = |address: &&IpAddr| {
        let segment = plan.owners.get(*address).map(|&place| plan.interface(place).segment);
        address.is_ipv4() == is_ipv4 && segment.is_some_and(|at| !plan.segments[at].is_overlay())
    };
    plan.nodes[node].addresses.iter().find(is_outside).copied()
}

/// The addresses of the ends, by node.
type Ends = BTreeMap<usize, IpAddr>;

fn fill(
    topology: &Topology,
    plan: &mut Plan,
    vni: u32,
    members: &Members,
    mistakes: &mut Vec<TopologyError>,
) {
    let name = |node: usize| topology.nodes[node].name.clone();
    let mut refused = Vec::new();
    for is_ipv4 in [true, false] {
        let all = members.keys().map(|&node| Some((node, end(plan, node, is_ipv4)?)));
        let Some(ends) = all.collect::<Option<Ends>>() else { continue };
        match least_mtu(plan, &ends) {
            Ok(below) => {
                let mtu = below.saturating_sub(OVERHEAD[usize::from(!is_ipv4)]);
                set(plan, vni, &ends, mtu, mistakes);
                return;
            }
            Err([node, peer]) => refused.push(TopologyError::VxlanPeer {
                node: name(node),
                peer: name(peer),
                vni,
                why: "cannot be reached from it; give the two a way",
            }),
        }
    }
    if refused.is_empty() {
        for (node, peer) in members.keys().zip(members.keys().skip(1)).take(1) {
            let why =
                "and it, and the others, have no family in common; give them addresses of one";
            let (node, peer) = (name(*node), name(*peer));
            refused.push(TopologyError::VxlanPeer { node, peer, vni, why });
        }
    }
    // One way that is missing is enough to say.
    refused.truncate(1);
    mistakes.append(&mut refused);
}

/// The least MTU on all ways between the ends, or two nodes of which the one cannot reach the
/// other.
fn least_mtu(plan: &Plan, ends: &Ends) -> Result<u32, [usize; 2]> {
    let mut least = None;
    for &node in ends.keys() {
        for (&peer, &address) in ends.iter().filter(|&(&peer, _)| peer != node) {
            let end = plan.walk(node, address, |at, interface| {
                let mtu = interface.map(|interface| plan.nodes[at].interfaces[interface].mtu);
                least = least.into_iter().chain(mtu).min();
            });
            if end != PathOutcome::Arrived {
                return Err([node, peer]);
            }
        }
    }
    Ok(least.unwrap_or(USUAL_MTU))
}

fn set(plan: &mut Plan, vni: u32, ends: &Ends, mtu: u32, mistakes: &mut Vec<TopologyError>) {
    let is_it = |segment: &&mut SegmentPlan| segment.kind == SegmentKind::Vxlan { vni };
    let Some(segment) = plan.segments.iter_mut().find(is_it) else { return };
    segment.mtu = mtu;
    if mtu < LEAST && segment.subnets.iter().any(|subnet| !subnet.is_ipv4()) {
        let (place, why) =
            (format!("VXLAN {vni}"), "IPv6 needs that much; raise that of the links below");
        mistakes.push(TopologyError::MtuOutOfRange { place, mtu, least: LEAST, why });
    }
    for place in segment.members.clone() {
        let interface = &mut plan.nodes[place.node].interfaces[place.interface];
        interface.mtu = mtu;
        if let InterfaceKind::Vxlan { local, remotes, .. } = &mut interface.kind {
            let others = ends.iter().filter(|&(&peer, _)| peer != place.node);
            *local = ends[&place.node];
            *remotes = others.map(|(_, &end)| end).collect();
        }
    }
}
