//! Properties of plans, checked on random topologies from a fixed seed.

use std::collections::VecDeque;

use crate::lab::impair::frame::samples::Random;
use crate::lab::tests::check_invariants;
use crate::lab::{NodeId, NodeKind, Plan, Topology};

/// Returns a random topology with loops of routers, but not of switches.
fn topology(random: &mut Random) -> (Topology, Vec<NodeId>) {
    let mut net = Topology::new();
    let count = 2 + random.below(25);
    let nodes: Vec<NodeId> = (0..count)
        .map(|number| match random.below(5) {
            0 => net.switch(format!("s{number}")),
            1 | 2 => net.router(format!("r{number}")),
            _ => net.host(format!("h{number}")),
        })
        .collect();
    for _ in 0..random.below(2 * count) {
        let (a, b) = (random.below(count), random.below(count));
        let is_switch = |node: usize| net.nodes[node].kind == NodeKind::Switch;
        if a == b || (is_switch(a) && is_switch(b) && a > b) {
            continue;
        }
        let before = net.clone();
        let number = random.below(200);
        let link = net.link(nodes[a], nodes[b]);
        let link = match random.below(12) {
            0 => link.subnet(format!("172.{}.{}.0/24", 16 + number % 16, number / 16)),
            1 => link.ipv4_only(),
            2 => link.ipv6_only(),
            _ => link,
        };
        let _ = link.id();
        // The link closes a loop of switches, or conflicts with another one: leave it out.
        if net.plan().is_err() {
            net = before;
        }
    }
    for number in 0..random.below(4) {
        let node = random.below(count);
        if net.nodes[node].kind != NodeKind::Switch {
            net.node(nodes[node]).dummy(format!("d{number}"), ());
        }
    }
    (net, nodes)
}

#[test]
fn nodes_are_reachable_wherever_a_path_exists() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut links, mut pairs, mut unreachable) = (0, 0, 0);
    for _ in 0..300 {
        let (net, nodes) = topology(&mut random);
        let plan = net.plan().unwrap();
        check_invariants(&plan);
        assert_eq!(plan, net.plan().unwrap());
        links += plan.links().len();
        for is_ipv4 in [true, false] {
            for a in 0..nodes.len() {
                let reached = reachable(&plan, a, is_ipv4);
                for (b, &is_reached) in reached.iter().enumerate() {
                    check_pair(&plan, a, b, is_ipv4, is_reached);
                    pairs += usize::from(is_reached);
                    unreachable += usize::from(!is_reached);
                }
            }
        }
    }
    assert!(
        links > 3000 && pairs > 20_000 && unreachable > 20_000,
        "{links} {pairs} {unreachable}"
    );
}

/// Asserts that a path of the plan arrives if there is one, and that none is a loop.
fn check_pair(plan: &Plan, a: usize, b: usize, is_ipv4: bool, is_reached: bool) {
    let addresses = plan.nodes()[b].addresses.iter().filter(|one| one.is_ipv4() == is_ipv4);
    let mut any = false;
    for &to in addresses {
        let path = plan.path_to(plan.id(a), to);
        assert_ne!(path.end, crate::lab::PathOutcome::Loop, "{path}\n{plan}");
        any |= path.end == crate::lab::PathOutcome::Arrived;
    }
    let has_source = plan.nodes()[a].addresses.iter().any(|one| one.is_ipv4() == is_ipv4);
    assert_eq!(any && has_source, is_reached, "{a} {b} {is_ipv4}\n{plan}");
    let reach = plan.can_reach(plan.id(a), plan.id(b));
    assert_eq!(if is_ipv4 { reach.ipv4 } else { reach.ipv6 }, is_reached, "{a} {b}\n{plan}");
}

/// Returns the nodes that a packet from `from` can reach: over segments that have the family, and
/// over routers, but not over hosts.
fn reachable(plan: &Plan, from: usize, is_ipv4: bool) -> Vec<bool> {
    let mut reached = vec![false; plan.nodes().len()];
    let has = |node: usize| plan.nodes()[node].addresses.iter().any(|one| one.is_ipv4() == is_ipv4);
    if !has(from) {
        return reached;
    }
    reached[from] = true;
    let mut queue = VecDeque::from([from]);
    while let Some(node) = queue.pop_front() {
        if node != from && plan.nodes()[node].kind != NodeKind::Router {
            continue;
        }
        let near = plan.segments().iter().filter(|segment| {
            segment.subnets.iter().any(|subnet| subnet.is_ipv4() == is_ipv4)
                && segment.members.iter().any(|place| place.node == node)
        });
        for place in near.flat_map(|segment| &segment.members) {
            if !reached[place.node] {
                reached[place.node] = true;
                queue.push_back(place.node);
            }
        }
    }
    reached
}
