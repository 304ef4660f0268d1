//! Leases over time, restarts, power cuts, extensions and changes.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use netns_test::lab::{Nat, NodeId, PortMapping};
use netns_test::{Lab, netns_test};

use super::lan::{self, By, inside_of, search};
use crate::home::udp;

#[netns_test]
fn a_lease_expires() {
    for by in By::BOTH {
        let (lab, lan) = lan::with(PortMapping::all());
        let server = udp(&lab, lan.laptop, "0.0.0.0:7000");
        by.lease(&lab, (&lan, lan.laptop), (7000, 8000), 1).unwrap();
        lan.wait_for_no_lease(&lab);
        lan.send(&lab, 8000, "too late");
        by.lease(&lab, (&lan, lan.laptop), (7000, 8000), 600).unwrap();
        lan.assert_arrives(&lab, 8000, &server, "in time");
    }
    let (lab, lan) = lan::with(PortMapping::new().upnp());
    let server = udp(&lab, lan.laptop, "0.0.0.0:7000");
    lan.add_port(&lab, lan.laptop, (8000, 7000), 1).unwrap();
    lan.wait_for_no_lease(&lab);
    lan.send(&lab, 8000, "too late");
    lan.add_port(&lab, lan.laptop, (8000, 7000), 0).unwrap();
    lan.assert_arrives(&lab, 8000, &server, "in time");
}

#[netns_test]
fn a_lease_is_renewed_and_limited() {
    let short = PortMapping::all().longest_lease(Duration::from_secs(2));
    let (lab, lan) = lan::with(short);
    let mut lease = By::Pcp.lease(&lab, (&lan, lan.laptop), (7000, 8000), 600).unwrap();
    assert_eq!(lease.lifetime(), 2);
    let end = std::time::Instant::now() + Duration::from_secs(4);
    while std::time::Instant::now() < end {
        lab[lan.laptop].block_on(lease.renew()).unwrap();
        assert_eq!(lease.external_port().get(), 8000);
    }
    lan.wait_for_no_lease(&lab);
}

/// Listens for announcements on a host.
fn listener(lab: &Lab, host: NodeId) -> UdpSocket {
    let socket = udp(lab, host, "0.0.0.0:5350");
    let std::net::IpAddr::V4(own) = inside_of(lab, host) else { panic!() };
    socket.join_multicast_v4(&Ipv4Addr::new(224, 0, 0, 1), &own).unwrap();
    socket
}

/// The next announcements of NAT-PMP and PCP: epochs, and the external address.
fn announced(socket: &UdpSocket) -> (u32, u32, [u8; 4]) {
    let (mut nat_pmp, mut pcp) = (None, None);
    while nat_pmp.is_none() || pcp.is_none() {
        let mut bytes = [0; 99];
        let (length, from) = socket.recv_from(&mut bytes).unwrap();
        assert_eq!(from.port(), 5351);
        let word = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
        match bytes[..2] {
            [0, 0x80] if length == 12 => {
                nat_pmp = Some((word(4), bytes[8..12].try_into().unwrap()));
            }
            [2, 0x80] if length == 24 => pcp = Some(word(8)),
            _ => panic!("{:?}", &bytes[..length]),
        }
    }
    let ((epoch, address), pcp) = nat_pmp.zip(pcp).unwrap();
    (epoch, pcp, address)
}

#[netns_test]
fn a_restart_forgets_leases_and_begins_epochs() {
    let (lab, lan) = lan::with(PortMapping::all());
    let server = udp(&lab, lan.laptop, "0.0.0.0:7000");
    let phone = listener(&lab, lan.phone);
    let before = By::NatPmp.lease(&lab, (&lan, lan.laptop), (7000, 8000), 600).unwrap();
    assert!(before.gateway_epoch() >= 86_400);
    lab[lan.home].nat().flush().unwrap();
    assert_eq!(lan.leases(&lab).len(), 1);
    lab[lan.home].nat().reboot().unwrap();
    assert_eq!(lan.leases(&lab), []);
    lan.send(&lab, 8000, "lost");
    let (nat_pmp, pcp, address) = announced(&phone);
    assert!(nat_pmp < 80_000 && pcp < 80_000, "{nat_pmp} {pcp}");
    assert_eq!(address, [203, 0, 113, 1]);
    let after = By::NatPmp.lease(&lab, (&lan, lan.laptop), (7000, 8000), 600).unwrap();
    assert!(after.gateway_epoch() < 80_000);
    lan.assert_arrives(&lab, 8000, &server, "leased anew");
    assert_eq!(lan.requests(&lab).len(), 2);
}

#[netns_test]
fn another_external_address_is_announced_and_leases_stay() {
    let (lab, lan) = lan::with(PortMapping::all());
    let server = udp(&lab, lan.laptop, "0.0.0.0:7000");
    let phone = listener(&lab, lan.phone);
    By::Pcp.lease(&lab, (&lan, lan.laptop), (7000, 8000), 600).unwrap();
    lab[lan.home].interface(lan.wan).set_addr("203.0.113.9/24").unwrap();
    let (nat_pmp, pcp, address) = announced(&phone);
    assert_eq!(address, [203, 0, 113, 9]);
    // RFC 6887, section 8.5.
    assert!(nat_pmp >= 86_400 && pcp < 80_000, "{nat_pmp} {pcp}");
    let peer = udp(&lab, lan.peer, "0.0.0.0:0");
    peer.send_to(b"there", "203.0.113.9:8000").unwrap();
    let (text, _) = crate::home::heard(&server);
    assert_eq!(text, "there");
    assert_eq!(lan.leases(&lab)[0].outside, "203.0.113.9:8000".parse().unwrap());
}

