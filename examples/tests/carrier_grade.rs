//! Two homes behind the NAT of their carrier (RFC 6888): addresses are translated twice. Outside
//! both have one address, each with ports of its own. A port that a home router forwards is not
//! open outside, until the carrier forwards it, too.

use std::error::Error;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use netns_test::lab::{Nat, Transport};
use netns_test::{Topology, netns_test};

#[netns_test(timeout = "60s")]
fn homes_share_the_address_of_their_carrier() -> Result<(), Box<dyn Error>> {
    let mut net = Topology::new();
    let (carrier, lines, server) = (net.router("carrier"), net.switch("lines"), net.host("server"));
    let uplink = net.link(carrier, server).subnet("203.0.113.0/24").id();
    // Shared address space (RFC 6598).
    net.link(carrier, lines).subnet("100.64.0.0/24");
    let homes = ["red", "blue"].map(|name| {
        let (home, laptop) = (net.router(name), net.host(format!("laptop-{name}")));
        net.link(laptop, home).subnet("192.168.1.0/24");
        let wan = net.link(home, lines).id();
        net.nat(home, wan, Nat::home());
        (home, laptop, wan)
    });
    net.nat(carrier, uplink, Nat::new().port_preservation(false).ports_per_host(1000));
    let lab = net.build()?;
    let outside = lab[carrier].address_on(uplink);

    // The server answers with the address that it sees.
    let listener = lab[server].run(|| TcpListener::bind("0.0.0.0:80"))?;
    lab[server].spawn_thread(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let peer = stream.peer_addr().expect("it has a peer");
            write!(stream, "{peer}").expect("the client waits for it");
        }
    });
    let seen = homes.map(|(_, laptop, _)| {
        lab[laptop].run(|| -> Result<SocketAddr, Box<dyn Error + Send + Sync>> {
            let mut address = String::new();
            TcpStream::connect("server:80")?.read_to_string(&mut address)?;
            Ok(address.parse()?)
        })
    });
    let [red, blue] = seen.map(|address| address.expect("an address"));
    assert_eq!([red.ip(), blue.ip()], [outside; 2]);
    // Each home has a block of ports.
    println!("red {}, blue {}", red.port(), blue.port());
    assert_ne!((red.port() - 1024) / 1000, (blue.port() - 1024) / 1000);

    // The red home forwards a port.
    let (home, laptop, wan) = homes[0];
    let game = lab[laptop].run(|| TcpListener::bind("0.0.0.0:7777"))?;
    lab[home].forward_port(wan, Transport::Tcp, 7777, laptop, 7777)?;
    let join = |limit| {
        lab[server].run(|| TcpStream::connect_timeout(&SocketAddr::new(outside, 7777), limit))
    };
    assert!(join(Duration::from_millis(300)).is_err());
    lab[carrier].forward_port(uplink, Transport::Tcp, 7777, home, 7777)?;
    let player = join(Duration::from_secs(10))?;
    assert_eq!(game.accept()?.1, player.local_addr()?);
    Ok(())
}
