//! VXLAN tunnels: addresses of their ends, and their MTU. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::lab::plan::errors::TopologyError;
use crate::lab::plan::routes::outcome::PathOutcome;
use crate::lab::plan::segments::DEFAULT_MTU;
use crate::lab::plan::{InterfaceKind, Plan, SegmentKind, SegmentPlan};
use crate::lab::topology::Topology;
use crate::lab::topology::model::ExtraKind;

/// Bytes that a tunnel adds to a packet over IPv4 and over IPv6: Ethernet, VXLAN, UDP, IP headers.
const OVERHEAD: [u32; 2] = [14 + 8 + 8 + 20, 14 + 8 + 8 + 40];

/// Lowest MTU of a segment with IPv6, in bytes (RFC 8200).
const IPV6_MIN_MTU: u32 = 1280;

/// Declared peers of each node of a VXLAN.
type Members = BTreeMap<usize, Vec<usize>>;

/// Checks the peers, and sets the addresses and MTUs of the tunnels.
pub(crate) fn connect(topology: &Topology, plan: &mut Plan, errors: &mut Vec<TopologyError>) {
    let mut tunnels: BTreeMap<u32, Members> = BTreeMap::new();
    for (index, node) in topology.nodes.iter().enumerate() {
        for extra in &node.extras {
            let ExtraKind::Vxlan { vni, peers } = &extra.kind else { continue };
            if peers.iter().any(Option::is_none) {
                let place = format!("peers of VXLAN {vni} of `{}`", node.name);
                errors.push(TopologyError::UnknownNode { place });
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
        errors.extend(found);
    }
}

/// Checks that all nodes of a VXLAN name each other and no other node.
fn check(topology: &Topology, plan: &Plan, vni: u32, members: &Members) -> Vec<TopologyError> {
    let name = |node: usize| topology.nodes[node].name.clone();
    let mut found = Vec::new();
    let mut refuse = |node: usize, peer: usize, why| {
        found.push(TopologyError::VxlanPeer { node: name(node), peer: name(peer), vni, why });
    };
    for (&node, peers) in members {
        for &peer in peers.iter().filter(|peer| !members.contains_key(peer) || **peer == node) {
            if peer == node {
                refuse(node, peer, "is the node itself; name others");
            } else {
                refuse(node, peer, "has no such VXLAN; give it one, or do not name it");
            }
        }
        for &other in members.keys().filter(|&&other| other != node && !peers.contains(&other)) {
            refuse(node, other, "is missing: all nodes of a VXLAN name each other; name it");
        }
        if end(plan, node, true).is_none() && end(plan, node, false).is_none() {
            refuse(node, node, "has no address outside of tunnels; link it");
        }
    }
    found
}

/// Returns the first address of a node that is not on a tunnel itself.
fn end(plan: &Plan, node: usize, is_ipv4: bool) -> Option<IpAddr> {
    let is_outside = |address: &&IpAddr| {
        let owner = plan.owners.on(node, **address);
        let segment = owner.map(|place| plan.interface(place).segment);
        address.is_ipv4() == is_ipv4 && segment.is_some_and(|at| !plan.segments[at].is_overlay())
    };
    plan.nodes[node].addresses.iter().find(is_outside).copied()
}

/// Address of the tunnel end of each node.
type Ends = BTreeMap<usize, IpAddr>;

fn fill(
    topology: &Topology,
    plan: &mut Plan,
    vni: u32,
    members: &Members,
    errors: &mut Vec<TopologyError>,
) {
    let name = |node: usize| topology.nodes[node].name.clone();
    let mut refused = Vec::new();
    for is_ipv4 in [true, false] {
        let all = members.keys().map(|&node| Some((node, end(plan, node, is_ipv4)?)));
        let Some(ends) = all.collect::<Option<Ends>>() else { continue };
        match least_mtu(plan, &ends) {
            Ok(below) => {
                let mtu = below.saturating_sub(OVERHEAD[usize::from(!is_ipv4)]);
                set(plan, vni, &ends, mtu, errors);
                return;
            }
            Err([node, peer]) => refused.push(TopologyError::VxlanPeer {
                node: name(node),
                peer: name(peer),
                vni,
                why: "cannot be reached from it; link the two, or add a route",
            }),
        }
    }
    if refused.is_empty() {
        for (node, peer) in members.keys().zip(members.keys().skip(1)).take(1) {
            let why =
                "has no address family in common with it and all other peers; add addresses of one";
            let (node, peer) = (name(*node), name(*peer));
            refused.push(TopologyError::VxlanPeer { node, peer, vni, why });
        }
    }
    // One unreachable pair of nodes is enough to report.
    refused.truncate(1);
    errors.append(&mut refused);
}

/// Returns the lowest MTU on all paths between the ends. The error is a node and a peer that it
/// cannot reach.
fn least_mtu(plan: &Plan, ends: &Ends) -> Result<u32, [usize; 2]> {
    let mut least = None;
    for &node in ends.keys() {
        for (&peer, &address) in ends.iter().filter(|&(&peer, _)| peer != node) {
            let mut last = node;
            let end = plan.walk(node, address, |at, interface| {
                last = at;
                let mtu = interface.map(|interface| plan.nodes[at].interfaces[interface].mtu);
                least = least.into_iter().chain(mtu).min();
            });
            if end != PathOutcome::Arrived || last != peer {
                return Err([node, peer]);
            }
        }
    }
    Ok(least.unwrap_or(DEFAULT_MTU))
}

fn set(plan: &mut Plan, vni: u32, ends: &Ends, mtu: u32, errors: &mut Vec<TopologyError>) {
    let is_it = |segment: &&mut SegmentPlan| segment.kind == SegmentKind::Vxlan { vni };
    let Some(segment) = plan.segments.iter_mut().find(is_it) else { return };
    segment.mtu = mtu;
    if mtu < IPV6_MIN_MTU && segment.subnets.iter().any(|subnet| !subnet.is_ipv4()) {
        let (place, why) =
            (format!("VXLAN {vni}"), "IPv6 needs that much; raise the MTU of the links below");
        errors.push(TopologyError::MtuOutOfRange { place, mtu, least: IPV6_MIN_MTU, why });
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
