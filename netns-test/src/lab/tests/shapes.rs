//! Networks of common shapes: every node can reach every other one.

use crate::lab::tests::{address, assert_all_reachable, check_invariants};
use crate::lab::{Firewall, Nat, NodeId, Topology, Transport};

/// Returns hosts on one switch.
fn star(count: usize) -> (Topology, Vec<NodeId>) {
    let mut net = Topology::new();
    let switch = net.switch("switch");
    let hosts: Vec<NodeId> = (0..count).map(|number| net.host(format!("h{number}"))).collect();
    for &host in &hosts {
        net.link(host, switch);
    }
    (net, hosts)
}

/// Returns hosts with one link each to one router.
fn routed_star(count: usize) -> (Topology, Vec<NodeId>) {
    let mut net = Topology::new();
    let router = net.router("router");
    let mut nodes: Vec<NodeId> = (0..count).map(|number| net.host(format!("h{number}"))).collect();
    for &host in &nodes {
        net.link(host, router);
    }
    nodes.push(router);
    (net, nodes)
}

/// Returns routers in a line or a ring, with a host at each.
fn row(count: usize, is_ring: bool) -> (Topology, Vec<NodeId>) {
    let mut net = Topology::new();
    let routers: Vec<NodeId> = (0..count).map(|number| net.router(format!("r{number}"))).collect();
    for pair in routers.windows(2) {
        net.link(pair[0], pair[1]);
    }
    if is_ring {
        net.link(routers[count - 1], routers[0]);
    }
    let nodes = with_hosts(&mut net, routers);
    (net, nodes)
}

fn mesh(count: usize) -> (Topology, Vec<NodeId>) {
    let mut net = Topology::new();
    let routers: Vec<NodeId> = (0..count).map(|number| net.router(format!("r{number}"))).collect();
    for (order, &a) in routers.iter().enumerate() {
        for &b in &routers[order + 1..] {
            net.link(a, b);
        }
    }
    let nodes = with_hosts(&mut net, routers);
    (net, nodes)
}

fn with_hosts(net: &mut Topology, mut routers: Vec<NodeId>) -> Vec<NodeId> {
    for number in 0..routers.len() {
        let host = net.host(format!("h{number}"));
        net.link(host, routers[number]);
        routers.push(host);
    }
    routers
}

#[test]
fn stars() {
    for count in [2, 10, 50, 200] {
        for (net, nodes) in [star(count), routed_star(count)] {
            let plan = net.plan().unwrap();
            check_invariants(&plan);
            assert_all_reachable(&plan, &nodes);
        }
    }
}

#[test]
fn a_thousand_members_get_a_larger_subnet() {
    let (net, hosts) = star(1000);
    let plan = net.plan().unwrap();
    check_invariants(&plan);
    assert_eq!(plan.segments()[0].subnets[0].to_string(), "10.255.252.0/22");
    assert_eq!(plan.address_of(hosts[999]), Some(address("10.255.255.232")));
    assert_all_reachable(&plan, &[hosts[0], hosts[255], hosts[999]]);
}

#[test]
fn a_line_of_routers() {
    let (net, nodes) = row(30, false);
    let plan = net.plan().unwrap();
    check_invariants(&plan);
    assert_all_reachable(&plan, &nodes);
    let path = plan.path(nodes[30], nodes[59]);
    assert_eq!(path.hops.len(), 32);
    assert!(path.to_string().starts_with("h0 (eth0) -> r0 (eth0) -> r1 (eth1) -> r2"), "{path}");
    assert!(path.to_string().ends_with("-> r29 (eth1) -> h29"), "{path}");
}

#[test]
fn a_ring_takes_the_short_way() {
    let (net, nodes) = row(9, true);
    let plan = net.plan().unwrap();
    check_invariants(&plan);
    assert_all_reachable(&plan, &nodes);
    assert_eq!(plan.path(nodes[9], nodes[17]).hops.len(), 4);
    assert_eq!(plan.path(nodes[9], nodes[13]).hops.len(), 7);
}

#[test]
fn a_full_mesh() {
    let (net, nodes) = mesh(12);
    let plan = net.plan().unwrap();
    check_invariants(&plan);
    assert_all_reachable(&plan, &nodes);
    assert_eq!(plan.path(nodes[12], nodes[23]).hops.len(), 4);
}

#[test]
fn switches_behind_routers() {
    let mut net = Topology::new();
    let core = net.switch("core");
    let mut nodes = Vec::new();
    for site in 0..3 {
        let (router, lan) = (net.router(format!("r{site}")), net.switch(format!("lan{site}")));
        let floor = net.switch(format!("floor{site}"));
        net.link(router, core);
        net.link(router, lan);
        net.link(lan, floor);
        let (a, b) = (net.host(format!("a{site}")), net.host(format!("b{site}")));
        net.link(a, lan);
        net.link(floor, b);
        nodes.extend([router, a, b]);
    }
    let plan = net.plan().unwrap();
    check_invariants(&plan);
    assert_all_reachable(&plan, &nodes);
    assert_eq!(plan.segments().len(), 4);
    assert_eq!(
        plan.path(nodes[1], nodes[8]).to_string(),
        "a0 (eth0) -> r0 (eth0) -> r2 (eth1) -> b2"
    );
    let names: Vec<_> = plan.nodes()[2].interfaces.iter().map(|port| port.name.as_str()).collect();
    assert_eq!(names, ["br0", "r0", "floor0", "a0"]);
}

