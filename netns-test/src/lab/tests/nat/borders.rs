//! A NAT is a border: routes, names and uniqueness of addresses.

use std::net::IpAddr;

use crate::lab::tests::nat::{TwoHomes, two_homes};
use crate::lab::tests::{address, check_routes};
use crate::lab::{Ipv6Nat, Nat, NodeId, Plan, Topology, Transport};

fn routes(plan: &Plan, node: NodeId) -> Vec<String> {
    let node = &plan.nodes()[plan.position(node).unwrap()];
    let route = |one: &crate::lab::RoutePlan| {
        format!("{} {}", one.destination, one.via.map_or("-".to_owned(), |via| via.to_string()))
    };
    node.routes.iter().map(route).filter(|route| !route.contains("::")).collect()
}

fn seen(plan: &Plan, viewer: NodeId, node: NodeId) -> Vec<String> {
    let all = plan.addresses_seen_from(viewer, node).into_iter().filter(IpAddr::is_ipv4);
    all.map(|address| address.to_string()).collect()
}

#[test]
fn insides_may_have_the_same_subnet_and_have_no_routes_outside() {
    let TwoHomes { net, server, isp, homes, clients, .. } = two_homes();
    let plan = net.plan().unwrap();
    plan.nodes().iter().for_each(|node| check_routes(&plan, node));
    assert_eq!(routes(&plan, isp), [""; 0]);
    assert_eq!(routes(&plan, server), ["0.0.0.0/0 203.0.113.2"]);
    assert_eq!(routes(&plan, homes[0]), ["203.0.113.0/24 198.51.0.1", "198.51.1.0/24 198.51.0.1"]);
    assert_eq!(routes(&plan, clients[1]), ["0.0.0.0/0 192.168.1.1"]);
    assert_eq!(plan.address_of(homes[0]), Some(address("198.51.0.2")));
    assert_eq!(plan.nodes()[2].nats[0].outside, "eth0");
}

#[test]
fn a_host_outside_has_no_route_by_the_nat() {
    let mut net = Topology::new();
    let (client, home, server) = (net.host("client"), net.router("home"), net.host("server"));
    net.link(client, home);
    let wan = net.link(home, server).id();
    net.nat(home, wan, Nat::home());
    let plan = net.plan().unwrap();
    assert_eq!(routes(&plan, server), [""; 0]);
    assert!(plan.can_reach(client, server).both());
    // IPv6 is routed.
    let back = plan.can_reach(server, client);
    assert_eq!((back.ipv4, back.ipv6), (false, true));
}

#[test]
fn names_have_the_addresses_that_their_reader_sees() {
    let TwoHomes { net, server, homes, clients, .. } = two_homes();
    let plan = net.plan().unwrap();
    assert_eq!(seen(&plan, clients[0], server), ["203.0.113.1"]);
    assert_eq!(seen(&plan, clients[0], homes[0]), ["192.168.1.1", "198.51.0.2"]);
    assert_eq!(seen(&plan, clients[0], homes[1]), ["198.51.1.2"]);
    assert_eq!(seen(&plan, clients[0], clients[1]), [""; 0]);
    assert_eq!(seen(&plan, server, clients[0]), [""; 0]);
    assert_eq!(seen(&plan, server, homes[0]), ["198.51.0.2"]);
    let text = plan.hosts_file(server);
    assert!(!text.contains("192.168"), "{text}");
    assert!(text.contains("198.51.1.2\ttwo\n"), "{text}");
    let text = plan.hosts_file(clients[1]);
    assert!(text.contains("192.168.1.10\tbob\n") && !text.contains("192.168.1.10\tann"), "{text}");
    let position = plan.position(clients[1]).unwrap();
    assert_eq!(plan.hosts_text_of(position), plan.hosts_file(clients[1]));
}

#[test]
fn the_node_of_a_forwarded_port_has_the_external_address() {
    let mut homes = two_homes();
    homes.forward(0, 8443, homes.clients[0]);
    let TwoHomes { net, server, clients, .. } = homes;
    let plan = net.plan().unwrap();
    assert_eq!(seen(&plan, server, clients[0]), ["198.51.0.2"]);
    assert_eq!(seen(&plan, clients[1], clients[0]), ["198.51.0.2"]);
    assert_eq!(seen(&plan, clients[0], clients[0]), ["192.168.1.10"]);
    assert!(plan.hosts_file(server).contains("198.51.0.2\tann\n"));
    let forward = plan.nodes()[2].nats[0].forwards[0];
    assert_eq!((forward.external_port, forward.to.to_string()), (8443, "192.168.1.10".to_owned()));
}

#[test]
fn a_node_with_a_1_to_1_address_has_it_outside() {
    let TwoHomes { mut net, server, homes, wans, clients, .. } = two_homes();
    let external = "198.51.0.77".parse().unwrap();
    net.nat(homes[0], wans[0], Nat::home().one_to_one(external, clients[0]));
    let plan = net.plan().unwrap();
    assert_eq!(seen(&plan, server, clients[0]), ["198.51.0.77"]);
    assert_eq!(seen(&plan, server, homes[0]), ["198.51.0.2"]);
    let router = &plan.nodes()[2];
    let own: Vec<String> = router.interfaces[0].addresses.iter().map(ToString::to_string).collect();
    assert_eq!(own[..2], ["198.51.0.2/24", "198.51.0.77/32"]);
    let pair = (external, "192.168.1.10".parse().unwrap());
    assert_eq!(router.nats[0].one_to_one, [pair]);
}

