//! Tests of topology and plan together. They need no privilege.

pub(crate) mod address_errors;
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod engine;
pub(crate) mod equality;
pub(crate) mod errors;
pub(crate) mod extension;
pub(crate) mod extras;
pub(crate) mod golden;
pub(crate) mod impairments;
pub(crate) mod nat;
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod nat_rules;
pub(crate) mod random;
pub(crate) mod refused_extension;
pub(crate) mod shapes;
pub(crate) mod stability;

use std::collections::HashSet;
use std::net::IpAddr;

use crate::lab::{NodeId, NodeKind, Plan, Topology};

/// Returns the example of the documentation: `client`, `home`, `server`.
fn example() -> (Topology, [NodeId; 3]) {
    let mut net = Topology::new();
    let client = net.host("client");
    let server = net.host("server");
    let home = net.router("home");
    net.link(client, home);
    net.link(home, server).mtu(1400).name("wan");
    (net, [client, server, home])
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Asserts the properties that every plan has.
fn check_invariants(plan: &Plan) {
    let (mut addresses, mut macs) = (HashSet::new(), HashSet::new());
    for node in plan.nodes() {
        let mut names = HashSet::new();
        for interface in &node.interfaces {
            assert!(names.insert(&interface.name), "{} {}", node.name, interface.name);
            assert!((1..=15).contains(&interface.name.len()), "{}", interface.name);
            if let Some(mac) = interface.mac {
                assert!(macs.insert(mac), "{mac}");
                assert_eq!(mac.octets()[0] & 3, 2, "{mac}");
            }
            let segment = &plan.segments()[interface.segment];
            assert_eq!(interface.mtu, segment.mtu);
            for one in &interface.addresses {
                assert!(addresses.insert(one.address()), "{one}");
                assert!(segment.subnets.iter().any(|subnet| subnet.contains(one.address())));
                assert!(node.addresses.contains(&one.address()));
            }
        }
        assert_eq!(
            node.kind == NodeKind::Switch,
            node.addresses.is_empty() && !names.is_empty() && names.contains(&"br0".to_owned())
        );
        check_routes(plan, node);
    }
    for (order, one) in plan.segments().iter().enumerate() {
        for other in &plan.segments()[order + 1..] {
            for subnet in &one.subnets {
                assert!(other.subnets.iter().all(|other| !other.overlaps(*subnet)), "{subnet}");
            }
        }
    }
}

/// Asserts that destinations are unique, and that each gateway is another node on the segment of
/// the interface.
fn check_routes(plan: &Plan, node: &crate::lab::NodePlan) {
    let mut seen = HashSet::new();
    for route in &node.routes {
        assert!(seen.insert(route.destination), "{}: {}", node.name, route.destination);
        let dev = node.interfaces.iter().find(|interface| interface.name == route.dev).unwrap();
        let Some(via) = route.via else { continue };
        assert!(!node.addresses.contains(&via));
        let members = &plan.segments()[dev.segment].members;
        let has_it = |place: &&crate::lab::InterfaceRef| {
            let interface = &plan.nodes()[place.node].interfaces[place.interface];
            interface.addresses.iter().any(|one| one.address() == via)
        };
        assert_eq!(members.iter().filter(has_it).count(), 1, "{}: {via}", node.name);
    }
}

/// Asserts that each node can reach each other one over both families.
fn assert_all_reachable(plan: &Plan, nodes: &[NodeId]) {
    for &a in nodes {
        for &b in nodes {
            assert!(plan.can_reach(a, b).both(), "{}", plan.path(a, b));
        }
    }
}
