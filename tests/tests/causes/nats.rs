//! Failures behind NATs and firewalls: what is there, and what only looks like a cause.

use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use netns_test::lab::{
    Firewall, FirewallAction, FirewallDirection, LinkId, Nat, Traffic, Transport,
};
use netns_test::{Lab, NodeId, Topology};

use super::servers::end;

cases! {
    (
        "forwarded_to_loopback",
        forwarded_to_loopback,
        &["likely: nothing on laptop listens on 192.168.1.1:80: the test listens on 127.0.0.1:80 only"],
    ),
    (
        "forwarded_to_nothing",
        forwarded_to_nothing,
        &["likely: nothing on laptop listens on 192.168.1.1:80", "not: on home"],
    ),
    (
        "not_forwarded",
        not_forwarded,
        &["certain: home forwards no TCP port 8080", "not: NAT of home", "not: route"],
    ),
    (
        "inside_address",
        inside_address,
        &["likely: laptop (192.168.1.1) is behind the NAT of home", "not: has no route"],
    ),
    (
        "not_punched",
        not_punched,
        &["likely: the NAT of one drops UDP packets", "not: route", "not: both have"],
    ),
    ("two_homes_cut", two_homes_cut, &["first: link core is down", "not: both have", "not: route"]),
    (
        "two_homes_wrong_port",
        two_homes_wrong_port,
        &["proven: nothing on server listens on 192.0.2.2:80", "not: both have"],
    ),
    (
        "two_homes_wait",
        two_homes_wait,
        &["likely: nothing was sent on the connection", "not: both have", "not: route"],
    ),
    (
        "firewall_drops",
        firewall_drops,
        &["certain: the firewall of home drops TCP packets", "not: route"],
    ),
    (
        "firewall_rejects",
        firewall_rejects,
        &["proven: the firewall of home rejects TCP packets", "not: nothing on server"],
    ),
    (
        "firewall_drops_datagrams",
        firewall_drops_datagrams,
        &["likely: the firewall of server drops UDP packets"],
    ),
    ("firewall_denies", firewall_denies, &["likely: the firewall of laptop drops UDP packets"]),
    (
        "near_forwarded",
        near_forwarded,
        &["first: link wan is down", "not: forward", "not: behind"],
    ),
    ("near_punched", near_punched, &["not: NAT", "not: firewall", "not: both have"]),
    (
        "near_other_dropped",
        near_other_dropped,
        &["first: link wan is down", "not: firewall", "not: NAT"],
    ),
    ("prefix_cut", prefix_cut, &["first: link lan is down", "not: behind", "not: route"]),
    (
        "prefix_inside_address",
        prefix_inside_address,
        &["likely: laptop (fd01:203:405:1::1) is behind the NAT of home", "not: route"],
    ),
    ("near_not_forwarded", near_not_forwarded, &["not: forwards no", "not: NAT"]),
}

const SHORT: Duration = Duration::from_millis(300);

/// A lab of laptop (192.168.1.1), home with a NAT (203.0.113.1 outside) and server (203.0.113.2).
struct Home {
    lab: Lab,
    laptop: NodeId,
    server: NodeId,
    wan: LinkId,
}

fn home(more: impl FnOnce(&mut Topology, [NodeId; 3], LinkId)) -> Home {
    let mut net = Topology::new();
    let (laptop, home, server) = (net.host("laptop"), net.router("home"), net.host("server"));
    net.link(laptop, home).subnet("192.168.1.0/24").name("lan");
    let wan = net.link(home, server).subnet("203.0.113.0/24").name("wan").id();
    net.nat(home, wan, Nat::home());
    more(&mut net, [laptop, home, server], wan);
    Home { lab: net.build().unwrap(), laptop, server, wan }
}

/// A lab with port 8080 of home forwarded to port 80 of laptop.
fn forwarding() -> Home {
    home(|net, [laptop, home, _], wan| {
        net.forward_port(home, wan, Transport::Tcp, 8080, laptop, 80);
    })
}

/// A lab of two homes of the same subnet, `one` with laptop and `other` with phone, and a server
/// (192.0.2.2) behind the router isp.
struct Homes {
    lab: Lab,
    laptop: NodeId,
    phone: NodeId,
    server: NodeId,
    core: LinkId,
}

