//! Mapping, filtering, and the address that servers see.

use std::io::Read as _;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};

use netns_test::lab::{Ipv6Nat, Mapping, Nat};
use netns_test::{Lab, NodeId, Topology, netns_test};

use crate::behind::{Homes, carrier};
use crate::net::{PATIENCE, both, take};
use netns_test_tests::packets::{Udp, World, heard};

/// Returns kinds of NAT, each with the word for its mapping.
fn kinds() -> [(Nat, Mapping); 6] {
    let independent = Mapping::EndpointIndependent;
    [
        (Nat::home(), independent),
        (Nat::full_cone(), independent),
        (Nat::restricted_cone(), independent),
        (Nat::carrier(), independent),
        (Nat::corporate(), Mapping::AddressAndPortDependent),
        (Nat::symmetric(), Mapping::AddressAndPortDependent),
    ]
}

/// Wirings: hosts behind the NAT, and hosts behind a home router behind the NAT.
fn wirings(nat: &Nat) -> [World; 2] {
    [World::new(nat.clone()), carrier(&Nat::home(), nat.clone())]
}

#[netns_test]
fn cgnat_reflexive_ip() {
    let world = carrier(&Nat::home(), Nat::carrier());
    let [alice, a] = [world.alice, world.a].map(|host| world.udp(host, 5000));
    assert_eq!(alice.talks(&a).ip(), world.external());
}

#[netns_test]
fn cgnat_shared_reflexive_ip() {
    let world = carrier(&Nat::home(), Nat::carrier());
    let [alice, bob, a] = [world.alice, world.bob, world.a].map(|host| world.udp(host, 5000));
    let seen = [alice.talks(&a), bob.talks(&a)];
    assert_eq!(seen.map(|seen| seen.ip()), [world.external(); 2]);
    assert_ne!(seen[0], seen[1]);
}

#[netns_test]
fn matrix_connectivity_and_reflexive_ip() {
    for (nat, mapping) in kinds() {
        for world in wirings(&nat) {
            let [alice, bob, a, b] =
                [world.alice, world.bob, world.a, world.b].map(|host| world.udp(host, 5000));
            let seen = [alice.talks(&a), alice.talks(&b), bob.talks(&a)];
            assert_eq!(seen.map(|seen| seen.ip()), [world.external(); 3], "{nat}");
            let is_one = mapping == Mapping::EndpointIndependent;
            assert_eq!(seen[0] == seen[1], is_one, "{nat}");
        }
    }
}

#[netns_test]
fn private_isolation_public_reachable() {
    for nat in [Nat::home(), Nat::full_cone()] {
        let world = World::new(nat);
        let [alice, a, b] = [world.alice, world.a, world.b].map(|host| world.udp(host, 5000));
        alice.talks(&a);
        let to_inside = || {
            b.send(alice.at);
        };
        assert_eq!(heard(&alice, (&world.udp(world.alice, 0), &a), to_inside), None);
        assert_eq!(alice.talks(&b).ip(), world.external());
        assert_eq!(a.talks(&b), a.at, "no NAT between them");
    }
}

