//! Translated prefixes of IPv6 (RFC 6296): hosts reach each other in both directions, and
//! the kernels at the ends find all checksums valid.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;

use netns_test::lab::{Firewall, LinkId, Nat, NodeId, Traffic, WAIT_LIMIT};
use netns_test::{Lab, Topology, netns_test};
use netns_test_tests::{LIMIT, eventually};
use test_case::test_case;

use crate::home::{PATIENCE, heard, udp};

/// A pc in a home behind a provider's router, and a server that has a link with a small MTU.
struct World {
    lab: Lab,
    pc: NodeId,
    home: NodeId,
    isp: NodeId,
    server: NodeId,
    wan: LinkId,
    /// Addresses of the pc, inside and outside, and that of the server.
    inside: IpAddr,
    outside: IpAddr,
    to: IpAddr,
}

fn world(inside: &str, outside: &str) -> World {
    let mut net = Topology::new();
    let (pc, home) = (net.host("pc"), net.router("home"));
    let (isp, server) = (net.router("isp"), net.host("server"));
    net.link(pc, home).addrs("fd01:203:405:1::1234/64", ());
    let wan = net.link(home, isp).id();
    net.link(isp, server).mtu(1300);
    net.nat(home, wan, Nat::home().nptv6(inside, outside));
    let lab = net.build().unwrap();
    let seen = |viewer, node| {
        let all = lab.plan().addresses_seen_from(viewer, node);
        all.into_iter().find(IpAddr::is_ipv6).unwrap()
    };
    let (inside, outside, to) = (seen(pc, pc), seen(server, pc), seen(pc, server));
    World { lab, pc, home, isp, server, wan, inside, outside, to }
}

const SHORT: [&str; 2] = ["fd01:203:405::/48", "2001:db8:1::/48"];
const LONG: [&str; 2] = ["fd01:203:405::/60", "2001:db8:1::/60"];

fn connected(lab: &Lab, node: NodeId, to: SocketAddr) -> UdpSocket {
    let socket = udp(lab, node, "[::]:0");
    socket.connect(to).unwrap();
    socket
}

#[test_case(SHORT, "2001:db8:1:d550::1234")]
#[test_case(LONG, "2001:db8:1:1:d54f::1234")]
#[netns_test]
fn datagrams_and_errors_pass_both_ways([inside, outside]: [&str; 2], expected: &str) {
    let World { lab, pc, server, inside, outside, to, .. } = world(inside, outside);
    assert_eq!(outside, expected.parse::<IpAddr>().unwrap());
    assert_ne!(inside, outside);
    let [near, far] = [udp(&lab, pc, "[::]:5000"), udp(&lab, server, "[::]:53")];
    near.send_to(b"out", (to, 53)).unwrap();
    assert_eq!(heard(&far), ("out".to_owned(), (outside, 5000).into()));
    far.send_to(b"back", (outside, 5000)).unwrap();
    assert_eq!(heard(&near), ("back".to_owned(), (to, 53).into()));
    // Nothing has been sent from this port: there is no state.
    let other = udp(&lab, pc, "[::]:6000");
    let asking = udp(&lab, server, "[::]:0");
    asking.send_to(b"in", (outside, 6000)).unwrap();
    assert_eq!(heard(&other).0, "in");
    // The headers in ICMPv6 errors are those that the receiver has sent.
    for socket in
        [connected(&lab, pc, (to, 9).into()), connected(&lab, server, (outside, 9).into())]
    {
        socket.send(b"to a closed port").unwrap();
        let error = socket.recv(&mut [0; 8]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    }
    lab[pc].wait(WAIT_LIMIT).reachable(to).unwrap();
    lab[server].wait(WAIT_LIMIT).reachable(outside).unwrap();
}

/// Sends so much that many packets are as large as the path allows, and the sender learns of that
/// by an ICMPv6 error.
fn transfer(lab: &Lab, from: NodeId, at: NodeId, address: IpAddr) -> IpAddr {
    const LENGTH: usize = 300_000;
    let listener = lab[at].run(|| TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0))).unwrap();
    let to = SocketAddr::new(address, listener.local_addr().unwrap().port());
    let mut sender = lab[from].run(|| TcpStream::connect_timeout(&to, PATIENCE)).unwrap();
    let (mut receiver, seen) = listener.accept().unwrap();
    for stream in [&sender, &receiver] {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
    }
    let reading = thread::spawn(move || {
        let mut received = vec![0; LENGTH];
        receiver.read_exact(&mut received).unwrap();
        receiver.write_all(&received).unwrap();
        received
    });
    let sent: Vec<u8> = (0..LENGTH).map(|at| (at % 251) as u8).collect();
    sender.write_all(&sent).unwrap();
    let mut echoed = vec![0; LENGTH];
    sender.read_exact(&mut echoed).unwrap();
    assert!(reading.join().unwrap() == sent && echoed == sent);
    seen.ip()
}

#[test_case(SHORT)]
#[test_case(LONG)]
#[netns_test]
fn connections_pass_both_ways_with_a_small_mtu([inside, outside]: [&str; 2]) {
    let World { lab, pc, server, outside, to, .. } = world(inside, outside);
    assert_eq!(transfer(&lab, pc, server, to), outside);
    assert_eq!(transfer(&lab, server, pc, outside), to);
}

#[netns_test]
fn inside_addresses_stay_inside() -> netns_test::Result<()> {
    let [inside, outside] = SHORT;
    let World { lab, pc, home, isp, server, wan, inside, .. } = world(inside, outside);
    let near = udp(&lab, pc, "[::]:5000");
    let asking = udp(&lab, server, "[::]:0");
    // It sees the address after its translation.
    let only = Firewall::new().allow_in(Traffic::udp(5000).to(pc)).deny_in();
    lab[home].set_firewall(only)?;
    let counted = |text: &str| {
        let rules = lab[home].nat().drops().unwrap();
        rules.iter().find(|rule| rule.text.contains(text)).unwrap().packets
    };
    // No host has this address of the prefix.
    asking.send_to(b"to no host", ("2001:db8:1:1::1", 5000)).unwrap();
    eventually(LIMIT, "it is dropped", || counted("to no inside address") == 1);
    // Nor is an inside address reached, even where there is a route to it.
    lab[isp].add_route("fd01:203:405:1::/64", home)?;
    asking.send_to(b"to an inside address", (inside, 5000))?;
    eventually(LIMIT, "it is dropped", || counted("to an inside address") == 1);
    // With another prefix the address is another one.
    lab[home].set_nat_on(wan, Nat::home().nptv6("fd01:203:405::/48", "2001:db8:2::/48"))?;
    let anew = lab[server].run(|| std::fs::read_to_string("/etc/hosts"))?;
    let line = anew.lines().find(|line| line.ends_with("\tpc")).unwrap();
    let address: IpAddr = line.split_once('\t').unwrap().0.parse().unwrap();
    assert!(address.to_string().starts_with("2001:db8:2:"), "{anew}");
    asking.send_to(b"in", (address, 5000))?;
    assert_eq!(heard(&near).0, "in");
    // The router comes back with it.
    lab.power_off(home)?;
    lab.power_on(home)?;
    asking.send_to(b"again", (address, 5000))?;
    assert_eq!(heard(&near).0, "again");
    Ok(())
}
