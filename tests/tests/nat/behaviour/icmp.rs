//! ICMP over NATs: echo, and errors about packets that were translated.

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::time::Duration;

use netns_test::lab::{Nat, WAIT_LIMIT};
use netns_test::{Topology, netns_test};
use test_case::test_case;

use netns_test_tests::packets::{KINDS, LIMIT, World};

#[test_case(0)]
#[test_case(1)]
#[test_case(2)]
#[test_case(3)]
#[test_case(4)]
#[test_case(5)]
#[test_case(6)]
#[netns_test]
fn several_hosts_get_their_own_echoes(kind: usize) {
    let (mapping, filtering) = KINDS[kind];
    let world = World::new(Nat::new().mapping(mapping).filtering(filtering));
    for _ in 0..2 {
        for host in [world.alice, world.bob] {
            for server in [world.a, world.b] {
                world.lab[host].wait(WAIT_LIMIT).reachable(server).unwrap();
            }
        }
    }
    // The router answers inside and outside; hosts inside are not reached.
    world.lab[world.alice].wait(WAIT_LIMIT).reachable(world.external()).unwrap();
    world.lab[world.a].wait(WAIT_LIMIT).reachable(world.external()).unwrap();
    let alice = world.lab[world.alice].ipv4();
    let short = world.lab[world.a].wait(Duration::from_millis(50));
    assert!(short.reachable(std::net::IpAddr::from(alice)).is_err());
}

#[netns_test]
fn a_port_unreachable_of_the_server_is_translated_back() {
    let world = World::new(Nat::home());
    let to = (world.lab[world.a].ipv4(), 9);
    let socket = world.lab[world.alice].run(|| UdpSocket::bind("0.0.0.0:0")).unwrap();
    socket.connect(to).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    socket.send(b"to a closed port").unwrap();
    let refused = socket.recv(&mut [0; 8]).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

#[netns_test]
fn path_mtu_discovery_works_through_a_nat() {
    let mut net = Topology::new();
    let (alice, home) = (net.host("alice"), net.router("home"));
    let (isp, server) = (net.router("isp"), net.host("server"));
    net.link(alice, home);
    let wan = net.link(home, isp).id();
    net.link(isp, server).mtu(1300);
    net.nat(home, wan, Nat::home());
    let lab = net.build().unwrap();
    let to = (lab[server].ipv4(), 9000);
    let listener = lab[server].run(|| std::net::TcpListener::bind(("0.0.0.0", 9000))).unwrap();
    let reading = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        std::io::copy(&mut stream, &mut std::io::sink()).unwrap()
    });
    let mut stream = lab[alice].run(|| std::net::TcpStream::connect(to)).unwrap();
    std::io::Write::write_all(&mut stream, &[7; 200_000]).unwrap();
    drop(stream);
    assert_eq!(reading.join().unwrap(), 200_000);
}
