//! External addresses and ports: pools, ranges, blocks, exhaustion, 1:1 addresses, double NAT.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use netns_test::lab::{Mapping, Nat, NodeId, Transport, WAIT_LIMIT};
use netns_test::{Lab, Topology, netns_test};

use netns_test_tests::packets::{LIMIT, Udp, World, heard};

/// Subnet outside of the tests that name addresses.
const OUTSIDE: &str = "203.0.113.0/24";

fn outside(last: u8) -> Ipv4Addr {
    [203, 0, 113, last].into()
}

/// Two hosts behind `home`, whose outside has [`OUTSIDE`], and a server there.
struct Named {
    lab: Lab,
    hosts: [NodeId; 2],
    home: NodeId,
    server: NodeId,
}

fn named(nat: impl FnOnce([NodeId; 2]) -> Nat) -> Named {
    let mut net = Topology::new();
    let hosts = ["alice", "bob"].map(|name| net.host(name));
    let (home, lan, server) = (net.router("home"), net.switch("lan"), net.host("server"));
    for node in [hosts[0], hosts[1], home] {
        net.link(node, lan);
    }
    let wan = net.link(home, server).subnet(OUTSIDE).id();
    net.nat(home, wan, nat(hosts));
    let lab = net.build().unwrap_or_else(|error| panic!("{error}"));
    Named { lab, hosts, home, server }
}

/// Returns where a server sees `count` new sockets of a host.
fn seen(lab: &Lab, host: NodeId, server: &Udp, count: usize) -> (Vec<Udp>, Vec<SocketAddr>) {
    let ends: Vec<Udp> = (0..count).map(|_| Udp::open(&lab[host], 0)).collect();
    let seen = ends.iter().map(|end| end.talks(server)).collect();
    (ends, seen)
}

#[netns_test]
fn paired_pooling_keeps_the_address_of_a_host() {
    let pool = [50, 51, 52, 53].map(outside);
    let net = named(|_| Nat::full_cone().pool(pool));
    let server = Udp::open(&net.lab[net.server], 3478);
    for host in net.hosts {
        let (ends, seen) = seen(&net.lab, host, &server, 16);
        let addresses: HashSet<IpAddr> = seen.iter().map(SocketAddr::ip).collect();
        assert_eq!(addresses.len(), 1, "{seen:?}");
        assert!(pool.map(IpAddr::from).contains(&seen[0].ip()), "{seen:?}");
        for (end, seen) in ends.iter().zip(seen) {
            assert_eq!(server.reaches(seen, end), server.at);
        }
    }
}

#[netns_test]
fn arbitrary_pooling_uses_all_addresses() {
    let pool = [50, 51, 52].map(outside);
    let net = named(|_| Nat::full_cone().pool(pool).paired_pooling(false));
    let server = Udp::open(&net.lab[net.server], 3478);
    let (ends, seen) = seen(&net.lab, net.hosts[0], &server, 64);
    let addresses: HashSet<IpAddr> = seen.iter().map(SocketAddr::ip).collect();
    assert_eq!(addresses, pool.map(IpAddr::from).into(), "{seen:?}");
    // Still endpoint-independent.
    let again: Vec<SocketAddr> = ends.iter().map(|end| end.talks(&server)).collect();
    assert_eq!(again, seen);
}

#[netns_test]
fn external_ports_are_of_the_range_and_run_out() {
    let net = named(|_| Nat::home().ports(40000..=40003));
    let server = Udp::open(&net.lab[net.server], 3478);
    let (ends, seen) = seen(&net.lab, net.hosts[0], &server, 4);
    let ports: HashSet<u16> = seen.iter().map(SocketAddr::port).collect();
    assert_eq!(ports, (40000..=40003).collect());
    // None is free; those that have one keep it.
    let late = Udp::open(&net.lab[net.hosts[1]], 0);
    assert_eq!(
        heard(&server, (&ends[0], &server), || {
            late.send(server.at);
        }),
        None
    );
    let again: Vec<SocketAddr> = ends.iter().map(|end| end.talks(&server)).collect();
    assert_eq!(again, seen);
    let rules = net.lab[net.home].nat().mappings().unwrap();
    assert_eq!(rules.len(), 4, "{rules:?}");
}

