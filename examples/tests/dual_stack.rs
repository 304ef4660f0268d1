//! A server on both stacks, and clients that have one or both: which way a name leads, and what happens
//! where there is only one.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs as _};

use netns_test::{NodeId, Topology, netns_test};

#[netns_test]
fn each_client_takes_the_way_it_has() -> netns_test::Result<()> {
    let mut net = Topology::new();
    let (server, both) = (net.host("server"), net.host("both"));
    let (old, new) = (net.host("old"), net.host("new"));
    net.link(both, server);
    net.link(old, server).ipv4_only();
    net.link(new, server).ipv6_only();
    let lab = net.build()?;

    // One socket for both families: that of IPv6 takes IPv4 as ::ffff:a.b.c.d (RFC 4291, 2.5.5.2).
    let listener = lab[server].run(|| TcpListener::bind("[::]:80"))?;
    let from = |client: NodeId| -> io::Result<IpAddr> {
        let _stream = lab[client].run(connect)?;
        Ok(listener.accept()?.1.ip().to_canonical())
    };
    assert!(from(both)?.is_ipv6(), "RFC 6724 prefers it");
    assert!(from(old)?.is_ipv4());
    assert!(from(new)?.is_ipv6());

    // A server of one family is found by clients of that family only.
    drop(listener);
    let listener = lab[server].run(|| TcpListener::bind("0.0.0.0:80"))?;
    assert!(lab[both].run(connect)?.peer_addr()?.is_ipv4(), "the second address is tried, too");
    listener.accept()?;
    assert!(lab[old].run(connect).is_ok());
    assert!(lab[new].run(connect).is_err());
    Ok(())
}

/// To the first address of the server's name that answers.
fn connect() -> io::Result<TcpStream> {
    let addresses: Vec<SocketAddr> = "server:80".to_socket_addrs()?.collect();
    TcpStream::connect(&addresses[..])
}
