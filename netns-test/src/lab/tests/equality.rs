//! Topologies with the same declarations are equal, others are not.

use crate::lab::{Impairment, LinkId, MacvlanMode, NodeId, Topology};

/// Declares two hosts on a router, with every declaration that refers to a node or a link.
fn declared(change: impl FnOnce(&mut Topology, [NodeId; 3], [LinkId; 2])) -> Topology {
    let mut net = Topology::new();
    let (a, router, b) = (net.host("a"), net.router("router"), net.host("b"));
    let links = [net.link(a, router).id(), net.link(router, b).id()];
    net.node(a).route("198.51.100.0/24", router).default_route(router);
    net.node(b).default_route("10.0.1.1").route("224.0.0.0/4", links[1]);
    net.node(a).addr(links[0], "192.0.2.1/24").addr("lo", "198.18.0.9/32");
    net.node(a).vlan(links[0], 7, ()).macvlan(links[0], "mv0", MacvlanMode::Bridge, ());
    net.node(a).vxlan(9, [b], ());
    net.node(b).vxlan(9, [a], ());
    change(&mut net, [a, router, b], links);
    net
}

#[test]
fn topologies_with_the_same_declarations_are_equal() {
    let (one, two) = (declared(|_, _, _| ()), declared(|_, _, _| ()));
    assert_eq!(one, two);
    assert_eq!(one, one.clone());
    assert_eq!(one.clone(), two);
    assert_eq!(one.plan().unwrap(), two.plan().unwrap());
}

#[test]
fn an_id_of_another_topology_equals_no_own_id() {
    let mut other = Topology::new();
    let (x, y) = (other.host("x"), other.host("y"));
    let foreign = other.link(x, y).id();
    let own = |net: &mut Topology, [a, router, _]: [NodeId; 3], _: [LinkId; 2]| {
        net.node(a).route("203.0.113.0/24", router);
    };
    let theirs = |net: &mut Topology, [a, _, _]: [NodeId; 3], _: [LinkId; 2]| {
        net.node(a).route("203.0.113.0/24", y);
    };
    assert_ne!(declared(own), declared(theirs));
    assert_eq!(declared(theirs), declared(theirs));
    let by_link = |net: &mut Topology, [a, ..]: [NodeId; 3], _: [LinkId; 2]| {
        net.node(a).addr(foreign, "203.0.113.1/24");
    };
    let by_own = |net: &mut Topology, [a, ..]: [NodeId; 3], links: [LinkId; 2]| {
        net.node(a).addr(links[0], "203.0.113.1/24");
    };
    assert_ne!(declared(by_link), declared(by_own));
}

#[test]
fn each_different_declaration_makes_topologies_unequal() {
    let unchanged = || declared(|_, _, _| ());
    type Change = fn(&mut Topology, [NodeId; 3], [LinkId; 2]);
    let changes: [Change; 18] = [
        |net, _, _| {
            net.host("c");
        },
        |net, [a, ..], _| {
            net.node(a).name("c");
        },
        |net, [a, router, _], _| {
            net.link(a, router);
        },
        |net, [a, router, _], _| {
            net.node(a).route("203.0.113.0/24", router);
        },
        |net, [a, _, b], _| {
            net.node(a).route("203.0.113.0/24", b);
        },
        |net, [_, _, b], links| {
            net.node(b).route("203.0.113.0/24", links[1]);
        },
        |net, [a, ..], links| {
            net.node(a).addr(links[0], "203.0.113.1/24");
        },
        |net, [_, router, _], links| {
            net.node(router).addr(links[0], "203.0.113.1/24");
        },
        |net, [_, router, _], links| {
            net.node(router).addr(links[1], "203.0.113.1/24");
        },
        |net, [a, ..], _| {
            net.node(a).sysctl("net.ipv4.tcp_syn_retries", 1);
        },
        |net, [a, ..], _| {
            net.node(a).dummy("d0", ());
        },
        |net, _, _| net.pools("10.9.0.0/16", "fd00::/48"),
        |net, _, links| net.impair(links[0], Impairment::new().loss("1%")),
        |net, _, links| net.impair(links[1], Impairment::new().loss("1%")),
        |net, [a, ..], links| net.impair_from(links[0], a, Impairment::new().loss("1%")),
        |net, [_, router, _], links| {
            net.impair_from(links[0], router, Impairment::new().loss("1%"));
        },
        |net, [_, _, b], links| net.impair_from(links[0], b, Impairment::new()),
        |net, _, _| net.impairable_links(),
    ];
    for (at, change) in changes.iter().enumerate() {
        assert_ne!(declared(change), unchanged(), "change {at}");
        for (other, second) in changes.iter().enumerate() {
            assert_eq!(declared(change) == declared(second), at == other, "{at} and {other}");
        }
    }
}

/// Clones that have been extended in different ways.
#[test]
fn an_id_of_another_clone_is_unknown() {
    let mut net = Topology::new();
    let a = net.host("a");
    let mut other = net.clone();
    let (b, x) = (net.host("b"), other.host("x"));
    let (link, theirs) = (net.link(a, b).id(), other.link(a, x).id());
    let (plan, of_other) = (net.plan().unwrap(), other.plan().unwrap());
    assert_eq!((plan.position(a), plan.position(b), plan.position(x)), (Some(0), Some(1), None));
    assert_eq!((of_other.position(a), of_other.position(b)), (Some(0), None));
    assert_eq!((plan.link_position(link), plan.link_position(theirs)), (Some(0), None));
    assert_eq!((plan.id(1), of_other.id(1)), (b, x));
    assert!(plan.addresses_of(x).is_empty() && !plan.can_reach(a, x).any());
    net.link(a, x);
    let message = net.plan().unwrap_err().to_string();
    assert!(message.contains("link a to an unknown node"), "{message}");
    // Ids do not make declarations different.
    let (mut one, mut two) = (Topology::new(), Topology::new());
    one.host("a");
    two.host("a");
    assert_eq!((one.clone(), one.plan().unwrap()), (two.clone(), two.plan().unwrap()));
}
