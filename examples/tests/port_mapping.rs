//! A client that asks its home router for an external port by NAT-PMP (RFC 6886), so that peers
//! reach it. It meets a router that refuses, and one that restarts.

use std::error::Error;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use netns_test::lab::{Nat, PortMapping, PortMappingFault};
use netns_test::{Topology, netns_test};

/// An external port, and the epoch of the router that has given it.
#[derive(Debug)]
struct Lease {
    port: u16,
    epoch: u32,
}

/// Asks the router to map a UDP port for ten minutes.
fn lease(router: SocketAddr, port: u16) -> Result<Lease, Box<dyn Error>> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut request = vec![0, 1, 0, 0];
    request.extend([port.to_be_bytes(), port.to_be_bytes()].concat());
    request.extend(600_u32.to_be_bytes());
    socket.send_to(&request, router)?;
    let mut answer = [0; 16];
    socket.recv(&mut answer)?;
    match answer[3] {
        0 => Ok(Lease {
            port: u16::from_be_bytes([answer[10], answer[11]]),
            epoch: u32::from_be_bytes([answer[4], answer[5], answer[6], answer[7]]),
        }),
        code => Err(format!("the router refuses: {code}").into()),
    }
}

#[netns_test(timeout = "60s")]
fn a_peer_reaches_a_client_behind_a_router() -> Result<(), Box<dyn Error>> {
    let mut net = Topology::new();
    let (laptop, home, peer) = (net.host("laptop"), net.router("home"), net.host("peer"));
    let lan = net.link(laptop, home).subnet("192.168.1.0/24").id();
    let wan = net.link(home, peer).subnet("203.0.113.0/24").id();
    let refusing = PortMapping::new().nat_pmp().fault(PortMappingFault::Refuse);
    net.nat(home, wan, Nat::home().port_mapping(refusing));
    let lab = net.build()?;
    let router = SocketAddr::new(lab[home].address_on(lan), 5351);
    let ask = || lab[laptop].run(|| lease(router, 7000).map_err(|error| error.to_string()));

    println!("{}", ask().unwrap_err());
    lab[home].nat().set_port_mapping(PortMapping::all())?;
    let first = ask()?;
    let server = lab[laptop].run(|| UdpSocket::bind("0.0.0.0:7000"))?;
    let knock = |port| {
        let to = (lab[home].address_on(wan), port);
        lab[peer].run(|| UdpSocket::bind("0.0.0.0:0")?.send_to(b"knock", to))
    };
    knock(first.port)?;
    server.recv(&mut [0; 5])?;

    // By the epoch the client knows that its lease is gone.
    lab[home].nat().reboot()?;
    let second = ask()?;
    assert!(second.epoch < first.epoch, "{second:?} after {first:?}");
    knock(second.port)?;
    server.recv(&mut [0; 5])?;
    for request in lab[home].nat().requests()? {
        println!("{request}");
    }
    Ok(())
}
