//! Faults of routers that serve port mapping, and mistakes of a plan.

use std::time::Duration;

use igd_next::{AddAnyPortError, AddPortError, RemovePortError};
use netns_test::lab::{Nat, PortMapping, PortMappingFault};
use netns_test::netns_test;
use netns_test_tests::eventually;

use super::lan::{self, By, inside_of, search};
use crate::home::{PATIENCE, udp};

#[netns_test]
fn a_router_that_refuses() {
    let (lab, lan) = lan::with(PortMapping::all().fault(PortMappingFault::Refuse));
    for by in By::BOTH {
        let failed = by.lease(&lab, (&lan, lan.laptop), (7000, 8000), 60).unwrap_err();
        assert!(failed.to_string().contains("Not authorized"), "{failed}");
    }
    let failed = lan.add_port(&lab, lan.laptop, (8000, 7000), 60).unwrap_err();
    assert!(matches!(failed, AddPortError::ActionNotAuthorized), "{failed:?}");
    assert_eq!(lan.leases(&lab), []);
    let last = lan.requests(&lab).pop().unwrap();
    assert_eq!(last, "UPnP: map udp 7000 to 8000 for 60 s: refused, code 606");
    // It is mended while the lab runs.
    lab[lan.home].nat().set_port_mapping(PortMapping::all()).unwrap();
    By::Pcp.lease(&lab, (&lan, lan.laptop), (7000, 8000), 60).unwrap();
    // Leases stay while it refuses.
    let refusing = PortMapping::all().fault(PortMappingFault::Refuse);
    lab[lan.home].nat().set_port_mapping(refusing).unwrap();
    let server = udp(&lab, lan.laptop, "0.0.0.0:7000");
    lan.assert_arrives(&lab, 8000, &server, "still leased");
}

#[netns_test]
fn a_router_that_does_not_answer() {
    let (lab, lan) = lan::with(PortMapping::all().fault(PortMappingFault::NoAnswer));
    let socket = udp(&lab, lan.laptop, "0.0.0.0:0");
    socket.send_to(&[0, 0], (lan.gateway(&lab), 5351)).unwrap();
    let search = b"M-SEARCH * HTTP/1.1\r\nMAN: \"ssdp:discover\"\r\nST: ssdp:all\r\n\r\n";
    socket.send_to(search, (lan.gateway(&lab), 1900)).unwrap();
    // When it has seen both, and answers again, the first answer is to the third.
    let mut asked = eventually(PATIENCE, "it has seen both", || match lan.requests(&lab) {
        few if few.len() < 2 => Err(few),
        both => Ok(both),
    });
    asked.sort();
    assert_eq!(asked, ["NAT-PMP: external address: no answer", "UPnP: discover: no answer"]);
    lab[lan.home].nat().set_port_mapping(PortMapping::all()).unwrap();
    socket.send_to(&[0, 7], (lan.gateway(&lab), 5351)).unwrap();
    let mut answer = [0; 99];
    assert_eq!(socket.recv(&mut answer).unwrap(), 8);
    assert_eq!(answer[..4], [0, 0x87, 0, 5]);
}

#[netns_test]
fn wanted_ports_that_are_taken() {
    let (lab, lan) = lan::with(PortMapping::all().fault(PortMappingFault::Conflict));
    for by in By::BOTH {
        let lease = by.lease(&lab, (&lan, lan.laptop), (7000, 8000), 60).unwrap();
        assert_eq!(lease.external_port().get(), 7000);
    }
    let failed = lan.add_port(&lab, lan.laptop, (8000, 7000), 60).unwrap_err();
    assert!(matches!(failed, AddPortError::PortInUse), "{failed:?}");
    let gateway = search(&lab, lan.laptop).unwrap();
    let own = (inside_of(&lab, lan.laptop), 7000).into();
    let any = || gateway.add_any_port(igd_next::PortMappingProtocol::TCP, own, 60, "any");
    let failed = lab[lan.laptop].run(any).unwrap_err();
    assert!(matches!(failed, AddAnyPortError::NoPortsAvailable), "{failed:?}");
}