/// Returns the source address that the reflector at `server` reports, by UDP and by TCP.
fn reflected(lab: &Lab, host: NodeId, own: IpAddr, server: SocketAddr) -> [SocketAddr; 2] {
    let socket = lab[host].run(|| UdpSocket::bind((own, 0))).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.send_to(b"where am I", server).unwrap();
    let by_udp = String::from_utf8(take(&socket)).unwrap();
    let mut stream = lab[host].run(|| TcpStream::connect(server)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut by_tcp = String::new();
    stream.read_to_string(&mut by_tcp).unwrap();
    [by_udp, by_tcp].map(|text| text.parse().unwrap())
}

#[netns_test]
fn reflexive_ip_all_combos() -> netns_test::Result<()> {
    for (nat, _) in kinds() {
        for world in wirings(&nat) {
            let lab = &world.lab;
            let _reflector = lab[world.a].reflector(3478)?;
            let server = (lab[world.a].ipv4(), 3478).into();
            for own in [[0; 4].into(), IpAddr::from(lab[world.alice].ipv4())] {
                let seen = reflected(lab, world.alice, own, server);
                assert_eq!(seen.map(|seen| seen.ip()), [world.external(); 2], "{nat}");
            }
        }
    }
    Ok(())
}

#[netns_test]
fn port_mapping_eim_stable() {
    let world = World::new(Nat::home());
    let [alice, a, b] = [world.alice, world.a, world.b].map(|host| world.udp(host, 5000));
    assert_eq!(alice.talks(&a), alice.talks(&b));
}

#[netns_test]
fn port_mapping_edm_changes() {
    let world = World::new(Nat::symmetric());
    let [alice, a, b] = [world.alice, world.a, world.b].map(|host| world.udp(host, 5000));
    assert_ne!(alice.talks(&a).port(), alice.talks(&b).port());
}

#[netns_test]
fn same_nat_shared_ip() {
    let world = World::new(Nat::home());
    let [alice, bob, a] = [world.alice, world.bob, world.a].map(|host| world.udp(host, 5000));
    assert_eq!([alice.talks(&a).ip(), bob.talks(&a).ip()], [world.external(); 2]);
}

#[netns_test]
fn different_nat_isolation() {
    let homes = Homes::new([Nat::home(), Nat::home()]);
    let peers = homes.peers();
    assert_eq!(peers.seen.map(|seen| seen.ip()), [homes.external(0), homes.external(1)]);
    let server = Udp::open(&homes.lab[homes.server], 0);
    // One way only: what both send to each other punches a hole.
    let marker = Udp::open(&homes.lab[homes.hosts[1]], 0);
    for place in [peers.ends[1].at, peers.seen[1]] {
        let send = || {
            peers.ends[0].send(place);
        };
        assert_eq!(heard(&peers.ends[1], (&marker, &server), send), None, "{place}");
    }
}

/// A host behind a router that translates IPv6, and two servers.
fn masquerade_ipv6() -> (Lab, NodeId, [NodeId; 2], Ipv6Addr) {
    let mut net = Topology::new();
    let (host, home, internet) = (net.host("host"), net.router("home"), net.switch("internet"));
    let servers = ["a", "b"].map(|name| net.host(name));
    net.link(host, home).subnet("fd12::/64");
    let wan = net.link(home, internet).subnet("203.0.113.0/24").subnet("2001:db8::/64").id();
    for server in servers {
        net.link(server, internet);
    }
    net.nat(home, wan, Nat::home().ipv6(Ipv6Nat::Masquerade));
    let lab = net.build().unwrap_or_else(|error| panic!("{error}"));
    let outside = lab.plan().addresses_of(home).iter().find_map(|address| match address {
        IpAddr::V6(address) if address.segments()[0] == 0x2001 => Some(*address),
        _ => None,
    });
    (lab, host, servers, outside.unwrap())
}

#[netns_test]
fn v6_masquerade() {
    let (lab, host, [server, _], outside) = masquerade_ipv6();
    let [_near, far] = both(&lab, host, server)[1].connection();
    assert_eq!(far.peer_addr().unwrap().ip(), IpAddr::from(outside));
}

#[netns_test]
fn v6_masquerade_port_mapping() {
    let (lab, host, servers, outside) = masquerade_ipv6();
    let near = lab[host].run(|| UdpSocket::bind("[::]:5000")).unwrap();
    near.set_read_timeout(Some(PATIENCE)).unwrap();
    for server in servers {
        let far = lab[server].run(|| UdpSocket::bind("[::]:53")).unwrap();
        far.set_read_timeout(Some(PATIENCE)).unwrap();
        near.send_to(b"question", (lab[server].ipv6(), 53)).unwrap();
        let (_, seen) = far.recv_from(&mut [0; 20]).unwrap();
        assert_eq!(seen, (outside, 5000).into());
        far.send_to(b"answer", seen).unwrap();
        assert_eq!(take(&near), b"answer");
    }
}

#[netns_test]
fn adf_allows_different_port_from_contacted_host() {
    let world = World::new(Nat::restricted_cone());
    let [alice, a] = [world.alice, world.a].map(|host| world.udp(host, 5000));
    let external = alice.talks(&a);
    let other_port = world.udp(world.a, 0);
    assert_eq!(other_port.reaches(external, &alice), other_port.at);
}

#[netns_test]
fn adf_drops_from_uncontacted_host() {
    let world = World::new(Nat::restricted_cone());
    let [alice, a, b] = [world.alice, world.a, world.b].map(|host| world.udp(host, 5000));
    let external = alice.talks(&a);
    let marker = world.udp(world.alice, 0);
    assert_eq!(
        heard(&alice, (&marker, &a), || {
            b.send(external);
        }),
        None
    );
}

#[netns_test]
fn fullcone_external_reachable() {
    let world = World::new(Nat::full_cone());
    let [alice, a, b] = [world.alice, world.a, world.b].map(|host| world.udp(host, 5000));
    let external = alice.talks(&a);
    assert_eq!(b.reaches(external, &alice), b.at);
}

#[netns_test]
fn cgnat_external_reachable() {
    let world = carrier(&Nat::full_cone(), Nat::carrier());
    let [alice, a, b] = [world.alice, world.a, world.b].map(|host| world.udp(host, 5000));
    let external = alice.talks(&a);
    assert_eq!(b.reaches(external, &alice), b.at);
}

#[netns_test]
fn cgnat_port_mapping_eim() {
    let world = carrier(&Nat::home(), Nat::carrier());
    let [alice, a, b] = [world.alice, world.a, world.b].map(|host| world.udp(host, 5000));
    assert_eq!(alice.talks(&a), alice.talks(&b));
}
