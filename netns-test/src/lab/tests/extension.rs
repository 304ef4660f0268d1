//! Property of `extend()`: the plan of a prefix of the declarations, with the additions that the
//! difference finds, is the plan of all declarations.

use std::collections::BTreeMap;

use crate::lab::impair::frame::samples::Random;
use crate::lab::plan::diff;
use crate::lab::plan::diff::NodeGrowth;
use crate::lab::{
    Firewall, Impairment, InterfaceKind, LinkId, Nat, NodeId, NodeKind, NodePlan, Plan, Topology,
    Traffic, Transport,
};

/// A declaration; nodes and links are positions among those declared before.
#[derive(Clone, Copy, Debug)]
enum Declaration {
    Node(NodeKind),
    Link {
        ends: [usize; 2],
        subnet: Option<usize>,
        is_impairable: bool,
    },
    /// Loss in percent, on a link that was declared before: in both directions, or from one end.
    Loss {
        link: usize,
        from: Option<usize>,
        percent: usize,
    },
    Dummy {
        node: usize,
    },
    Vlan {
        node: usize,
        link: usize,
        vid: u16,
    },
    Address {
        node: usize,
    },
    Sysctl {
        node: usize,
    },
    /// NAT on a link that was declared before.
    Nat {
        node: usize,
        link: usize,
        is_symmetric: bool,
    },
    Forward {
        node: usize,
        link: usize,
        to: usize,
    },
    Firewall {
        node: usize,
        port: u16,
    },
}

/// Declares all of it in a new topology. Names carry positions, so that they are unique.
fn declare(all: &[Declaration]) -> Topology {
    let mut net = Topology::new();
    let (mut nodes, mut links): (Vec<NodeId>, Vec<LinkId>) = (Vec::new(), Vec::new());
    for (at, declaration) in all.iter().enumerate() {
        match *declaration {
            Declaration::Node(NodeKind::Switch) => nodes.push(net.switch(format!("s{at}"))),
            Declaration::Node(NodeKind::Router) => nodes.push(net.router(format!("r{at}"))),
            Declaration::Node(_) => nodes.push(net.host(format!("h{at}"))),
            Declaration::Loss { link, from, percent } => {
                let loss = Impairment::new().loss(format!("{percent}%"));
                match from {
                    Some(node) => net.impair_from(links[link], nodes[node], loss),
                    None => net.impair(links[link], loss),
                }
            }
            Declaration::Link { ends: [a, b], subnet, is_impairable } => {
                let link = net.link(nodes[a], nodes[b]);
                let link = if is_impairable { link.impairable() } else { link };
                let link = match subnet {
                    Some(third) => link.subnet(format!("172.16.{third}.0/24")),
                    None => link,
                };
                links.push(link.id());
            }
            Declaration::Dummy { node } => {
                net.node(nodes[node]).dummy(format!("d{at}"), ());
            }
            Declaration::Vlan { node, link, vid } => {
                net.node(nodes[node]).vlan(links[link], vid, ());
            }
            Declaration::Address { node } => {
                net.node(nodes[node]).addr("lo", format!("198.18.0.{}/32", at + 1));
            }
            Declaration::Sysctl { node } => {
                net.node(nodes[node]).sysctl("net.ipv4.tcp_syn_retries", at);
            }
            Declaration::Nat { node, link, is_symmetric } => {
                let nat = if is_symmetric { Nat::symmetric() } else { Nat::home() };
                net.nat(nodes[node], links[link], nat);
            }
            Declaration::Forward { node, link, to } => {
                let port = at as u16 + 1;
                net.forward_port(nodes[node], links[link], Transport::Udp, port, nodes[to], 9);
            }
            Declaration::Firewall { node, port } => {
                let firewall = Firewall::home().allow_in(Traffic::tcp(port));
                net.firewall(nodes[node], firewall);
            }
        }
    }
    net
}

/// Draws declarations that are valid together.
fn draw(random: &mut Random) -> Vec<Declaration> {
    let kinds = [NodeKind::Host, NodeKind::Host, NodeKind::Router, NodeKind::Switch];
    let mut all = vec![Declaration::Node(NodeKind::Router), Declaration::Node(NodeKind::Host)];
    let (mut nodes, mut ends): (usize, Vec<[usize; 2]>) = (2, Vec::new());
    for _ in 0..8 + random.below(25) {
        let node = random.below(nodes);
        let next = match random.below(16) {
            0..3 => Declaration::Node(kinds[random.below(4)]),
            3 => Declaration::Dummy { node },
            4 => Declaration::Address { node },
            5 => Declaration::Sysctl { node },
            6 if !ends.is_empty() => {
                let link = random.below(ends.len());
                let node = ends[link][random.below(2)];
                Declaration::Vlan { node, link, vid: 1 + random.below(3) as u16 }
            }
            12 | 13 if !ends.is_empty() => {
                let link = random.below(ends.len());
                let (node, is_symmetric) = (ends[link][random.below(2)], random.below(2) == 0);
                Declaration::Nat { node, link, is_symmetric }
            }
            14 if !ends.is_empty() => {
                let link = random.below(ends.len());
                let (node, to) = (ends[link][random.below(2)], random.below(nodes));
                Declaration::Forward { node, link, to }
            }
            15 => Declaration::Firewall { node, port: 1 + random.below(9) as u16 },
            7 | 8 if !ends.is_empty() => {
                let link = random.below(ends.len());
                let from = (random.below(2) == 0).then(|| ends[link][random.below(2)]);
                Declaration::Loss { link, from, percent: random.below(101) }
            }
            _ => {
                let subnet = (random.below(6) == 0).then(|| random.below(200));
                let is_impairable = random.below(2) == 0;
                Declaration::Link { ends: [node, random.below(nodes)], subnet, is_impairable }
            }
        };
        all.push(next);
        if declare(&all).plan().is_err() {
            all.pop();
            continue;
        }
        match next {
            Declaration::Node(_) => nodes += 1,
            Declaration::Link { ends: pair, .. } => ends.push(pair),
            _ => {}
        }
    }
    all
}

