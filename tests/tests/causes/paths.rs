//! Packets that do not arrive.

use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use netns_test::lab::LinkId;
use netns_test::{Lab, NodeId, Topology};

use super::servers::{end, pair};

cases! {
    ("moved_and_cut", moved_and_cut, &["first: link server-lan is down"]),
    ("cable_pulled", cable_pulled, &["first: link wan is down"]),
    ("cable_pulled_at_client", cable_pulled_at_client, &["likely: link lan is down"]),
    ("interface_down", interface_down, &["first: link wan is down"]),
    (
        "partition_forgotten",
        partition_forgotten,
        &["first: separated by a partition", "not: answer"],
    ),
    ("healed_meanwhile", healed_meanwhile, &["likely: were separated by a partition until"]),
    ("words_of_the_test", words_of_the_test, &["not: link wan", "no certain: "]),
    ("partition_udp", partition_udp, &["likely: separated by a partition"]),
    ("no_route_back", no_route_back, &["first: server has no route back to client"]),
    ("no_route_there", no_route_there, &["likely: client has no route to server"]),
    ("forwarding_off", forwarding_off, &["first: router does not forward"]),
    ("rp_filter", rp_filter, &["first: rp_filter"]),
    ("blackhole", blackhole, &["first: discards packets to 10.0.1.2"]),
    ("powered_off", powered_off, &["first: server is powered off"]),
    ("no_such_address", no_such_address, &["first: has the address 10.0.0.77"]),
    ("outside", outside, &["likely: outside of the lab"]),
    ("nft_drop", nft_drop, &["first: a packet filter on server drops packets"]),
    ("nft_reject", nft_reject, &["proven: a packet filter on server rejects packets"]),
    ("nft_drop_udp", nft_drop_udp, &["likely: a packet filter on router drops packets"]),
    ("lo_down", lo_down, &["likely: interface lo of client is down"]),
    ("near_other_cable", near_other_cable, &["not: link spare is down"]),
    ("near_healed", near_healed, &["not: partition"]),
}

const SHORT: Duration = Duration::from_millis(300);

/// A lab of client (10.0.0.1), router and server (10.0.1.2).
pub(crate) struct Routed {
    pub(crate) lab: Lab,
    pub(crate) client: NodeId,
    pub(crate) router: NodeId,
    pub(crate) server: NodeId,
    lan: LinkId,
    wan: LinkId,
}

pub(crate) fn routed() -> Routed {
    let mut net = Topology::new();
    let (client, router, server) = (net.host("client"), net.router("router"), net.host("server"));
    let lan = net.link(client, router).name("lan").id();
    let wan = net.link(router, server).name("wan").id();
    Routed { lab: net.build().unwrap(), client, router, server, lan, wan }
}

/// Connects from `from` to a server on `to`, and unwraps the failure on the test's thread.
fn connect(lab: &Lab, from: NodeId, to: NodeId) {
    let at = SocketAddr::new(IpAddr::V4(lab[to].ipv4()), 80);
    let _listener = lab[to].run(|| TcpListener::bind("0.0.0.0:80")).unwrap();
    lab[from].run(|| TcpStream::connect_timeout(&at, SHORT)).unwrap();
}

/// Runs a program on a node, which must succeed.
pub(crate) fn run(lab: &Lab, node: NodeId, line: &str) {
    let mut words = line.split(' ');
    let mut command = lab[node].command(words.next().unwrap());
    let output = command.args(words).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}

