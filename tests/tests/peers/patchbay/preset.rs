//! Kinds of routers.

use std::io::ErrorKind;

use netns_test::lab::{Filtering, Firewall, Nat};
use netns_test::{Lab, NodeId, Topology, netns_test};

use crate::behind::{Office, carrier};
use crate::net::{MS, both};
use netns_test_tests::packets::{Udp, heard};

/// A client behind a router with a NAT and a firewall, and two servers.
struct Home {
    lab: Lab,
    client: NodeId,
    servers: [NodeId; 2],
}

fn home(nat: Nat, firewall: Firewall) -> Home {
    let mut net = Topology::new();
    let (client, router) = (net.host("client"), net.router("home"));
    let (internet, servers) = (net.switch("internet"), ["a", "b"].map(|name| net.host(name)));
    net.link(client, router);
    let wan = net.link(router, internet).id();
    for server in servers {
        net.link(server, internet);
    }
    net.nat(router, wan, nat);
    net.firewall(router, firewall);
    let lab = net.build().unwrap_or_else(|error| panic!("{error}"));
    Home { lab, client, servers }
}

/// IPv4 is translated, IPv6 is not; in either family only the inside opens connections.
#[netns_test]
fn preset_home() -> netns_test::Result<()> {
    let Home { lab, client, servers } = home(Nat::home(), Firewall::home());
    assert_eq!(lab.nat_kind(client, servers[0], servers[1])?, Nat::home());
    let [ipv4, ipv6] = both(&lab, client, servers[0]);
    ipv4.tcp_round_trip();
    ipv6.round_trip();
    let inside = ipv6.reversed().listener();
    let late = ipv6.reversed().connect(inside.local_addr()?, 100 * MS).unwrap_err();
    assert_eq!(late.kind(), ErrorKind::TimedOut);
    Ok(())
}

#[netns_test]
fn preset_corporate_blocks_udp() {
    let office = Office::new(|_| Firewall::corporate());
    for ends in office.both() {
        office.udp_is_dropped(ends, 443);
        office.tcp_passes(ends, 443);
        office.tcp_is_dropped(ends, 8080);
    }
    let Home { lab, client, servers } = home(Nat::corporate(), Firewall::corporate());
    let ends = both(&lab, client, servers[0])[0];
    ends.connection_to(&ends.listener_on(443));
    let [near, far, marker] = [(client, 0), (servers[0], 5000), (client, 0)]
        .map(|(node, port)| Udp::open(&lab[node], port));
    let dns = Udp::open(&lab[servers[0]], 53);
    assert_eq!(
        heard(&far, (&marker, &dns), || {
            near.send(far.at);
        }),
        None
    );
}

/// A home router with another filtering; the rest is as before.
#[netns_test]
fn preset_override() -> netns_test::Result<()> {
    let nat = Nat::home().filtering(Filtering::EndpointIndependent);
    let Home { lab, client, servers } = home(nat.clone(), Firewall::new());
    assert_eq!(lab.nat_kind(client, servers[0], servers[1])?, nat);
    Ok(())
}

#[netns_test]
fn preset_isp_cgnat() -> netns_test::Result<()> {
    let world = carrier(&Nat::full_cone(), Nat::carrier());
    let kind = world.lab.nat_kind(world.alice, world.a, world.b)?;
    assert_eq!(kind, Nat::carrier(), "{kind}");
    assert_eq!(kind.external, [world.external()]);
    Ok(())
}