#[test]
fn hosts_do_not_forward() {
    let mut net = Topology::new();
    let (a, middle, b) = (net.host("a"), net.host("middle"), net.host("b"));
    net.link(a, middle);
    net.link(middle, b);
    let plan = net.plan().unwrap();
    check_invariants(&plan);
    assert_all_reachable(&plan, &[a, middle]);
    assert_all_reachable(&plan, &[b, middle]);
    assert!(!plan.can_reach(a, b).any());
    assert_eq!(plan.path(a, b).to_string(), "a: a has no route to 10.0.1.2");
}

#[test]
fn several_links_between_two_nodes() {
    let mut net = Topology::new();
    let (a, b, lan) = (net.host("a"), net.host("b"), net.switch("lan"));
    net.link(a, b);
    net.link(b, a);
    net.link(a, lan);
    net.link(a, lan);
    net.link(b, lan);
    let plan = net.plan().unwrap();
    check_invariants(&plan);
    assert_all_reachable(&plan, &[a, b]);
    let names: Vec<_> = plan.nodes()[2].interfaces.iter().map(|port| port.name.as_str()).collect();
    assert_eq!(names, ["br0", "a", "port1", "b"]);
    assert_eq!(plan.links()[1].ends.map(|end| end.node), [1, 0]);
    assert_eq!(plan.addresses_of(a).len(), 8);
}

#[test]
fn a_host_with_several_routers_takes_the_nearer() {
    let mut net = Topology::new();
    let (host, left, right) = (net.host("host"), net.router("left"), net.router("right"));
    let (a, b) = (net.host("a"), net.host("b"));
    net.link(host, left);
    net.link(host, right);
    net.link(left, a);
    net.link(right, b);
    net.link(left, right);
    let plan = net.plan().unwrap();
    check_invariants(&plan);
    assert_all_reachable(&plan, &[host, left, right, a, b]);
    assert_eq!(plan.path(host, a).to_string(), "host (eth0) -> left (eth1) -> a");
    assert_eq!(plan.path(host, b).to_string(), "host (eth1) -> right (eth1) -> b");
    let defaults = plan.nodes()[0].routes.iter().filter(|route| route.destination.prefix() == 0);
    let vias: Vec<_> = defaults.map(|route| route.via.unwrap().to_string()).collect();
    assert_eq!(vias, ["10.0.0.2", "fd6e:6574:6e73::2"]);
}

#[test]
fn the_first_address_is_the_one_that_most_can_reach() {
    let mut net = Topology::new();
    let (server, friend) = (net.host("server"), net.host("friend"));
    let (router, client) = (net.router("router"), net.host("client"));
    net.link(server, friend);
    net.link(server, router);
    net.link(router, client);
    let plan = net.plan().unwrap();
    assert_eq!(plan.address_of(server), Some(address("10.0.1.1")));
    assert!(plan.can_reach(client, server).both());
    assert!(plan.hosts_file(client).contains("10.0.1.1\tserver\n10.0.0.1\tserver\n"));
}

/// Prints the time of planning:
/// `cargo test --release -p netns-test --lib planning_time -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn planning_time() {
    /// Returns a carrier with homes behind NATs, two nodes each.
    fn homes(count: usize) -> Topology {
        let mut net = Topology::new();
        let (server, carrier) = (net.host("server"), net.router("carrier"));
        let uplink = net.link(server, carrier).id();
        net.nat(carrier, uplink, Nat::full_cone());
        for at in 0..count {
            let (home, host) = (net.router(format!("home{at}")), net.host(format!("host{at}")));
            let wan = net.link(carrier, home).id();
            net.link(home, host).subnet("192.168.1.0/24");
            net.nat(home, wan, Nat::home());
            net.firewall(home, Firewall::home());
            net.forward_port(home, wan, Transport::Tcp, 80, host, 80);
        }
        net
    }

    let shapes = [
        ("star 200", star(200).0),
        ("routed star 200", routed_star(200).0),
        ("star 1000", star(1000).0),
        ("routed star 1000", routed_star(1000).0),
        ("line 30", row(30, false).0),
        ("mesh 12", mesh(12).0),
        ("homes 200", homes(200)),
    ];
    for (name, net) in shapes {
        let best = (0..20).map(|_| {
            let start = std::time::Instant::now();
            assert!(net.plan().is_ok());
            start.elapsed()
        });
        println!("{name}: {:?}", best.min().unwrap());
    }
}