fn homes(of_one: Nat) -> Homes {
    let mut net = Topology::new();
    let [laptop, phone, server] = ["laptop", "phone", "server"].map(|name| net.host(name));
    let [one, other, isp] = ["one", "other", "isp"].map(|name| net.router(name));
    net.link(laptop, one).subnet("192.168.1.0/24").name("lan-one");
    net.link(phone, other).subnet("192.168.1.0/24").name("lan-other");
    let wan = net.link(one, isp).subnet("203.0.113.0/24").name("wan-one").id();
    net.nat(one, wan, of_one);
    let wan = net.link(other, isp).subnet("198.51.100.0/24").name("wan-other").id();
    net.nat(other, wan, Nat::home());
    let core = net.link(isp, server).subnet("192.0.2.0/24").name("core").id();
    Homes { lab: net.build().unwrap(), laptop, phone, server, core }
}

/// Connects from a node, and unwraps the failure on the test's thread.
fn connect(lab: &Lab, from: NodeId, to: &str) {
    let to = end(to);
    lab[from].run(|| TcpStream::connect_timeout(&to, SHORT)).unwrap();
}

fn listen(lab: &Lab, on: NodeId, at: &str) -> TcpListener {
    let at = end(at);
    lab[on].run(|| TcpListener::bind(at)).unwrap()
}

fn bind(lab: &Lab, on: NodeId, at: &str) -> UdpSocket {
    let at = end(at);
    let socket = lab[on].run(|| UdpSocket::bind(at)).unwrap();
    socket.set_read_timeout(Some(SHORT)).unwrap();
    socket
}

fn forwarded_to_loopback() {
    let Home { lab, laptop, server, .. } = forwarding();
    let _listener = listen(&lab, laptop, "127.0.0.1:80");
    connect(&lab, server, "203.0.113.1:8080");
}

fn forwarded_to_nothing() {
    let Home { lab, server, .. } = forwarding();
    connect(&lab, server, "203.0.113.1:8080");
}

fn not_forwarded() {
    let Home { lab, laptop, server, .. } = home(|_, _, _| {});
    let _listener = listen(&lab, laptop, "0.0.0.0:8080");
    connect(&lab, server, "203.0.113.1:8080");
}

fn inside_address() {
    let Home { lab, laptop, server, .. } = home(|_, _, _| {});
    let _listener = listen(&lab, laptop, "0.0.0.0:80");
    connect(&lab, server, "192.168.1.1:80");
}

