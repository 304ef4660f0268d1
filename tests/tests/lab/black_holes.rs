//! Destinations to which packets vanish.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use netns_test::lab::PathOutcome;
use netns_test::{Lab, NodeId, Topology, netns_test};

use crate::net::{Mesh, star, topology};
use crate::oracle;

/// Asserts that a text has all of these parts.
fn contains(text: &str, parts: &[&str]) {
    parts.iter().for_each(|part| assert!(text.contains(part), "{part}: {text}"));
}

const HOLES: [&str; 2] = ["192.0.2.1/32", "2001:db8::/64"];
const IN_HOLES: [&str; 2] = ["[2001:db8::9]:80", "192.0.2.1:80"];
const BESIDE: [&str; 2] = ["[2001:db8:0:1::9]:80", "192.0.2.2:80"];

/// How long an ICMP error may take, which must not come.
const MOMENT: Duration = Duration::from_millis(300);

fn connect(lab: &Lab, node: NodeId, to: &str) -> ErrorKind {
    let to: SocketAddr = to.parse().unwrap();
    lab[node].run(move || TcpStream::connect_timeout(&to, MOMENT)).unwrap_err().kind()
}

/// Sends a datagram; returns what the socket then says.
fn send(lab: &Lab, node: NodeId, to: &str) -> ErrorKind {
    let to: SocketAddr = to.parse().unwrap();
    let outcome = lab[node].run(move || {
        let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any)?;
        socket.connect(to)?;
        socket.set_read_timeout(Some(MOMENT))?;
        socket.send(b"datagram")?;
        socket.recv(&mut [0; 8])
    });
    outcome.unwrap_err().kind()
}

/// Returns how many ICMP and ICMPv6 errors "destination unreachable" a node has received.
fn unreachable(lab: &Lab, node: NodeId) -> [u64; 2] {
    let read = |file| lab[node].run(move || std::fs::read_to_string(file)).unwrap();
    let (ipv4, ipv6) = (read("/proc/thread-self/net/snmp"), read("/proc/thread-self/net/snmp6"));
    let mut rows = ipv4.lines().filter(|line| line.starts_with("Icmp:"));
    let (names, values) = (rows.next().unwrap(), rows.next().unwrap());
    let mut pairs = names.split(' ').zip(values.split(' '));
    let (_, ipv4) = pairs.find(|(name, _)| *name == "InDestUnreachs").unwrap();
    let row = ipv6.lines().find(|line| line.starts_with("Icmp6InDestUnreachs")).unwrap();
    [ipv4, row.split_whitespace().last().unwrap()].map(|number| number.parse().unwrap())
}

/// Attempts from a node to the black holes get no answer, and others one by ICMP.
fn check(lab: &Lab, node: NodeId) {
    let before = unreachable(lab, node);
    for to in IN_HOLES {
        assert_eq!(connect(lab, node, to), ErrorKind::TimedOut, "{to}");
        assert_eq!(send(lab, node, to), ErrorKind::WouldBlock, "{to}");
        let to: SocketAddr = to.parse().unwrap();
        assert_eq!(lab.plan().path_to(node, to.ip()).end, PathOutcome::BlackHole);
    }
    assert_eq!(unreachable(lab, node), before);
    beside_is_unreachable(lab, node, BESIDE);
}

/// Attempts from a node to these addresses are answered by ICMP.
fn beside_is_unreachable(lab: &Lab, node: NodeId, all: [&str; 2]) {
    let before = unreachable(lab, node);
    // Whether the kernel ends an attempt at once depends on its version.
    for to in all {
        connect(lab, node, to);
    }
    assert_eq!(unreachable(lab, node), before.map(|count| count + 1));
}

/// Removes the limit of ICMP errors.
fn unlimited(net: &mut Topology, router: NodeId) {
    net.node(router).sysctl("net.ipv4.icmp_ratelimit", 0).sysctl("net.ipv6.icmp.ratelimit", 0);
}