/// As by a change of the address in two steps.
#[netns_test]
fn another_external_address_is_announced_after_a_time_without() {
    let (lab, lan) = lan::with(PortMapping::all());
    let phone = listener(&lab, lan.phone);
    let lease = || By::NatPmp.lease(&lab, (&lan, lan.laptop), (7000, 8000), 600);
    lease().unwrap();
    lab[lan.home].interface(lan.wan).remove_addr("203.0.113.1/24").unwrap();
    // The server has handled the removal when it answers the second of these.
    assert!(lease().is_err());
    assert!(lease().is_err());
    lab[lan.home].interface(lan.wan).add_addr("203.0.113.9/24").unwrap();
    assert_eq!(announced(&phone).2, [203, 0, 113, 9]);
}

#[netns_test]
fn a_power_cut_forgets_leases() {
    let (lab, lan) = lan::with(PortMapping::all());
    let server = udp(&lab, lan.laptop, "0.0.0.0:7000");
    By::Pcp.lease(&lab, (&lan, lan.laptop), (7000, 8000), 600).unwrap();
    lab.power_off(lan.home).unwrap();
    lab.power_on(lan.home).unwrap();
    assert_eq!(lan.leases(&lab), []);
    lan.send(&lab, 8000, "lost");
    let lease = By::NatPmp.lease(&lab, (&lan, lan.laptop), (7000, 8000), 600).unwrap();
    assert!(lease.gateway_epoch() < 80_000);
    lan.add_port(&lab, lan.laptop, (8001, 7000), 0).unwrap();
    lan.assert_arrives(&lab, 8000, &server, "leased anew");
    assert!(lan.requests(&lab).len() > 2);
}

#[netns_test]
fn other_rules_leave_leases_and_another_nat_does_not() {
    let (lab, lan) = lan::with(PortMapping::all());
    let server = udp(&lab, lan.laptop, "0.0.0.0:7000");
    By::Pcp.lease(&lab, (&lan, lan.laptop), (7000, 8000), 600).unwrap();
    let router = &lab[lan.home];
    let tcp = netns_test::lab::Transport::Tcp;
    router.forward_port(lan.wan, tcp, 22, lan.phone, 22).unwrap();
    router.set_firewall(netns_test::lab::Firewall::home()).unwrap();
    lan.assert_arrives(&lab, 8000, &server, "still leased");
    router.set_nat(Nat::full_cone().port_mapping(PortMapping::new().pcp())).unwrap();
    assert_eq!(lan.leases(&lab), []);
    lan.send(&lab, 8000, "lost");
    By::Pcp.lease(&lab, (&lan, lan.laptop), (7000, 8000), 600).unwrap();
    lan.assert_arrives(&lab, 8000, &server, "leased anew");
    // Without port mapping there is no answer.
    router.set_nat(Nat::full_cone()).unwrap();
    let socket = udp(&lab, lan.laptop, "0.0.0.0:0");
    socket.connect((lan.gateway(&lab), 5351)).unwrap();
    socket.send(&[0, 0]).unwrap();
    let refused = socket.recv(&mut [0; 9]).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    router.remove_firewall().unwrap();
    router.remove_nat().unwrap();
}

#[netns_test]
fn an_extension_brings_hosts_and_keeps_leases() -> netns_test::Result<()> {
    let (mut net, lan) = lan::net(Nat::home_upnp());
    let mut lab = net.build()?;
    let server = udp(&lab, lan.laptop, "0.0.0.0:7000");
    By::Pcp.lease(&lab, (&lan, lan.laptop), (7000, 8000), 600).unwrap();
    let tablet = net.host("tablet");
    net.link(tablet, lan.home).subnet("192.168.2.0/24");
    lab.extend(&net)?;
    lan.assert_arrives(&lab, 8000, &server, "still leased");
    // On the new interface of the router.
    lan.add_port(&lab, tablet, (8001, 7000), 600).unwrap();
    let other = udp(&lab, tablet, "0.0.0.0:7000");
    lan.assert_arrives(&lab, 8001, &other, "to the tablet");
    let gateway = search(&lab, tablet).unwrap();
    assert_eq!(gateway.addr.ip(), "192.168.2.2".parse::<std::net::IpAddr>().unwrap());
    Ok(())
}

#[netns_test]
fn a_snapshot_shows_leases() {
    let (lab, lan) = lan::with(PortMapping::all());
    By::Pcp.lease(&lab, (&lan, lan.laptop), (7000, 8000), 600).unwrap();
    let text = lab.snapshot().unwrap()[lan.home].to_string();
    let line = "udp 192.168.1.1:7000 = 203.0.113.1:8000, leased by PCP";
    assert!(text.contains(line), "{text}");
}
