//! Rules that name a node whose link is moved: they are for the node, not for the address that it
//! had.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use netns_test::lab::{Firewall, Nat, Traffic, Transport};
use netns_test::{Lab, LinkId, NodeId, Topology, netns_test};

use crate::home::{seen_from, udp};

/// A router with two networks inside, a host that goes from one to the other, and the internet.
struct Net {
    home: NodeId,
    nas: NodeId,
    desk: NodeId,
    server: NodeId,
    /// Networks inside, and that of the server.
    lans: [NodeId; 3],
    cable: LinkId,
    wan: LinkId,
}

const EXTERNAL: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
const OWN: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
const LIMIT: Duration = Duration::from_secs(10);

fn net(nat: impl FnOnce(NodeId) -> Nat) -> (Topology, Net) {
    let mut net = Topology::new();
    let [nas, desk, server] = ["nas", "desk", "server"].map(|name| net.host(name));
    let home = net.router("home");
    let lans = ["lan", "guests", "internet"].map(|name| net.switch(name));
    net.link(home, lans[0]);
    net.link(home, lans[1]);
    net.link(desk, lans[0]);
    let cable = net.link(nas, lans[0]).id();
    let wan = net.link(home, lans[2]).subnet("203.0.113.0/24").id();
    net.link(server, lans[2]);
    net.nat(home, wan, nat(nas));
    (net, Net { home, nas, desk, server, lans, cable, wan })
}

/// Connects from a node, and returns what the listener of the other says.
fn connect(lab: &Lab, from: NodeId, to: (Ipv4Addr, u16)) -> std::io::Result<String> {
    let limit = Duration::from_millis(500);
    let mut stream = lab[from].run(|| TcpStream::connect_timeout(&SocketAddr::from(to), limit))?;
    stream.set_read_timeout(Some(LIMIT))?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

/// Serves the node's name on a port, until the lab ends.
fn serve(lab: &Lab, node: NodeId, port: u16) {
    let listener = lab[node].run(|| TcpListener::bind(("0.0.0.0", port))).unwrap();
    let name = lab[node].name().to_owned();
    lab[node].spawn_thread(move || {
        for stream in listener.incoming() {
            let _ = stream.and_then(|mut stream| stream.write_all(name.as_bytes()));
        }
    });
}

#[netns_test]
fn a_forwarded_port_follows_its_node() {
    let (mut net, at) = net(|_| Nat::home());
    net.forward_port(at.home, at.wan, Transport::Tcp, 8443, at.nas, 443);
    let mut lab = net.build().unwrap();
    serve(&lab, at.nas, 443);
    let outside = |lab: &Lab| connect(lab, at.server, (EXTERNAL, 8443));
    assert_eq!(outside(&lab).unwrap(), "nas");
    lab.move_link(at.cable, at.lans[0], at.lans[1]).unwrap();
    assert_eq!(outside(&lab).unwrap(), "nas");
    // A change of the NAT, a restart of the router and an extension keep it.
    lab[at.home].set_nat(Nat::full_cone()).unwrap();
    assert_eq!(outside(&lab).unwrap(), "nas");
    lab.power_off(at.home).unwrap();
    lab.power_on(at.home).unwrap();
    assert_eq!(outside(&lab).unwrap(), "nas");
    let late = net.host("late");
    net.link(late, at.lans[2]);
    lab.extend(&net).unwrap();
    assert_eq!(outside(&lab).unwrap(), "nas");
    assert_eq!(connect(&lab, late, (EXTERNAL, 8443)).unwrap(), "nas");
    lab.move_link(at.cable, at.lans[1], at.lans[0]).unwrap();
    assert_eq!(outside(&lab).unwrap(), "nas");
}

#[netns_test]
fn a_forwarded_port_waits_for_a_node_that_has_left() {
    let (mut net, at) = net(|_| Nat::home());
    net.forward_port(at.home, at.wan, Transport::Tcp, 8443, at.nas, 443);
    let lab = net.build().unwrap();
    serve(&lab, at.nas, 443);
    lab.move_link(at.cable, at.lans[0], at.lans[2]).unwrap();
    let refused = connect(&lab, at.server, (EXTERNAL, 8443)).unwrap_err();
    assert!([ErrorKind::TimedOut, ErrorKind::HostUnreachable].contains(&refused.kind()));
    lab.move_link(at.cable, at.lans[2], at.lans[1]).unwrap();
    assert_eq!(connect(&lab, at.server, (EXTERNAL, 8443)).unwrap(), "nas");
}

#[netns_test]
fn an_external_address_follows_its_node() {
    let (net, at) = net(|nas| Nat::home().one_to_one(OWN, nas));
    let lab = net.build().unwrap();
    serve(&lab, at.nas, 443);
    let server = udp(&lab, at.server, "0.0.0.0:53");
    let to: IpAddr = lab[at.server].ipv4().into();
    for (from, to_lan) in [(0, 1), (1, 0)] {
        lab.move_link(at.cable, at.lans[from], at.lans[to_lan]).unwrap();
        assert_eq!(connect(&lab, at.server, (OWN, 443)).unwrap(), "nas");
        let seen = seen_from(&udp(&lab, at.nas, "0.0.0.0:5000"), &server, to);
        assert_eq!(seen, (OWN, 5000).into());
        let seen = seen_from(&udp(&lab, at.desk, "0.0.0.0:5000"), &server, to);
        assert_eq!(seen, (EXTERNAL, 5000).into());
    }
}

#[netns_test]
fn a_host_keeps_its_block_of_ports() {
    let (net, at) = net(|_| Nat::home().ports_per_host(100));
    let lab = net.build().unwrap();
    let server = udp(&lab, at.server, "0.0.0.0:53");
    let to: IpAddr = lab[at.server].ipv4().into();
    let ports = || {
        [at.nas, at.desk].map(|node| {
            let seen = seen_from(&udp(&lab, node, "0.0.0.0:0"), &server, to);
            assert_eq!(seen.ip(), IpAddr::from(EXTERNAL));
            (seen.port() - 1024) / 100
        })
    };
    let before = ports();
    assert_ne!(before[0], before[1]);
    lab.move_link(at.cable, at.lans[0], at.lans[1]).unwrap();
    assert_eq!(ports(), before);
    lab.move_link(at.cable, at.lans[1], at.lans[0]).unwrap();
    assert_eq!(ports(), before);
}

#[netns_test]
fn a_rule_of_a_firewall_follows_the_node_that_it_names() {
    let (mut net, at) = net(|_| Nat::home());
    let rules = Firewall::new().allow_in(Traffic::tcp(80).from(at.nas)).deny_in();
    net.firewall(at.desk, rules);
    let printer = net.host("printer");
    let plug = net.link(printer, at.lans[0]).id();
    let lab = net.build().unwrap();
    serve(&lab, at.desk, 80);
    let to = (lab[at.desk].ipv4(), 80);
    assert_eq!(connect(&lab, at.nas, to).unwrap(), "desk");
    let before = lab[at.nas].ipv4();
    lab.move_link(at.cable, at.lans[0], at.lans[1]).unwrap();
    assert_eq!(connect(&lab, at.nas, to).unwrap(), "desk");
    // The rule is not for who has the address now.
    let (own, interface) = (lab[printer].ipv4(), lab[printer].interface(plug));
    interface.add_addr(format!("{before}/24").as_str()).unwrap();
    interface.remove_addr(format!("{own}/24").as_str()).unwrap();
    let refused = connect(&lab, printer, to).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::TimedOut);
    lab[at.desk].remove_firewall().unwrap();
    assert_eq!(connect(&lab, printer, to).unwrap(), "desk");
}