#[netns_test]
fn packets_to_a_black_hole_vanish() -> netns_test::Result<()> {
    let (mut net, nodes) = star(2);
    unlimited(&mut net, nodes[2]);
    HOLES.iter().for_each(|hole| net.black_hole(*hole));
    let lab = net.build()?;
    oracle::check(&lab);
    check(&lab, nodes[0]);
    // A program on the router itself gets an error of the kernel.
    for to in IN_HOLES {
        assert_eq!(connect(&lab, nodes[2], to), ErrorKind::InvalidInput);
    }
    Mesh::new(&lab, &nodes).all_pairs_talk();
    let shown = lab.snapshot()?.to_string();
    contains(&shown, &["blackhole 192.0.2.1", "blackhole 2001:db8::/64"]);
    lab.power_off(nodes[2])?;
    lab.power_on(nodes[2])?;
    check(&lab, nodes[1]);
    Ok(())
}

#[netns_test]
fn a_client_falls_back_from_a_black_hole_to_the_other_family() -> netns_test::Result<()> {
    let mut net = topology();
    let (client, router, server) = (net.host("client"), net.router("router"), net.host("server"));
    net.link(client, router);
    net.link(router, server);
    net.black_hole("2001:db8::80/128");
    let lab = net.build()?;
    let listener = lab[server].run(|| std::net::TcpListener::bind("0.0.0.0:80"))?;
    let address = SocketAddr::new(lab.plan().address_of(server).unwrap(), 80);
    let all = ["[2001:db8::80]:80".parse().unwrap(), address];
    let connected = lab[client].run(move || {
        all.iter().find_map(|to| TcpStream::connect_timeout(to, MOMENT).ok()).unwrap().peer_addr()
    })?;
    assert_eq!(connected, address);
    drop(listener);
    Ok(())
}

#[netns_test]
fn extend_adds_black_holes_also_to_new_routers() -> netns_test::Result<()> {
    let (mut net, nodes) = star(1);
    unlimited(&mut net, nodes[1]);
    let mut lab = net.build()?;
    beside_is_unreachable(&lab, nodes[0], IN_HOLES);
    HOLES.iter().for_each(|hole| net.black_hole(*hole));
    let (router, host) = (net.router("other"), net.host("other-host"));
    unlimited(&mut net, router);
    net.link(router, host);
    lab.extend(&net)?;
    check(&lab, nodes[0]);
    check(&lab, host);
    // Only additions.
    let (mut less, _) = star(1);
    less.black_hole(HOLES[0]);
    let mut net = less.clone();
    net.black_hole(HOLES[1]);
    let mut lab = net.build()?;
    let error = lab.extend(&less).unwrap_err().to_string();
    contains(&error, &["black hole 2001:db8::/64", "extend() only adds"]);
    Ok(())
}

#[test]
fn drawings_show_black_holes() -> Result<(), netns_test::lab::TopologyErrors> {
    let (mut net, nodes) = star(1);
    let without = net.clone();
    net.black_hole(HOLES[0]);
    assert_ne!(net, without);
    contains(&net.to_string(), &["black hole", HOLES[0]]);
    let plan = net.plan()?;
    contains(&plan.to_string(), &["router", HOLES[0], "black hole"]);
    contains(&plan.to_mermaid(), &["black hole 192.0.2.1/32"]);
    let path = plan.path_to(nodes[0], "192.0.2.1".parse().unwrap());
    assert_eq!(path.to_string(), "h0 (eth0) -> router: router discards packets to 192.0.2.1");
    // A route to the same destination is used in its place.
    net.node(nodes[1]).route(HOLES[0], nodes[0]);
    let path = net.plan()?.path_to(nodes[0], "192.0.2.1".parse().unwrap());
    assert_ne!(path.end, PathOutcome::BlackHole);
    Ok(())
}

#[test]
fn unusable_black_holes_are_errors() {
    let error = |hole: &str| {
        let (mut net, _) = star(1);
        net.black_hole(hole);
        net.plan().unwrap_err().to_string()
    };
    contains(&error("nowhere"), &["black_hole()", "nowhere"]);
    contains(&error("10.0.0.77/32"), &["black_hole()", "10.0.0.0/24", "10.0.0.77/32"]);
    contains(&error("0.0.0.0/0"), &["black_hole()", "10.0.0.0/24"]);
    contains(&error("224.0.0.0/8"), &["black_hole()", "multicast"]);
    let mut net = topology();
    let (a, b) = (net.host("a"), net.host("b"));
    net.link(a, b);
    net.black_hole(HOLES[0]);
    contains(&net.plan().unwrap_err().to_string(), &[HOLES[0], "add a router"]);
}
