//! IPv6 of homes with and without IPv4: a translated prefix, and masquerading.

use std::net::{IpAddr, SocketAddr};

use netns_test::lab::{Ipv6Nat, Nat, NodeId};
use netns_test::{Lab, Topology, netns_test};

use crate::home::udp;

/// Returns the address with which a datagram arrives.
fn reflected(lab: &Lab, from: NodeId, to: NodeId, is_ipv4: bool) -> SocketAddr {
    let any = if is_ipv4 { "0.0.0.0:0" } else { "[::]:0" };
    let (client, server) = (udp(lab, from, any), udp(lab, to, any));
    let addresses = lab.plan().addresses_seen_from(from, to);
    let address = addresses.into_iter().find(|one| one.is_ipv4() == is_ipv4).unwrap();
    client.send_to(b"probe", (address, server.local_addr().unwrap().port())).unwrap();
    let (_, seen) = server.recv_from(&mut [0; 8]).unwrap();
    server.send_to(b"answer", seen).unwrap();
    let (_, from) = client.recv_from(&mut [0; 8]).unwrap();
    assert_eq!(from.ip(), address);
    seen
}

fn home(nat: Nat) -> (Lab, NodeId, NodeId, [IpAddr; 2]) {
    let mut net = Topology::new();
    let (pc, home, server) = (net.host("pc"), net.router("home"), net.host("server"));
    net.link(pc, home).subnet("fd00:1:2:3::/64").subnet("192.168.1.0/24");
    let wan = net.link(home, server).id();
    net.nat(home, wan, nat);
    let lab = net.build().unwrap();
    let outside = lab.plan().nodes()[1].interfaces[1].addresses.clone();
    let outside = [outside[0].address(), outside[1].address()];
    (lab, pc, server, outside)
}

#[netns_test]
fn both_families_are_translated_side_by_side() {
    let nat = Nat::home().nptv6("fd00:1:2::/48", "2001:db8:7::/48");
    let (lab, pc, server, [outside, _]) = home(nat);
    assert_eq!(reflected(&lab, pc, server, true).ip(), outside);
    let seen = reflected(&lab, pc, server, false).ip();
    assert!(seen.to_string().starts_with("2001:db8:7:"), "{seen}");
}

#[netns_test]
fn masqueraded_packets_have_the_address_of_the_router() {
    let (lab, pc, server, [_, outside]) = home(Nat::home().ipv6(Ipv6Nat::Masquerade));
    assert_eq!(reflected(&lab, pc, server, false).ip(), outside);
}

#[netns_test]
fn a_masqueraded_port_is_kept_while_it_is_free() {
    let (lab, pc, server, [_, outside]) = home(Nat::home().ipv6(Ipv6Nat::Masquerade));
    let client = udp(&lab, pc, "[::]:4567");
    let at = udp(&lab, server, "[::]:9999");
    let to = lab.plan().addresses_seen_from(pc, server);
    let to = to.into_iter().find(IpAddr::is_ipv6).unwrap();
    client.send_to(b"probe", (to, 9999)).unwrap();
    // The port is kept while it is free.
    assert_eq!(at.recv_from(&mut [0; 8]).unwrap().1, SocketAddr::new(outside, 4567));
}
