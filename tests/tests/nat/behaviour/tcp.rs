//! TCP over NATs: mappings, filters, forwarded ports, resets, time-outs.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use netns_test::lab::{Filtering, Mapping, Nat, Node, Transport};
use netns_test::{Topology, netns_test};
use test_case::test_case;
use tokio::net::TcpSocket;

use netns_test_tests::packets::{KINDS, LIMIT, World};

/// Returns a socket at a port that several sockets of the node use.
fn shared(port: u16) -> std::io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind((Ipv4Addr::UNSPECIFIED, port).into())?;
    Ok(socket)
}

/// Connects from a shared port.
pub(crate) fn connect(node: &Node, port: u16, to: SocketAddr) -> std::io::Result<TcpStream> {
    let connected = node.block_on(async {
        let connecting = shared(port)?.connect(to);
        tokio::time::timeout(LIMIT, connecting).await??.into_std()
    });
    connected.and_then(|stream| {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(LIMIT))?;
        Ok(stream)
    })
}

/// Listens on a port of a node. Returns the address, too.
fn listen(node: &Node, port: u16) -> (TcpListener, SocketAddr) {
    let listener = node.run(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))).unwrap();
    (listener, (node.ipv4(), port).into())
}

/// Sends some bytes and receives them at the other end.
fn transfer(mut from: &TcpStream, mut to: &TcpStream) {
    from.write_all(b"some bytes").unwrap();
    to.set_read_timeout(Some(LIMIT)).unwrap();
    let mut bytes = [0; 10];
    to.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"some bytes");
}

#[test_case(0)]
#[test_case(2)]
#[test_case(4)]
#[test_case(6)]
#[netns_test]
fn connections_from_one_port_have_mappings_of_the_kind(kind: usize) {
    let (mapping, filtering) = KINDS[kind];
    let world = World::new(Nat::new().mapping(mapping).filtering(filtering));
    let [a, b] = [world.a, world.b].map(|server| &world.lab[server]);
    let servers = [listen(a, 80), listen(a, 81), listen(b, 80)];
    let seen = |host| {
        let streams = servers.each_ref().map(|(listener, to)| {
            let own = connect(&world.lab[host], 5000, *to).unwrap();
            let (stream, seen) = listener.accept().unwrap();
            transfer(&own, &stream);
            transfer(&stream, &own);
            (own, stream, seen)
        });
        let seen = streams.each_ref().map(|(_, _, seen)| *seen);
        (streams, seen)
    };
    let (_open, of_alice) = seen(world.alice);
    let (_open, of_bob) = seen(world.bob);
    for [one, same_address, other_address] in [of_alice, of_bob] {
        assert_eq!(one.ip(), world.external());
        let equal = (one == same_address, one == other_address);
        let expected = match mapping {
            Mapping::EndpointIndependent => (true, true),
            Mapping::AddressDependent => (true, false),
            _ => (false, false),
        };
        assert_eq!(equal, expected, "{one} {same_address} {other_address}");
    }
    // A server never sees two hosts as one.
    for (one, other) in of_alice.iter().zip(of_bob) {
        assert_ne!(*one, other);
    }
}

/// Returns whether a connection from outside arrives at a port of alice that is connected to `a`.
fn connects_in(filtering: Filtering, from_other_address: bool) -> bool {
    let world = World::new(Nat::new().filtering(filtering));
    let (a, alice) = (&world.lab[world.a], &world.lab[world.alice]);
    let (listener, to) = listen(a, 80);
    let own = connect(alice, 5000, to).unwrap();
    let (with_a, external) = listener.accept().unwrap();
    let inside = alice.block_on(async { shared(5000)?.listen(8)?.into_std() }).unwrap();
    inside.set_nonblocking(true).unwrap();
    let from = if from_other_address { world.b } else { world.a };
    let connecting = world.lab[from]
        .spawn_thread(move || TcpStream::connect_timeout(&external, Duration::from_secs(3)));
    let mut has_come = false;
    while !connecting.is_finished() && !has_come {
        transfer(&with_a, &own);
        transfer(&own, &with_a);
        has_come = inside.accept().is_ok();
        std::thread::sleep(Duration::from_millis(5));
    }
    let connected = connecting.join().unwrap().is_ok();
    assert_eq!(has_come || inside.accept().is_ok(), connected);
    connected
}

#[netns_test]
fn connections_from_outside_are_filtered_as_datagrams_are() {
    let filterings = [
        (Filtering::EndpointIndependent, [true, true]),
        (Filtering::AddressDependent, [true, false]),
        (Filtering::AddressAndPortDependent, [false, false]),
    ];
    for (filtering, expected) in filterings {
        let found = [false, true].map(|is_other| connects_in(filtering, is_other));
        assert_eq!(found, expected, "{filtering:?}");
    }
}

#[netns_test]
fn a_forwarded_port_is_reached_from_both_sides() {
    let mut net = Topology::new();
    let [alice, server, outside] = ["alice", "server", "outside"].map(|name| net.host(name));
    let (home, lan) = (net.router("home"), net.switch("lan"));
    for node in [alice, server, home] {
        net.link(node, lan);
    }
    let wan = net.link(home, outside).id();
    net.nat(home, wan, Nat::home().hairpinning(true));
    net.forward_port(home, wan, Transport::Tcp, 8443, server, 443);
    let lab = net.build().unwrap();
    let (listener, _) = listen(&lab[server], 443);
    let external = SocketAddr::new(lab[home].address_on(wan), 8443);
    let own = connect(&lab[outside], 0, external).unwrap();
    let (stream, seen) = listener.accept().unwrap();
    assert_eq!(seen, own.local_addr().unwrap(), "the true source");
    transfer(&own, &stream);
    transfer(&stream, &own);
    let own = connect(&lab[alice], 0, external).unwrap();
    let (stream, seen) = listener.accept().unwrap();
    assert_eq!(seen.ip(), external.ip(), "hairpinned");
    transfer(&own, &stream);
    transfer(&stream, &own);
    // The other ports are not forwarded.
    let other = SocketAddr::new(external.ip(), 443);
    let refused = lab[outside].run(|| TcpStream::connect_timeout(&other, Duration::from_secs(1)));
    assert!(refused.is_err());
}

#[netns_test]
fn a_reset_from_the_server_passes() {
    let world = World::new(Nat::home());
    // Nothing listens there.
    let to = (world.lab[world.a].ipv4(), 80).into();
    let refused = connect(&world.lab[world.alice], 0, to).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
}
