//! Two laptops behind home routers talk to each other without a relay, by UDP hole punching (RFC
//! 5128). Both homes have the same subnet, as many do. With a symmetric NAT in front of one of
//! them, the laptops find that they need a relay.

use std::error::Error;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use netns_test::lab::Nat;
use netns_test::{Lab, NodeId, Topology, netns_test};

/// Time between two attempts of a laptop.
const PAUSE: Duration = Duration::from_millis(50);

/// Asks the rendezvous server for the address that it sees.
fn public_address(socket: &UdpSocket, server: SocketAddr) -> Result<SocketAddr, Box<dyn Error>> {
    let mut answer = [0; 64];
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    socket.send_to(b"who am I?", server)?;
    let length = socket.recv(&mut answer)?;
    Ok(std::str::from_utf8(&answer[..length])?.parse()?)
}

/// Sends to the other laptop until something of it arrives. Returns where it is; none if nothing
/// arrives.
fn punch(socket: &UdpSocket, other: SocketAddr) -> io::Result<Option<SocketAddr>> {
    socket.set_read_timeout(Some(PAUSE))?;
    for _attempt in 0..100 {
        socket.send_to(b"hello", other)?;
        if let Ok((5, from)) = socket.recv_from(&mut [0; 5]) {
            // The first one may have been dropped by the other router.
            socket.send_to(b"hello", from)?;
            return Ok(Some(from));
        }
    }
    Ok(None)
}

/// Lets both laptops punch holes at the same time. Returns whether each has heard the other.
fn meet(lab: &Lab, laptops: [NodeId; 2], server: NodeId) -> Result<[bool; 2], Box<dyn Error>> {
    let rendezvous = lab[server].reflector(3478)?;
    let to = SocketAddr::new(lab[server].ipv4().into(), rendezvous.port());
    let bind = |laptop: NodeId| lab[laptop].run(|| UdpSocket::bind("0.0.0.0:0"));
    let sockets = [bind(laptops[0])?, bind(laptops[1])?];
    let [one, two] = [public_address(&sockets[0], to)?, public_address(&sockets[1], to)?];
    println!("the server sees {one} and {two}");
    let [own, other] = sockets;
    let there = std::thread::spawn(move || punch(&other, one));
    let here = punch(&own, two)?;
    Ok([here.is_some(), there.join().expect("it does not panic")?.is_some()])
}

#[netns_test(timeout = "60s")]
fn laptops_in_two_homes_meet() -> Result<(), Box<dyn Error>> {
    let mut net = Topology::new();
    let (core, server) = (net.router("core"), net.host("server"));
    net.link(core, server);
    let homes = ["home-a", "home-b"].map(|name| {
        let (home, laptop) = (net.router(name), net.host(format!("laptop-{name}")));
        net.link(laptop, home).subnet("192.168.1.0/24");
        let wan = net.link(home, core).id();
        net.nat(home, wan, Nat::home());
        (home, laptop)
    });
    let laptops = homes.map(|(_, laptop)| laptop);
    let lab = net.build()?;
    assert_eq!(lab[laptops[0]].ipv4(), lab[laptops[1]].ipv4());
    assert_eq!(meet(&lab, laptops, server)?, [true, true]);

    // Another router, of another kind.
    lab[homes[0].0].set_nat(Nat::symmetric())?;
    assert_eq!(meet(&lab, laptops, server)?, [false, false]);
    Ok(())
}