#[netns_test]
fn each_host_has_a_block_of_ports() {
    let net = named(|_| Nat::full_cone().port_preservation(false).ports_per_host(32));
    let server = Udp::open(&net.lab[net.server], 3478);
    let mut blocks = Vec::new();
    for host in net.hosts {
        let (_ends, seen) = seen(&net.lab, host, &server, 24);
        let ports: HashSet<u16> = seen.iter().map(SocketAddr::port).collect();
        assert_eq!(ports.len(), 24, "{seen:?}");
        let (first, last) = (ports.iter().min().unwrap(), ports.iter().max().unwrap());
        assert!(last - first < 32, "{seen:?}");
        blocks.push(*first..=*last);
    }
    let [one, other] = &blocks[..] else { unreachable!() };
    assert!(one.end() < other.start() || other.end() < one.start(), "{blocks:?}");
}

#[netns_test]
fn a_one_to_one_address_is_of_one_host_both_ways() {
    let net = named(|[alice, _]| Nat::home().one_to_one(outside(77), alice));
    let server = Udp::open(&net.lab[net.server], 3478);
    let [alice, bob] = net.hosts.map(|host| Udp::open(&net.lab[host], 5000));
    assert_eq!(alice.talks(&server), (outside(77), 5000).into());
    assert_ne!(bob.talks(&server).ip(), IpAddr::from(outside(77)));
    // Unasked, at any port, and from a port that alice has never sent to.
    let other = Udp::open(&net.lab[net.server], 0);
    let service = Udp::open(&net.lab[net.hosts[0]], 53);
    assert_eq!(other.reaches((outside(77), 53).into(), &service), other.at);
    net.lab[net.server].wait(WAIT_LIMIT).reachable(IpAddr::from(outside(77))).unwrap();
}

#[netns_test]
fn a_forwarded_udp_port_answers_as_itself() {
    let mut net = Topology::new();
    let [alice, server, outside] = ["alice", "server", "outside"].map(|name| net.host(name));
    let (home, lan) = (net.router("home"), net.switch("lan"));
    for node in [alice, server, home] {
        net.link(node, lan);
    }
    let wan = net.link(home, outside).id();
    net.nat(home, wan, Nat::home());
    net.forward_port(home, wan, Transport::Udp, 5300, server, 53);
    let lab = net.build().unwrap();
    let (service, peer) = (Udp::open(&lab[server], 53), Udp::open(&lab[outside], 0));
    let external: SocketAddr = (lab[home].address_on(wan), 5300).into();
    assert_eq!(peer.reaches(external, &service), peer.at);
    let first = service.send(peer.at);
    assert_eq!(peer.hear(first, LIMIT), Some(external), "the answer comes from the port");
    // No mapping of another host gets that port.
    let other = Udp::open(&lab[alice], 5300);
    assert_ne!(other.talks(&peer), external);
}

#[netns_test]
fn two_nats_are_one_behind_the_other() {
    let mut net = Topology::new();
    let [alice, bob, a, b] = ["alice", "bob", "a", "b"].map(|name| net.host(name));
    let (carrier, access) = (net.router("carrier"), net.switch("access"));
    for (host, name) in [(alice, "home-a"), (bob, "home-b")] {
        let home = net.router(name);
        net.link(host, home);
        let wan = net.link(home, access).id();
        net.nat(home, wan, Nat::home());
    }
    net.link(carrier, access).subnet("100.64.0.0/24");
    let internet = net.switch("internet");
    let uplink = net.link(carrier, internet).id();
    for server in [a, b] {
        net.link(server, internet);
    }
    net.nat(carrier, uplink, Nat::full_cone().port_preservation(false).ports_per_host(1024));
    let lab = net.build().unwrap_or_else(|error| panic!("{error}"));
    for host in [alice, bob] {
        let kind = lab.nat_kind(host, a, b).unwrap();
        assert_eq!(kind.external, [lab[carrier].address_on(uplink)], "{kind}");
        // The stricter one decides.
        let expected = Nat::home().port_preservation(false).hairpinning(true);
        assert_eq!(kind.mapping, Some(Mapping::EndpointIndependent), "{kind}");
        assert_eq!(kind, expected, "{kind}");
    }
}

#[netns_test]
fn two_hosts_behind_a_nat_have_one_address() {
    let world = World::new(Nat::home());
    let a = world.udp(world.a, 3478);
    for host in [world.alice, world.bob] {
        assert_eq!(world.udp(host, 0).talks(&a).ip(), world.external());
    }
}