/// Learns the external endpoints of laptop and phone, lets both send to that of the other, and
/// returns the socket of laptop.
fn punch(homes: &Homes) -> UdpSocket {
    let Homes { lab, laptop, phone, server, .. } = homes;
    let rendezvous = bind(lab, *server, "0.0.0.0:3478");
    rendezvous.set_read_timeout(Some(super::servers::LONG)).unwrap();
    let sockets = [laptop, phone].map(|node| bind(lab, *node, "0.0.0.0:5000"));
    let seen = sockets.each_ref().map(|socket| {
        socket.send_to(b"?", "192.0.2.2:3478").unwrap();
        rendezvous.recv_from(&mut [0; 16]).unwrap().1
    });
    for _ in 0..3 {
        for (socket, to) in sockets.iter().zip(seen.iter().rev()) {
            socket.send_to(b"!", to).unwrap();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let [own, _] = sockets;
    own
}

fn not_punched() {
    let homes = homes(Nat::symmetric());
    punch(&homes).recv_from(&mut [0; 16]).unwrap();
}

fn near_punched() {
    let homes = homes(Nat::home());
    let socket = punch(&homes);
    while socket.recv_from(&mut [0; 16]).is_ok() {}
    // The other one has sent all.
    socket.recv_from(&mut [0; 16]).unwrap();
}

fn two_homes_cut() {
    let Homes { lab, laptop, server, core, .. } = homes(Nat::home());
    let _listener = listen(&lab, server, "0.0.0.0:80");
    lab[core].down().unwrap();
    connect(&lab, laptop, "192.0.2.2:80");
}

fn two_homes_wrong_port() {
    let Homes { lab, laptop, server, .. } = homes(Nat::home());
    let _listener = listen(&lab, server, "0.0.0.0:81");
    let to: SocketAddr = end("192.0.2.2:80");
    lab[laptop].run(|| TcpStream::connect(to)).unwrap();
}

fn two_homes_wait() {
    let homes = homes(Nat::home());
    let listener = listen(&homes.lab, homes.server, "0.0.0.0:80");
    let to = end("192.0.2.2:80");
    let stream = homes.lab[homes.laptop].run(|| TcpStream::connect(to)).unwrap();
    let _accepted = listener.accept().unwrap();
    stream.set_read_timeout(Some(SHORT)).unwrap();
    std::io::Read::read_exact(&mut &stream, &mut [0; 1]).unwrap();
}

fn office(firewall: Firewall) -> Home {
    home(|net, [_, home, _], wan| {
        net.firewall(home, firewall.outside(wan));
    })
}

fn firewall_drops() {
    let only = Firewall::new().allow_out(Traffic::tcp(443)).deny_out();
    let Home { lab, laptop, server, .. } = office(only);
    let _listener = listen(&lab, server, "0.0.0.0:80");
    connect(&lab, laptop, "203.0.113.2:80");
}

fn firewall_rejects() {
    let only = Firewall::new().allow_out(Traffic::tcp(443)).default_out(FirewallAction::Reject);
    let Home { lab, laptop, server, .. } = office(only);
    let _listener = listen(&lab, server, "0.0.0.0:80");
    connect(&lab, laptop, "203.0.113.2:80");
}

fn firewall_drops_datagrams() {
    let Home { lab, laptop, server, .. } = home(|net, [_, _, server], _| {
        net.firewall(
            server,
            Firewall::new().rule(FirewallDirection::In, Traffic::udp(53), FirewallAction::Drop),
        );
    });
    let _server = bind(&lab, server, "0.0.0.0:53");
    let asking = bind(&lab, laptop, "0.0.0.0:0");
    asking.send_to(b"?", "203.0.113.2:53").unwrap();
    asking.recv_from(&mut [0; 16]).unwrap();
}

fn firewall_denies() {
    let Home { lab, laptop, .. } = home(|net, [laptop, ..], _| {
        net.firewall(laptop, Firewall::new().deny_out());
    });
    let asking = bind(&lab, laptop, "0.0.0.0:0");
    asking.send_to(b"?", "203.0.113.2:53").unwrap();
}

fn near_forwarded() {
    let Home { lab, laptop, server, wan } = forwarding();
    let _listener = listen(&lab, laptop, "0.0.0.0:80");
    lab[wan].down().unwrap();
    connect(&lab, server, "203.0.113.1:8080");
}

fn near_other_dropped() {
    let Home { lab, laptop, server, wan } = office(Firewall::new().rule(
        FirewallDirection::Out,
        Traffic::udp(53),
        FirewallAction::Drop,
    ));
    bind(&lab, laptop, "0.0.0.0:0").send_to(b"?", "203.0.113.2:53").unwrap();
    bind(&lab, server, "0.0.0.0:0").send_to(b"?", "203.0.113.1:7").unwrap();
    let _listener = listen(&lab, server, "0.0.0.0:80");
    lab[wan].down().unwrap();
    connect(&lab, laptop, "203.0.113.2:80");
}

/// A lab of laptop, home, which translates the prefix of laptop, and server, in IPv6. Returns
/// it with the link lan, laptop and server, and the address of laptop that server sees.
fn prefixed() -> (Lab, LinkId, [NodeId; 2], SocketAddr) {
    let mut net = Topology::new();
    let (laptop, home, server) = (net.host("laptop"), net.router("home"), net.host("server"));
    let lan = net.link(laptop, home).subnet("fd01:203:405:1::/64").name("lan").id();
    let wan = net.link(home, server).subnet("2001:db8:9::/64").name("wan").id();
    net.nat(home, wan, Nat::home().nptv6("fd01:203:405::/48", "2001:db8:1::/48"));
    let lab = net.build().unwrap();
    let seen = lab.plan().addresses_seen_from(server, laptop);
    let to = SocketAddr::new(seen[0], 80);
    (lab, lan, [laptop, server], to)
}

fn prefix_cut() {
    let (lab, lan, [_, server], to) = prefixed();
    lab[lan].down().unwrap();
    lab[server].run(|| TcpStream::connect_timeout(&to, SHORT)).unwrap();
}

fn prefix_inside_address() {
    let (lab, _, [laptop, server], _) = prefixed();
    let _listener = listen(&lab, laptop, "[::]:80");
    connect(&lab, server, "[fd01:203:405:1::1]:80");
}

/// The router itself listens on that port, and does not accept.
fn near_not_forwarded() {
    let Home { lab, server, .. } = home(|_, _, _| {});
    let home = lab.node("home").unwrap();
    let _listener = home.run(|| TcpListener::bind("0.0.0.0:8080")).unwrap();
    let to = end("203.0.113.1:8080");
    let stream = lab[server].run(|| TcpStream::connect_timeout(&to, super::servers::LONG)).unwrap();
    stream.set_read_timeout(Some(SHORT)).unwrap();
    std::io::Read::read_exact(&mut &stream, &mut [0; 1]).unwrap();
}
