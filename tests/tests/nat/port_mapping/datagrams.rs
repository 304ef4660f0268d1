//! PCP and NAT-PMP: by the client `crab_nat`, and by bytes of the RFCs.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};

use crab_nat::{GatewayAddress, natpmp};
use netns_test::lab::{
    Filtering, Firewall, Mapping, Nat, NodeId, PortMapping, PortMappingProtocol,
};
use netns_test::{Lab, netns_test};

use super::lan::{self, By, Lan, inside_of, patient};
use crate::home::{PATIENCE, heard, udp};

/// Sends bytes to the router, and returns the answer.
fn exchange(lab: &Lab, (lan, host): (&Lan, NodeId), bytes: &[u8]) -> Vec<u8> {
    let socket = udp(lab, host, "0.0.0.0:0");
    socket.connect((lan.gateway(lab), 5351)).unwrap();
    socket.send(bytes).unwrap();
    let mut buffer = [0; 1200];
    let length = socket.recv(&mut buffer).unwrap();
    buffer[..length].to_vec()
}

#[netns_test]
fn a_peer_reaches_a_leased_port_and_not_before_or_after() {
    for by in By::BOTH {
        let (lab, lan) = lan::with(PortMapping::all());
        let server = udp(&lab, lan.laptop, "0.0.0.0:7000");
        lan.send(&lab, 8000, "before");
        let lease = by.lease(&lab, (&lan, lan.laptop), (7000, 8000), 600).unwrap();
        assert_eq!((lease.external_port().get(), lease.lifetime()), (8000, 600));
        lan.assert_arrives(&lab, 8000, &server, "leased");
        // Its answer has the external source.
        let peer = udp(&lab, lan.peer, "0.0.0.0:0");
        peer.send_to(b"hello", lan.outside(&lab, 8000)).unwrap();
        let (_, from) = heard(&server);
        server.send_to(b"answer", from).unwrap();
        assert_eq!(heard(&peer), ("answer".to_owned(), lan.outside(&lab, 8000)));
        // So have its own packets.
        server.send_to(b"own", (lab[lan.peer].ipv4(), peer.local_addr().unwrap().port())).unwrap();
        assert_eq!(heard(&peer), ("own".to_owned(), lan.outside(&lab, 8000)));
        let [only] = &lan.leases(&lab)[..] else { panic!("{:?}", lan.leases(&lab)) };
        assert_eq!(SocketAddr::from(only.inside), (inside_of(&lab, lan.laptop), 7000).into());
        assert_eq!(SocketAddr::from(only.outside), lan.outside(&lab, 8000));
        assert_eq!(only.leased_by, Some(by.protocol()));
        let left = only.expires.unwrap().as_secs();
        assert!((1..=600).contains(&left), "{left}");
        lab[lan.laptop].block_on(lease.try_drop()).unwrap();
        assert_eq!(lan.leases(&lab), []);
        lan.send(&lab, 8000, "after");
        // Another host may have the port now.
        let phone = udp(&lab, lan.phone, "0.0.0.0:7000");
        by.lease(&lab, (&lan, lan.phone), (7000, 8000), 600).unwrap();
        lan.assert_arrives(&lab, 8000, &phone, "to the phone");
        by.lease(&lab, (&lan, lan.laptop), (7000, 8001), 600).unwrap();
        lan.assert_arrives(&lab, 8001, &server, "again");
        let requests = lan.requests(&lab);
        let name = by.protocol();
        let granted = format!("{name}: map udp 7000 to 8000 for 600 s: 203.0.113.1:8000 for 600 s");
        assert_eq!(requests[0], granted);
        assert_eq!(requests[1], format!("{name}: unmap udp 7000: done"));
    }
}

#[netns_test]
fn tcp_and_hairpins() -> netns_test::Result<()> {
    let mapping = PortMapping::new().nat_pmp();
    let (net, lan) = lan::net(Nat::full_cone().port_mapping(mapping));
    let lab = net.build()?;
    let web = lab[lan.laptop].run(|| TcpListener::bind("0.0.0.0:80"))?;
    // Map TCP 80 to 8080 for 60 s.
    let request = [0, 2, 0, 0, 0, 80, 0x1f, 0x90, 0, 0, 0, 60];
    let answer = exchange(&lab, (&lan, lan.laptop), &request);
    assert_eq!((&answer[..4], &answer[8..]), (&[0, 130, 0, 0][..], &request[4..]));
    for host in [lan.peer, lan.phone] {
        let outside = lan.outside(&lab, 8080);
        let mut there = lab[host].run(|| TcpStream::connect_timeout(&outside, PATIENCE))?;
        let (here, from) = web.accept()?;
        assert_eq!(from.ip() == lan.outside(&lab, 0).ip(), host == lan.phone);
        there.write_all(b"x")?;
        assert_eq!(here.peek(&mut [0])?, 1);
    }
    Ok(())
}