/// Applies the additions to a node, as the lab does, and compares the result with the whole plan.
fn check_node(before: &NodePlan, after: &NodePlan, places: &[usize], growth: &NodeGrowth) {
    let name = &after.name;
    assert_eq!((&before.name, before.kind), (name, after.kind));
    let mut extended = before.interfaces.clone();
    for &(place, address) in &growth.addresses {
        let old = places.iter().position(|&other| other == place).unwrap();
        extended[old].addresses.push(address);
    }
    for (old, &place) in extended.iter_mut().zip(places) {
        let new = &after.interfaces[place];
        assert_eq!((&old.name, old.mac, old.mtu), (&new.name, new.mac, new.mtu), "{name}");
        let mut expected = new.addresses.clone();
        expected.sort();
        old.addresses.sort();
        assert_eq!(old.addresses, expected, "{name} {}", new.name);
        match (&old.kind, &new.kind) {
            (InterfaceKind::Veth { link, .. }, InterfaceKind::Veth { link: other, .. }) => {
                assert_eq!(link, other, "{name} {}", new.name);
            }
            (one, other) => assert_eq!(one, other, "{name} {}", new.name),
        }
    }
    let mut all: Vec<usize> = places.iter().chain(&growth.interfaces).copied().collect();
    all.sort_unstable();
    assert_eq!(all, (0..after.interfaces.len()).collect::<Vec<_>>(), "{name}");
    let mut routes: BTreeMap<_, _> =
        before.routes.iter().map(|route| (route.destination, route)).collect();
    routes.extend(growth.routes.iter().map(|route| (route.destination, route)));
    routes.retain(|destination, _| !growth.lost.contains(destination));
    let expected = after.routes.iter().map(|route| (route.destination, route)).collect();
    assert_eq!(routes, expected, "{name}");
    let rules = [before, after].map(|node| (&node.nats, &node.firewall));
    assert_eq!(growth.has_new_rules, rules[0] != rules[1], "{name}");
    let mut sysctls: BTreeMap<_, _> = before.sysctls.iter().cloned().collect();
    sysctls.extend(growth.sysctls.iter().cloned());
    assert_eq!(sysctls, after.sysctls.iter().cloned().collect(), "{name}");
}

fn check(old: &Plan, new: &Plan, growth: &diff::Growth) {
    assert_eq!(growth.nodes.len(), old.nodes().len());
    let nodes = old.nodes().iter().zip(new.nodes());
    for (((before, after), places), growth) in nodes.zip(&growth.places).zip(&growth.nodes) {
        check_node(before, after, places, growth);
    }
    for (at, (before, after)) in old.links().iter().zip(new.links()).enumerate() {
        assert_eq!(before.name, after.name);
        let changed = growth.impairments.iter().find(|(link, _)| *link == at);
        let impairments =
            changed.map(|(_, impairments)| impairments).or(before.impairments.as_ref());
        assert_eq!(impairments, after.impairments.as_ref());
        assert_eq!(before.ends.map(|end| end.node), after.ends.map(|end| end.node));
    }
}

#[test]
fn a_prefix_with_its_additions_is_the_whole() {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let (mut extended, mut refused, mut applied, mut direct) = (0, 0, 0, 0);
    for _ in 0..100 {
        let all = draw(&mut random);
        let whole = declare(&all).plan().unwrap();
        for length in 2..=all.len() {
            let prefix = declare(&all[..length]).plan().unwrap();
            match diff::between(&prefix, &whole) {
                Ok(growth) => {
                    check(&prefix, &whole, &growth);
                    extended += 1;
                    applied += growth.impairments.len();
                }
                Err(error) => {
                    let text = error.to_string();
                    let is_direct = text.contains("it was built as a direct veth pair");
                    assert!(
                        is_direct || text.contains("would change: extend() only adds"),
                        "{text}"
                    );
                    assert_ne!(length, all.len(), "{text}");
                    direct += usize::from(is_direct);
                    refused += usize::from(!is_direct);
                }
            }
        }
    }
    assert!(extended > 1000 && refused > 20, "{extended} extended, {refused} refused");
    assert!(applied > 100 && direct > 100, "{applied} applied, {direct} direct");
}

#[test]
fn declarations_that_join_no_segments_are_always_additions() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..50 {
        // Without switches and static subnets no segment grows and none is displaced.
        let all = draw(&mut random);
        let is_simple = |one: &&Declaration| {
            !matches!(
                one,
                Declaration::Node(NodeKind::Switch)
                    | Declaration::Link { subnet: Some(_), .. }
                    | Declaration::Vlan { .. }
                    | Declaration::Loss { .. }
            )
        };
        let simple: Vec<Declaration> = all.iter().take_while(is_simple).copied().collect();
        let whole = declare(&simple).plan().unwrap();
        for length in 2..=simple.len() {
            let prefix = declare(&simple[..length]).plan().unwrap();
            check(&prefix, &whole, &diff::between(&prefix, &whole).unwrap());
        }
    }
}