#[netns_test]
fn permanent_leases_only() {
    let only = PortMapping::all().fault(PortMappingFault::OnlyPermanentLeases);
    let (lab, lan) = lan::with(only);
    let failed = lan.add_port(&lab, lan.laptop, (8000, 7000), 60).unwrap_err();
    assert!(matches!(failed, AddPortError::OnlyPermanentLeasesSupported), "{failed:?}");
    lan.add_port(&lab, lan.laptop, (8000, 7000), 0).unwrap();
    assert_eq!(lan.leases(&lab)[0].expires, None);
    By::Pcp.lease(&lab, (&lan, lan.phone), (7000, 8001), 60).unwrap();
}

#[netns_test]
fn no_resources() {
    let (lab, lan) = lan::with(PortMapping::all().fault(PortMappingFault::NoResources));
    for (by, text) in By::BOTH.into_iter().zip(["No resources", "Out of resources"]) {
        let failed = by.lease(&lab, (&lan, lan.laptop), (7000, 8000), 60).unwrap_err();
        assert!(failed.to_string().contains(text), "{failed}");
    }
    lan.add_port(&lab, lan.laptop, (8000, 7000), 60).unwrap_err();
    let last = lan.requests(&lab).pop().unwrap();
    assert!(last.ends_with("refused, code 501"), "{last}");
}

#[netns_test]
fn hosts_change_their_own_leases_only() {
    let (lab, lan) = lan::with(PortMapping::all());
    lan.add_port(&lab, lan.laptop, (8000, 7000), 60).unwrap();
    let failed = lan.add_port(&lab, lan.phone, (8000, 7000), 60).unwrap_err();
    assert!(matches!(failed, AddPortError::PortInUse), "{failed:?}");
    let gateway = search(&lab, lan.phone).unwrap();
    let remove = || gateway.remove_port(igd_next::PortMappingProtocol::UDP, 8000);
    let failed = lab[lan.phone].run(remove).unwrap_err();
    assert!(matches!(failed, RemovePortError::ActionNotAuthorized), "{failed:?}");
    let laptops = (inside_of(&lab, lan.laptop), 7000).into();
    let add = || gateway.add_port(igd_next::PortMappingProtocol::UDP, 8001, laptops, 60, "");
    let failed = lab[lan.phone].run(add).unwrap_err();
    assert!(matches!(failed, AddPortError::ActionNotAuthorized), "{failed:?}");
    assert_eq!(lan.leases(&lab).len(), 1);
}

#[test]
fn mistakes_of_a_plan() {
    let text = |nat: Nat| lan::net(nat).0.plan().unwrap_err().to_string();
    let none = text(Nat::home().port_mapping(PortMapping::new()));
    assert!(none.contains("without a protocol; add `pcp`, `nat_pmp` or `upnp`"), "{none}");
    let pool = ["203.0.113.7", "203.0.113.8"].map(|one| one.parse().unwrap());
    let two = text(Nat::home_upnp().pool(pool));
    assert!(
        two.contains("NAT-PMP reports one external address to hosts, and the pool has 2"),
        "{two}"
    );
    let half = PortMapping::all().longest_lease(Duration::from_millis(1500));
    let half = text(Nat::home().port_mapping(half));
    assert!(half.contains("the longest lease is 1.5s; give whole seconds"), "{half}");
    let (mut net, lan) = lan::net(Nat::home_upnp());
    let second = net.link(lan.home, lan.peer).id();
    net.nat(lan.home, second, Nat::home_upnp());
    let two = net.plan().unwrap_err().to_string();
    assert!(two.contains("another NAT of the router serves port mapping"), "{two}");
}

#[test]
fn equal_values_are_equal() {
    let one = lan::net(Nat::home_upnp()).0;
    assert_eq!(one, lan::net(Nat::home().port_mapping(PortMapping::all())).0);
    assert_ne!(one, lan::net(Nat::home()).0);
    let refusing = PortMapping::all().fault(PortMappingFault::Refuse);
    assert_ne!(one, lan::net(Nat::home().port_mapping(refusing)).0);
    assert!(one.to_string().contains("port mapping by PCP and NAT-PMP and UPnP"), "{one}");
}
