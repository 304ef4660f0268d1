//! Scenes of the tests in virtual machines, with plain sockets in place of the product.

use netns_test::lab::{Firewall, Nat, PortMapping, Traffic};
use netns_test::netns_test;

use crate::behind::{Access, Homes, meet};
use crate::leased::{PORT, Site};
use crate::net::both;
use netns_test_tests::packets::Udp;

fn easy() -> [Access; 2] {
    [Access::Behind(Nat::home()), Access::Behind(Nat::home())]
}

#[netns_test]
fn test_easy_easy() {
    assert!(Homes::of(easy()).punch());
}

/// The server is gone when the hosts have learned each other's endpoints.
#[netns_test]
fn test_two_easy_no_control_disco_rotate() -> netns_test::Result<()> {
    let homes = Homes::of(easy());
    let peers = homes.peers();
    peers.meet();
    homes.lab.power_off(homes.server)?;
    peers.meet();
    Ok(())
}

/// Both hosts have a firewall of their own.
#[netns_test]
fn test_host_fw_pair() {
    let homes = Homes::with(easy(), |net, hosts, _| {
        hosts.iter().for_each(|host| net.firewall(*host, Firewall::home()));
    });
    assert!(homes.punch());
}

#[netns_test]
fn test_one_host_fw() {
    let homes = Homes::with(easy(), |net, hosts, _| net.firewall(hosts[1], Firewall::home()));
    assert!(homes.punch());
}

/// No direct way leads through: both talk to the server.
#[netns_test]
fn test_fallback_derp_region_for_peer() {
    let hard = || Access::Behind(Nat::symmetric());
    let homes = Homes::of([hard(), hard()]);
    assert!(!homes.punch());
    let relay = Udp::open(&homes.lab[homes.server], 443);
    let ends = homes.hosts.map(|host| Udp::open(&homes.lab[host], 0));
    let seen = ends.each_ref().map(|end| end.talks(&relay));
    for at in [0, 1] {
        // What one sends, the relay sends on.
        ends[at].asks(&relay);
        assert_eq!(relay.reaches(seen[1 - at], &ends[1 - at]), relay.at);
    }
}

/// Hosts with a 1:1 address each: the source that the server sees is that address.
#[netns_test]
fn test_inter_network_tcp() {
    let homes = Homes::of([Access::OneToOne, Access::OneToOne]);
    for (at, host) in homes.hosts.into_iter().enumerate() {
        let ends = both(&homes.lab, host, homes.server)[0];
        let [_near, far] = ends.connection();
        let own = [203, 0, 113, 101 + u8::try_from(at).unwrap()];
        assert_eq!(far.peer_addr().unwrap().ip(), std::net::IpAddr::from(own));
        ends.tcp_round_trip();
    }
}

/// Meets again after some hosts were restarted, without the server.
fn rejoins(restarted: &[usize]) -> netns_test::Result<()> {
    let homes = Homes::of(easy());
    let peers = homes.peers();
    peers.meet();
    let seen = peers.seen;
    drop(peers);
    homes.lab.power_off(homes.server)?;
    for at in restarted {
        homes.lab.power_off(homes.hosts[*at])?;
        homes.lab.power_on(homes.hosts[*at])?;
    }
    let ends = homes.hosts.map(|host| Udp::open(&homes.lab[host], 5000));
    meet(ends.each_ref(), seen);
    Ok(())
}

#[netns_test]
fn test_cached_netmap_after_restart() -> netns_test::Result<()> {
    rejoins(&[1])
}

#[netns_test]
fn test_direct_connection_with_cached_netmap_on_one_node() -> netns_test::Result<()> {
    rejoins(&[0])
}

#[netns_test]
fn test_direct_connection_with_cached_netmap_on_two_nodes() -> netns_test::Result<()> {
    rejoins(&[0, 1])
}

fn behind_a_firewall(wall: &Firewall) -> [bool; 2] {
    let mapping = || (Nat::home().port_mapping(PortMapping::new().nat_pmp()), false);
    let site = Site::new([mapping(), mapping()], |net, [one, _]| {
        net.firewall(one, wall.clone());
    });
    site.hear_each_other()
}

/// A firewall on the host lets the port in.
#[netns_test]
fn test_bpf_disco() {
    let wall = Firewall::new().allow_in(Traffic::udp(PORT)).deny_in();
    assert_eq!(behind_a_firewall(&wall), [true, true]);
}

/// A firewall on the host lets nothing in or out but to the router: only a relay would do.
#[netns_test]
fn test_host_fw_no_bpf() {
    let wall = Firewall::new().allow_out(Traffic::udp(5351)).allow_out(Traffic::udp(3478));
    assert_eq!(behind_a_firewall(&wall.deny_out().deny_in()), [false, false]);
}
