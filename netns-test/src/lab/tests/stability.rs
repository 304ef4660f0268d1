//! Equal topologies have equal plans, and appending to a topology changes nothing in its plan.

use crate::lab::tests::{check_invariants, example};
use crate::lab::{Plan, Topology};

#[test]
fn equal_topologies_have_equal_plans() {
    let ((one, _), (other, _)) = (example(), example());
    assert_eq!(one, other);
    assert_eq!(one.plan().unwrap(), other.plan().unwrap());
    assert_eq!(one.plan().unwrap(), one.clone().plan().unwrap());
    let (mut changed, [client, ..]) = example();
    changed.node(client).sysctl("net.ipv4.tcp_syn_retries", 2);
    assert_ne!(one, changed);
    assert_ne!(one.plan().unwrap(), changed.plan().unwrap());
}

/// Asserts that `after` has the interfaces, addresses and routes of `before` unchanged.
fn assert_kept(before: &Plan, after: &Plan) {
    check_invariants(after);
    for (old, new) in before.nodes().iter().zip(after.nodes()) {
        for interface in &old.interfaces {
            let kept = new.interfaces.iter().find(|other| other.name == interface.name).unwrap();
            assert_eq!(kept.addresses, interface.addresses, "{} {}", old.name, interface.name);
            assert_eq!(kept.mac, interface.mac, "{} {}", old.name, interface.name);
        }
        for address in &old.addresses {
            assert!(new.addresses.contains(address));
        }
        for route in &old.routes {
            let same = |other: &&crate::lab::RoutePlan| other.destination == route.destination;
            assert_eq!(new.routes.iter().find(same), Some(route), "{}", old.name);
        }
    }
}

#[test]
fn appending_changes_nothing_before() {
    let mut net = Topology::new();
    let (lan, home) = (net.switch("lan"), net.router("home"));
    let first = net.host("first");
    net.link(first, lan);
    net.link(home, lan);
    net.node(first).dummy("d0", ());
    let mut before = net.plan().unwrap();
    // The static subnets are outside of the pools.
    for number in 0..300 {
        let host = net.host(format!("h{number}"));
        match number % 3 {
            0 => net.link(lan, host).id(),
            1 => net.link(host, home).id(),
            _ => net.link(first, host).addrs((), format!("198.18.{}.1/24", number / 3)).id(),
        };
        if number % 50 == 0 || number > 295 {
            let after = net.plan().unwrap();
            assert_kept(&before, &after);
            before = after;
        }
    }
}

#[test]
fn a_static_subnet_displaces_only_the_segment_that_had_it() {
    let mut net = Topology::new();
    let router = net.router("router");
    let hosts: Vec<_> = (0..4).map(|number| net.host(format!("h{number}"))).collect();
    for &host in &hosts[..3] {
        net.link(host, router);
    }
    let before = net.plan().unwrap();
    net.link(hosts[3], router).subnet("10.0.1.0/24").addrs("10.0.1.77/24", ());
    let after = net.plan().unwrap();
    check_invariants(&after);
    for host in [0, 2] {
        assert_eq!(before.addresses_of(hosts[host]), after.addresses_of(hosts[host]));
    }
    assert_eq!(after.address_of(hosts[1]).unwrap().to_string(), "10.255.255.1");
    assert_eq!(after.address_of(hosts[3]).unwrap().to_string(), "10.0.1.77");
    assert!(after.addresses_of(router).contains(&crate::lab::tests::address("10.0.1.2")));
}
