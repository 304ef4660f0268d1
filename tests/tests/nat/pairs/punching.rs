//! Hole punching between two homes by UDP and TCP, for each pair of kinds, against theory.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use netns_test::lab::{Filtering, Mapping, Nat, NodeId};
use netns_test::{Lab, Topology, netns_test};
use test_case::test_case;
use tokio::net::TcpSocket;

use super::theory::{Kind, can_punch};
use netns_test_tests::packets::{KINDS, LIMIT, Udp};

/// Pauses after rounds of packets. What has not come after all of them does not come.
const PAUSES: [u64; 8] = [5, 5, 10, 10, 20, 30, 40, 50];

/// Two hosts behind a router each, and a server.
struct Homes {
    lab: Lab,
    hosts: [NodeId; 2],
    server: NodeId,
}

/// Builds it. Both homes use one subnet, as homes do.
fn homes(kinds: [Kind; 2]) -> Homes {
    let mut net = Topology::new();
    let (internet, server) = (net.switch("internet"), net.host("server"));
    net.link(server, internet);
    let names = [("alice", "home-a"), ("bob", "home-b")];
    let hosts = names.map(|(host, home)| (net.host(host), net.router(home)));
    for ((host, home), kind) in hosts.into_iter().zip(kinds) {
        net.link(host, home);
        let wan = net.link(home, internet).id();
        if let Some((mapping, filtering)) = kind {
            net.nat(home, wan, Nat::new().mapping(mapping).filtering(filtering));
        }
    }
    let lab = net.build().unwrap_or_else(|error| panic!("{error}"));
    Homes { lab, hosts: hosts.map(|(host, _)| host), server }
}

/// Returns whether two sockets hear each other, each of which knows where the server sees the
/// other.
fn punch(homes: &Homes) -> bool {
    let server = Udp::open(&homes.lab[homes.server], 3478);
    let ends = homes.hosts.map(|host| Udp::open(&homes.lab[host], 5000));
    let seen = [0, 1].map(|at| ends[at].talks(&server));
    let mut peers = [vec![seen[1]], vec![seen[0]]];
    let mut has_heard = [false; 2];
    let mut pauses = PAUSES.into_iter().peekable();
    let end = Instant::now() + LIMIT;
    while let Some(&pause) = pauses.peek() {
        let start = Instant::now();
        for at in [0, 1] {
            peers[at].iter().for_each(|peer| {
                ends[at].send(*peer);
            });
        }
        // By the same ways, so they come after what was sent, if it comes.
        let markers = homes.hosts.map(|host| Udp::open(&homes.lab[host], 0));
        for marker in &markers {
            marker.talks(&server);
        }
        for at in [0, 1] {
            while let Some(from) = ends[at].hear(0, Duration::from_millis(pause)) {
                has_heard[at] |= from != server.at;
                if from != server.at && !peers[at].contains(&from) {
                    peers[at].push(from);
                }
            }
        }
        if has_heard == [true; 2] {
            return true;
        }
        if start.elapsed() < Duration::from_secs(5) {
            pauses.next();
        }
        assert!(Instant::now() < end, "the machine is too busy");
    }
    false
}

#[test_case(None)]
#[test_case(Some(0))]
#[test_case(Some(1))]
#[test_case(Some(2))]
#[test_case(Some(3))]
#[test_case(Some(4))]
#[test_case(Some(5))]
#[test_case(Some(6))]
#[netns_test]
fn holes_are_punched_where_theory_says_so(one: Option<usize>) {
    let all = || std::iter::once(None).chain((0..KINDS.len()).map(Some));
    for other in all().skip_while(|other| *other != one) {
        let kinds = [one, other].map(|kind| kind.map(|kind| KINDS[kind]));
        assert_eq!(punch(&homes(kinds)), can_punch(kinds), "{kinds:?}");
    }
}

/// Opens a TCP connection from a port of a host, as often as it takes.
async fn connect(port: u16, to: SocketAddr) -> std::io::Result<std::net::TcpStream> {
    let end = Instant::now() + LIMIT;
    loop {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.set_reuseport(true)?;
        socket.bind((std::net::Ipv4Addr::UNSPECIFIED, port).into())?;
        let connected = tokio::time::timeout(Duration::from_secs(5), socket.connect(to)).await;
        match connected {
            Ok(Ok(stream)) => return stream.into_std(),
            // The first packet came too early, and was refused.
            Ok(Err(_)) | Err(_) if Instant::now() < end => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Ok(Err(error)) => return Err(error),
            Err(late) => return Err(late.into()),
        }
    }
}

#[test_case(Filtering::EndpointIndependent)]
#[test_case(Filtering::AddressDependent)]
#[test_case(Filtering::AddressAndPortDependent)]
#[netns_test]
fn tcp_connections_open_simultaneously(filtering: Filtering) {
    let kind = Some((Mapping::EndpointIndependent, filtering));
    let homes = homes([kind, kind]);
    let server = &homes.lab[homes.server];
    let listener = server.run(|| std::net::TcpListener::bind("0.0.0.0:80")).unwrap();
    let to = SocketAddr::new(server.ipv4().into(), 80);
    // The connections to the server stay open, and with them the mappings.
    let with_server = homes.hosts.map(|host| {
        let own = homes.lab[host].block_on(connect(5000, to)).unwrap();
        (own, listener.accept().unwrap().1)
    });
    let seen = with_server.each_ref().map(|(_, seen)| *seen);
    thread::scope(|scope| {
        let open = |host: NodeId, to: SocketAddr| {
            let node = &homes.lab[host];
            scope.spawn(move || node.block_on(connect(5000, to)).unwrap())
        };
        let both = [open(homes.hosts[0], seen[1]), open(homes.hosts[1], seen[0])];
        let both = both.map(|thread| thread.join().unwrap());
        for (own, peer) in [(&both[0], seen[1]), (&both[1], seen[0])] {
            assert_eq!(own.peer_addr().unwrap(), peer);
        }
        transfer(&both);
    });
}

/// Sends both ways.
fn transfer([one, other]: &[std::net::TcpStream; 2]) {
    use std::io::{Read as _, Write as _};
    for (mut from, mut to) in [(one, other), (other, one)] {
        for stream in [from, to] {
            stream.set_nonblocking(false).unwrap();
            stream.set_read_timeout(Some(LIMIT)).unwrap();
        }
        from.write_all(b"through both").unwrap();
        let mut bytes = [0; 12];
        to.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"through both");
    }
}