/// Also on a NAT that maps by destination, and through a firewall.
#[netns_test]
fn leases_of_all_kinds_of_nat() {
    for mapping in [Mapping::EndpointIndependent, Mapping::AddressAndPortDependent] {
        let kind = Nat::symmetric().mapping(mapping).filtering(Filtering::AddressAndPortDependent);
        let (mut net, lan) = lan::net(kind.port_mapping(PortMapping::all()));
        net.firewall(lan.home, Firewall::home());
        let lab = net.build().unwrap();
        let server = udp(&lab, lan.laptop, "0.0.0.0:7000");
        lan.send(&lab, 8000, "before");
        By::Pcp.lease(&lab, (&lan, lan.laptop), (7000, 8000), 600).unwrap();
        lan.assert_arrives(&lab, 8000, &server, "leased");
        let peer = udp(&lab, lan.peer, "0.0.0.0:9");
        server.send_to(b"own", (lab[lan.peer].ipv4(), 9)).unwrap();
        assert_eq!(heard(&peer), ("own".to_owned(), lan.outside(&lab, 8000)));
    }
}

#[netns_test]
fn the_second_host_gets_another_port() {
    for by in By::BOTH {
        let (lab, lan) = lan::with(PortMapping::all());
        let ports = [lan.laptop, lan.phone].map(|host| {
            by.lease(&lab, (&lan, host), (7000, 8000), 600).unwrap().external_port().get()
        });
        assert_eq!(ports[0], 8000);
        assert_ne!(ports[1], 8000);
        for (host, port) in [(lan.laptop, ports[0]), (lan.phone, ports[1])] {
            let server = udp(&lab, host, "0.0.0.0:7000");
            lan.assert_arrives(&lab, port, &server, "for it");
        }
    }
}

/// A mapping that a packet has made keeps its port.
#[netns_test]
fn a_port_in_use_is_not_leased_to_another() {
    let (lab, lan) = lan::with(PortMapping::all());
    let laptop = udp(&lab, lan.laptop, "0.0.0.0:8000");
    let peer = udp(&lab, lan.peer, "0.0.0.0:9");
    laptop.send_to(b"out", (lab[lan.peer].ipv4(), 9)).unwrap();
    assert_eq!(heard(&peer).1, lan.outside(&lab, 8000));
    let lease = By::NatPmp.lease(&lab, (&lan, lan.phone), (8000, 8000), 60).unwrap();
    assert_ne!(lease.external_port().get(), 8000);
    let lease = By::NatPmp.lease(&lab, (&lan, lan.laptop), (8000, 8000), 60).unwrap();
    assert_eq!(lease.external_port().get(), 8000);
    peer.send_to(b"still", lan.outside(&lab, 8000)).unwrap();
    assert_eq!(heard(&laptop).0, "still");
    assert_eq!(lab[lan.home].nat().mappings().unwrap().len(), 2);
}

#[netns_test]
fn the_external_address() {
    let (lab, lan) = lan::with(PortMapping::all());
    let gateway = GatewayAddress::from(lan.gateway(&lab));
    let ask = || {
        let asked = natpmp::external_address(gateway, Some(patient()));
        IpAddr::from(lab[lan.laptop].block_on(asked).unwrap())
    };
    assert_eq!(ask(), lan.outside(&lab, 0).ip());
    lab[lan.home].interface(lan.wan).set_addr("203.0.113.9/24").unwrap();
    assert_eq!(ask(), "203.0.113.9".parse::<IpAddr>().unwrap());
}

#[netns_test]
fn each_protocol_alone() {
    let (lab, lan) = lan::with(PortMapping::new().nat_pmp());
    let failed = By::Pcp.lease(&lab, (&lan, lan.laptop), (7000, 8000), 60).unwrap_err();
    assert!(failed.to_string().contains("Unsupported version"), "{failed}");
    // A client of both falls back.
    let gateway = GatewayAddress::from(lan.gateway(&lab));
    let options = crab_nat::PortMappingOptions {
        external_port: None,
        lifetime_seconds: Some(60),
        timeout_config: Some(patient()),
    };
    let own = inside_of(&lab, lan.laptop);
    let port = 7000.try_into().unwrap();
    let udp = crab_nat::InternetProtocol::Udp;
    let asked = crab_nat::PortMapping::new(gateway, own, udp, port, options);
    let lease = lab[lan.laptop].block_on(asked).unwrap();
    assert!(matches!(lease.mapping_type(), crab_nat::PortMappingType::NatPmp));

    let (lab, lan) = lan::with(PortMapping::new().pcp());
    By::Pcp.lease(&lab, (&lan, lan.laptop), (7000, 8000), 60).unwrap();
    // RFC 6887, section 9: version 2, UNSUPP_VERSION.
    assert_eq!(exchange(&lab, (&lan, lan.laptop), &[0, 0])[..4], [2, 0x80, 0, 1]);
}