#[test]
fn a_pool_outside_of_the_subnet_is_routed_to_the_nat() {
    let TwoHomes { mut net, server, isp, homes, wans, clients, .. } = two_homes();
    let pool = ["198.18.0.1", "198.18.0.2"].map(|one| one.parse().unwrap());
    net.nat(homes[0], wans[0], Nat::home().pool(pool));
    let plan = net.plan().unwrap();
    assert_eq!(routes(&plan, isp), ["198.18.0.1/32 -", "198.18.0.2/32 -"]);
    assert!(plan.can_reach(clients[0], server).ipv4, "{}", plan.path(clients[0], server));
    let path = plan.path(clients[0], server).to_string();
    assert!(path.contains("one (eth0, source translated to 198.18.0.1)"), "{path}");
}

/// Homes behind a carrier: each NAT is inside of the next one.
#[test]
fn a_nat_behind_a_nat() {
    let mut net = Topology::new();
    let (server, carrier) = (net.host("server"), net.router("carrier"));
    let uplink = net.link(carrier, server).subnet("203.0.113.0/24").id();
    net.nat(carrier, uplink, Nat::carrier());
    let mut clients = Vec::new();
    for at in 0..3 {
        let (home, client) = (net.router(format!("home{at}")), net.host(format!("client{at}")));
        let wan = net.link(carrier, home).subnet(format!("100.64.{at}.0/24")).id();
        net.link(home, client).subnet("192.168.1.0/24");
        net.nat(home, wan, Nat::home());
        net.forward_port(home, wan, Transport::Udp, 9, client, 9);
        if at == 1 {
            net.forward_port(carrier, uplink, Transport::Udp, 9, home, 9);
        }
        clients.push(client);
    }
    let plan = net.plan().unwrap();
    plan.nodes().iter().for_each(|node| check_routes(&plan, node));
    let blocks = &plan.nodes()[1].nats[0].blocks;
    let blocks: Vec<String> = blocks.iter().map(|(ip, ports)| format!("{ip} {ports:?}")).collect();
    assert_eq!(
        blocks,
        ["100.64.0.2 1024..=2047", "100.64.1.2 2048..=3071", "100.64.2.2 3072..=4095"]
    );
    assert_eq!(seen(&plan, server, clients[0]), [""; 0]);
    assert_eq!(seen(&plan, server, clients[1]), ["203.0.113.1"]);
    assert_eq!(seen(&plan, clients[0], clients[2]), ["100.64.2.2"]);
    let out = plan.path(clients[0], server).to_string();
    assert_eq!(
        out,
        "client0 (eth0) -> home0 (eth0, source translated to 100.64.0.2) -> \
         carrier (eth0, source translated to 203.0.113.1) -> server"
    );
    let into = plan.path(server, clients[1]).to_string();
    assert_eq!(
        into,
        "server (eth0) -> carrier (eth2, destination translated to 100.64.1.2) -> \
         home1 (eth1, destination translated to 192.168.1.2) -> client1"
    );
    assert!(plan.can_reach(server, clients[1]).ipv4);
    assert!(!plan.can_reach(server, clients[0]).ipv4);
    assert!(plan.can_reach(clients[0], clients[2]).ipv4);
}

#[test]
fn ipv6_is_routed_masqueraded_or_blocked() {
    let of = |ipv6| {
        let mut homes = two_homes();
        homes.net.nat(homes.homes[0], homes.wans[0], Nat::home().ipv6(ipv6));
        let plan = homes.net.plan().unwrap();
        let both = [[homes.clients[0], homes.server], [homes.server, homes.clients[0]]];
        let reached = both.map(|[a, b]| plan.can_reach(a, b).ipv6);
        let names = both.map(|[a, b]| plan.addresses_seen_from(a, b).iter().any(IpAddr::is_ipv6));
        (reached, names, plan.path(homes.server, homes.clients[0]).to_string())
    };
    assert_eq!(of(Ipv6Nat::Routed).0, [true, true]);
    let (reached, names, _) = of(Ipv6Nat::Masquerade);
    assert_eq!((reached, names), ([true, false], [true, false]));
    let (reached, names, _) = of(Ipv6Nat::Blocked);
    assert_eq!((reached, names), ([false, false], [false, false]));
}

/// A router with NATs to two providers, and a host that is also outside.
#[test]
fn several_nats_of_a_router() {
    let mut net = Topology::new();
    let (isps, home) = (["red", "blue"].map(|name| net.router(name)), net.router("home"));
    let (client, server) = (net.host("client"), net.host("server"));
    for (at, isp) in isps.into_iter().enumerate() {
        let wan = net.link(isp, home).id();
        net.nat(home, wan, Nat::home());
        if at == 0 {
            net.link(isp, server);
        }
    }
    net.link(isps[0], isps[1]);
    net.link(home, client);
    let plan = net.plan().unwrap();
    plan.nodes().iter().for_each(|node| check_routes(&plan, node));
    assert!(plan.can_reach(client, server).both());
    assert!(plan.can_reach(client, isps[1]).both());
    assert_eq!(routes(&plan, isps[0]), ["10.0.2.0/24 10.0.3.2"]);
}