pub(crate) fn nft(lab: &Lab, node: NodeId, chain: &str, rule: &str) {
    let text = format!(
        "add table inet f; add chain inet f c {{ type filter hook {chain} priority 0; }}; \
         add rule inet f c {rule}"
    );
    let output = lab[node].command("nft").arg(text).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn cable_pulled() {
    let net = routed();
    net.lab[net.wan].down().unwrap();
    connect(&net.lab, net.client, net.server);
}

fn cable_pulled_at_client() {
    let net = routed();
    net.lab[net.lan].down().unwrap();
    connect(&net.lab, net.client, net.server);
}

fn interface_down() {
    let net = routed();
    run(&net.lab, net.server, "ip link set eth0 down");
    connect(&net.lab, net.client, net.server);
}

fn partition_forgotten() {
    let (lab, client, server) = pair("client", "server");
    lab.partition(&[client], &[server]).unwrap();
    connect(&lab, client, server);
}

fn healed_meanwhile() {
    let (lab, client, server) = pair("client", "server");
    let at = end("10.0.0.2:80");
    let _listener = lab[server].run(|| TcpListener::bind("0.0.0.0:80")).unwrap();
    lab.partition(&[client], &[server]).unwrap();
    let failed = lab[client].run(|| TcpStream::connect_timeout(&at, SHORT));
    lab.heal().unwrap();
    failed.unwrap();
}

fn words_of_the_test() {
    let net = routed();
    net.lab[net.wan].down().unwrap();
    panic!("timed out waiting for vote");
}

fn partition_udp() {
    let (lab, client, server) = pair("client", "server");
    lab.partition(&[client], &[server]).unwrap();
    ask(&lab, client, server);
}

/// Sends a datagram from `from` to a socket on `to`, and waits for an answer.
fn ask(lab: &Lab, from: NodeId, to: NodeId) {
    let at = SocketAddr::new(IpAddr::V4(lab[to].ipv4()), 53);
    let answering = lab[to].run(|| UdpSocket::bind("0.0.0.0:53")).unwrap();
    let _answers = lab[to].spawn_thread(move || {
        let (size, peer) = answering.recv_from(&mut [0; 16]).unwrap();
        answering.send_to(&[0; 16][..size], peer).unwrap();
    });
    let asking = lab[from].run(|| UdpSocket::bind("0.0.0.0:0")).unwrap();
    asking.set_read_timeout(Some(SHORT)).unwrap();
    asking.send_to(b"?", at).unwrap();
    asking.recv(&mut [0; 16]).unwrap();
}

fn no_route_back() {
    let net = routed();
    net.lab[net.server].remove_route("0.0.0.0/0").unwrap();
    connect(&net.lab, net.client, net.server);
}

fn no_route_there() {
    let net = routed();
    net.lab[net.client].remove_route("0.0.0.0/0").unwrap();
    connect(&net.lab, net.client, net.server);
}

fn forwarding_off() {
    let net = routed();
    net.lab[net.router].sysctl("net.ipv4.ip_forward", 0).unwrap();
    connect(&net.lab, net.client, net.server);
}

fn rp_filter() {
    let net = routed();
    // The way back to the client is said to be over the other link.
    run(&net.lab, net.router, "ip route add 10.0.0.1/32 dev eth1");
    net.lab[net.router].sysctl("net.ipv4.conf.all.rp_filter", 1).unwrap();
    connect(&net.lab, net.client, net.server);
}

fn blackhole() {
    let net = routed();
    run(&net.lab, net.router, "ip route add blackhole 10.0.1.2/32");
    connect(&net.lab, net.client, net.server);
}

fn powered_off() {
    let net = routed();
    let at = SocketAddr::new(IpAddr::V4(net.lab[net.server].ipv4()), 80);
    net.lab.power_off(net.server).unwrap();
    net.lab[net.client].run(|| TcpStream::connect_timeout(&at, SHORT)).unwrap();
}

fn no_such_address() {
    let (lab, client, _server) = pair("client", "server");
    lab[client].run(|| TcpStream::connect_timeout(&end("10.0.0.77:80"), SHORT)).unwrap();
}

fn outside() {
    let (lab, client, _server) = pair("client", "server");
    lab[client].run(|| TcpStream::connect("192.0.2.1:443")).unwrap();
}

fn nft_drop() {
    let (lab, client, server) = pair("client", "server");
    nft(&lab, server, "input", "tcp dport 80 counter drop");
    connect(&lab, client, server);
}

fn nft_reject() {
    let (lab, client, server) = pair("client", "server");
    nft(&lab, server, "input", "tcp dport 80 counter reject with tcp reset");
    connect(&lab, client, server);
}

fn nft_drop_udp() {
    let net = routed();
    nft(&net.lab, net.router, "forward", "udp dport 53 counter drop");
    ask(&net.lab, net.client, net.server);
}

fn lo_down() {
    let (lab, client, _server) = pair("client", "server");
    run(&lab, client, "ip link set lo down");
    lab[client].run(|| TcpStream::connect_timeout(&end("127.0.0.1:80"), SHORT)).unwrap();
}

fn near_other_cable() {
    let mut net = Topology::new();
    let (client, server, other) = (net.host("client"), net.host("server"), net.host("other"));
    net.link(client, server).name("lan");
    let spare = net.link(client, other).name("spare").id();
    let lab = net.build().unwrap();
    lab[spare].down().unwrap();
    run(&lab, server, "ip route add blackhole 10.0.0.1/32");
    connect(&lab, client, server);
}

fn near_healed() {
    let (lab, client, server) = pair("client", "server");
    lab.partition(&[client], &[server]).unwrap();
    lab.heal().unwrap();
    run(&lab, server, "ip route add blackhole 10.0.0.1/32");
    connect(&lab, client, server);
}

/// The report has the lab as it is since a link has moved.
fn moved_and_cut() {
    let mut net = Topology::new();
    let (client, server, router) = (net.host("client"), net.host("server"), net.router("router"));
    let (office, lan) = (net.switch("office"), net.switch("lan"));
    let link = net.link(client, office).name("cable").id();
    net.link(office, router).subnet("10.1.0.0/24");
    net.link(lan, router).subnet("10.2.0.0/24");
    let cut = net.link(server, lan).name("server-lan").id();
    let lab = net.build().unwrap();
    lab.move_link(link, office, lan).unwrap();
    lab[cut].down().unwrap();
    let to = SocketAddr::new(IpAddr::V4(lab[server].ipv4()), 80);
    lab[client].run(|| TcpStream::connect_timeout(&to, SHORT)).unwrap();
}