/// Builds a MAP request of RFC 6887, section 11.1, for UDP port 7000.
fn map_request(own: IpAddr, nonce: u8, wanted: u16, options: &[u8]) -> Vec<u8> {
    let IpAddr::V4(own) = own else { panic!("{own}") };
    let mut bytes = vec![2, 1, 0, 0, 0, 0, 0, 60];
    bytes.extend(own.to_ipv6_mapped().octets());
    bytes.extend([nonce; 12]);
    bytes.extend([17, 0, 0, 0, 0x1b, 0x58]);
    bytes.extend(wanted.to_be_bytes());
    bytes.extend([0; 10]);
    bytes.extend([0xff, 0xff, 0, 0, 0, 0]);
    bytes.extend(options);
    bytes
}

#[netns_test]
fn results_of_pcp() {
    let (lab, lan) = lan::with(PortMapping::all());
    let [laptop, phone] = [lan.laptop, lan.phone].map(|host| inside_of(&lab, host));
    let code = |host, bytes: &[u8]| exchange(&lab, (&lan, host), bytes)[3];
    assert_eq!(code(lan.laptop, &map_request(laptop, 1, 8000, &[])), 0);
    // Another nonce: NOT_AUTHORIZED.
    assert_eq!(code(lan.laptop, &map_request(laptop, 2, 8000, &[])), 2);
    // PREFER_FAILURE: CANNOT_PROVIDE_EXTERNAL.
    assert_eq!(code(lan.phone, &map_request(phone, 1, 8000, &[2, 0, 0, 0])), 11);
    assert_eq!(code(lan.phone, &map_request(phone, 1, 8001, &[2, 0, 0, 0])), 0);
    // The address of another host: ADDRESS_MISMATCH, also with THIRD_PARTY: UNSUPP_OPTION.
    assert_eq!(code(lan.phone, &map_request(laptop, 1, 8002, &[])), 12);
    // PEER: UNSUPP_OPCODE.
    let mut peer = map_request(laptop, 1, 8000, &[]);
    peer[1] = 2;
    assert_eq!(code(lan.laptop, &peer), 4);
    // ANNOUNCE.
    let mut announce = map_request(laptop, 1, 0, &[])[..24].to_vec();
    announce[1] = 0;
    assert_eq!(exchange(&lab, (&lan, lan.laptop), &announce)[..4], [2, 0x80, 0, 0]);
    let of = |one: &netns_test::lab::PortMappingRequest| one.protocol == PortMappingProtocol::Pcp;
    assert_eq!(lab[lan.home].nat().requests().unwrap().iter().filter(|one| of(one)).count(), 7);
}

/// A carrier's: a subscriber leases ports of its block.
#[netns_test]
fn ports_of_a_block() {
    let nat = Nat::carrier().port_mapping(PortMapping::new().pcp());
    let (net, lan) = lan::net(nat);
    let lab = net.build().unwrap();
    let text = lab.plan().to_string();
    assert!(text.contains("port mapping by PCP"), "{text}");
    let port = |host, wanted| {
        let lease = By::Pcp.lease(&lab, (&lan, host), (7000, wanted), 60).unwrap();
        lease.external_port().get()
    };
    // Blocks of 1024 ports, from 1024 on.
    assert_eq!(port(lan.laptop, 1500), 1500);
    let other = port(lan.phone, 1500);
    assert!((2048..3072).contains(&other), "{other}");
}

/// No socket answers outside.
#[netns_test]
fn no_host_outside_is_served() {
    let (lab, lan) = lan::with(PortMapping::all());
    let socket: UdpSocket = udp(&lab, lan.peer, "0.0.0.0:0");
    for port in [5351, 1900] {
        socket.send_to(&[0, 0], lan.outside(&lab, port)).unwrap();
    }
    let sockets = &lab.snapshot().unwrap()[lan.home].sockets.clone();
    let listening = sockets.iter().filter(|one| [5000, 5351, 1900].contains(&one.local.port()));
    assert_eq!(listening.count(), 3, "{sockets:?}");
    // The request of a host comes later, and is the first.
    By::Pcp.lease(&lab, (&lan, lan.laptop), (7000, 8000), 60).unwrap();
    assert_eq!(lan.requests(&lab).len(), 1);
}
