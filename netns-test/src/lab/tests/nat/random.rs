//! Reachability through NATs on random topologies from a fixed seed.

use std::collections::VecDeque;

use crate::lab::impair::frame::samples::Random;
use crate::lab::plan::nat::realms::Border;
use crate::lab::tests::check_routes;
use crate::lab::{Ipv6Nat, Nat, NodeId, NodeKind, PathOutcome, Plan, Topology};

/// Returns a random topology of routers, hosts and switches, with NATs.
fn topology(random: &mut Random) -> (Topology, Vec<NodeId>) {
    let mut net = Topology::new();
    let count = 4 + random.below(16);
    let node = |number: usize| match random.below(6) {
        0 => net.switch(format!("s{number}")),
        1..=3 => net.router(format!("r{number}")),
        _ => net.host(format!("h{number}")),
    };
    let nodes: Vec<NodeId> = (0..count).map(node).collect();
    let mut links = Vec::new();
    for at in 1..count {
        let ways = if random.below(6) == 0 { 2 } else { 1 };
        for _ in 0..ways {
            let (before, other) = (net.clone(), random.below(at));
            let link = net.link(nodes[at], nodes[other]);
            let link = if random.below(12) == 0 { link.ipv4_only() } else { link };
            links.push((link.id(), [at, other]));
            if net.plan().is_err() {
                links.pop();
                net = before;
            }
        }
    }
    for _ in 0..count {
        let (link, ends) = links[random.below(links.len())];
        let ipv6 = [Ipv6Nat::Routed, Ipv6Nat::Masquerade, Ipv6Nat::Blocked][random.below(3)];
        let before = net.clone();
        net.nat(nodes[ends[random.below(2)]], link, Nat::new().ipv6(ipv6));
        // The node is no router, or others pass the NAT by.
        if net.plan().is_err() {
            net = before;
        }
    }
    (net, nodes)
}

#[test]
fn nodes_are_reachable_outwards_only() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut nats, mut one_way, mut both_ways) = (0, 0, 0);
    for _ in 0..150 {
        let (net, nodes) = topology(&mut random);
        let plan = net.plan().unwrap();
        plan.nodes().iter().for_each(|node| check_routes(&plan, node));
        nats += plan.nodes().iter().map(|node| node.nats.len()).sum::<usize>();
        for is_ipv4 in [true, false] {
            let reached: Vec<Vec<bool>> =
                (0..nodes.len()).map(|from| reachable(&plan, from, is_ipv4)).collect();
            for (a, row) in reached.iter().enumerate() {
                for (b, &is_reached) in row.iter().enumerate() {
                    check_pair(&plan, [a, b], is_ipv4, is_reached);
                    one_way += usize::from(is_reached && !reached[b][a]);
                    both_ways += usize::from(is_reached && reached[b][a]);
                }
            }
        }
    }
    assert!(
        nats > 200 && one_way > 1000 && both_ways > 5000,
        "{nats} NATs, {one_way} pairs one way, {both_ways} both ways"
    );
}

fn check_pair(plan: &Plan, [a, b]: [usize; 2], is_ipv4: bool, is_reached: bool) {
    let [from, to] = [a, b].map(|node| plan.id(node));
    let reach = plan.can_reach(from, to);
    let found = if is_ipv4 { reach.ipv4 } else { reach.ipv6 };
    assert_eq!(found, is_reached, "{a} {b} {is_ipv4} {}\n{plan}", plan.path(from, to));
    for &address in plan.addresses_of(to) {
        let path = plan.path_to(from, address);
        assert_ne!(path.end, PathOutcome::Loop, "{path}\n{plan}");
    }
}

/// Returns the nodes that a packet from `from` can reach: over routers, and from the inside of a
/// NAT to its outside, never back.
fn reachable(plan: &Plan, from: usize, is_ipv4: bool) -> Vec<bool> {
    let mut reached = vec![false; plan.nodes().len()];
    let has_family = |interface: &crate::lab::InterfacePlan| {
        interface.addresses.iter().any(|one| one.address().is_ipv4() == is_ipv4)
    };
    if !plan.nodes()[from].interfaces.iter().any(has_family) {
        return reached;
    }
    reached[from] = true;
    // Nodes by the kind of border at which the packet has come in.
    let mut seen = vec![[false; 2]; plan.nodes().len()];
    let mut queue = VecDeque::from([(from, None)]);
    while let Some((at, arrival)) = queue.pop_front() {
        let node = &plan.nodes()[at];
        let is_forwarded = match arrival {
            None => true,
            Some(border) => node.kind == NodeKind::Router && border == Border::Open,
        };
        for interface in node.interfaces.iter().filter(|one| is_forwarded && has_family(one)) {
            let border = node.border(&interface.name, is_ipv4);
            if arrival.is_some() && border == Border::Closed {
                continue;
            }
            for place in &plan.segments()[interface.segment].members {
                let next = plan.interface(*place);
                if !has_family(next) {
                    continue;
                }
                reached[place.node] = true;
                let border = plan.nodes()[place.node].border(&next.name, is_ipv4);
                let known = &mut seen[place.node][usize::from(border == Border::Open)];
                if place.node != at && !std::mem::replace(known, true) {
                    queue.push_back((place.node, Some(border)));
                }
            }
        }
    }
    reached
}
