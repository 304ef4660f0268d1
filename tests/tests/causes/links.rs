//! Packets that an impaired link has lost, dropped, held or delayed, as it was set.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use netns_test::lab::{Impairment, LinkId, Packet};
use netns_test::{Lab, NodeId, Topology};

use super::servers::end;

cases! { (timeout = "3s");
    ("syn_lost", syn_lost, &["certain: link lan loses the packets from client to server"]),
    ("answer_lost", answer_lost, &["certain: link lan loses the packets from server to client"]),
    ("syn_dropped", syn_dropped, &["certain: link lan drops the packets from client to server"]),
    ("syn_held", syn_held, &["likely: link lan holds the packets from client to server"]),
    ("syn_delayed", syn_delayed, &["likely: link lan has not yet passed on the packets"]),
    ("lost_behind_a_switch", lost_behind_a_switch, &["certain: link far loses the packets"]),
    ("request_lost", request_lost, &["likely: link lan loses the packets from client to server"]),
    ("datagram_lost", datagram_lost, &["likely: link lan has lost packets from client to server"]),
    ("queue_of_link", queue_of_link, &["likely: link lan had a full queue for packets"]),
    ("hangs_for_lost", hangs_for_lost, &["certain: link lan loses the packets", "not: was sent"]),
    ("lost_after_others", lost_after_others, &["certain: link lan loses the packets from client"]),
    ("lost_over_ipv6", lost_over_ipv6, &["certain: link far loses the packets from switch to"]),
    ("hangs_for_request", hangs_for_request, &["certain: link lan loses the packets from client"]),
    ("hangs_for_answer", hangs_for_answer, &["certain: link lan drops the packets from server"]),
    ("near_other_flow", near_other_flow, &["first: separated by a partition", "not: link lan"]),
    ("near_other_socket", near_other_socket, &["likely: link lan drops the packets"]),
    ("near_lossy_elsewhere", near_lossy_elsewhere, &["not: link spare"]),
    ("near_repeated", near_repeated, &["not: link lan"]),
    ("near_refused_over_lossy", near_refused_over_lossy, &["not: link lan"]),
    ("near_silent_server", near_silent_server, &["likely: does not read the datagrams", "not: link"]),
}

const SHORT: Duration = Duration::from_millis(300);

struct Pair {
    lab: Lab,
    client: NodeId,
    server: NodeId,
    lan: LinkId,
}

fn pair(impairment: Impairment) -> Pair {
    let mut net = Topology::new();
    let (client, server) = (net.host("client"), net.host("server"));
    let lan = net.link(client, server).name("lan").impair(impairment).id();
    Pair { lab: net.build().unwrap(), client, server, lan }
}

/// Connects to a server, which listens, and unwraps the failure.
fn connect(lab: &Lab, from: NodeId, to: NodeId) {
    let _listener = lab[to].run(|| TcpListener::bind("0.0.0.0:80")).unwrap();
    lab[from].run(|| TcpStream::connect_timeout(&end("10.0.0.2:80"), SHORT)).unwrap();
}

/// Sends a datagram, and unwraps the failure to receive the answer.
fn ask(lab: &Lab, from: NodeId, to: NodeId) {
    let _server = lab[to].run(|| UdpSocket::bind("0.0.0.0:53")).unwrap();
    let socket = lab[from].run(|| UdpSocket::bind("0.0.0.0:0")).unwrap();
    socket.send_to(b"question", "10.0.0.2:53").unwrap();
    socket.set_read_timeout(Some(SHORT)).unwrap();
    socket.recv(&mut [0; 8]).unwrap();
}

fn syn_lost() {
    let Pair { lab, client, server, .. } = pair(Impairment::new().loss("100%"));
    connect(&lab, client, server);
}

fn answer_lost() {
    let Pair { lab, client, server, lan } = pair(Impairment::new());
    lab[lan].set_impairment_from(server, Impairment::new().loss("100%")).unwrap();
    connect(&lab, client, server);
}

fn syn_dropped() {
    let Pair { lab, client, server, lan } = pair(Impairment::new());
    let _rule = lab[lan].drop_matching(Packet::tcp().port(80)).unwrap();
    connect(&lab, client, server);
}

fn syn_held() {
    let Pair { lab, client, server, lan } = pair(Impairment::new());
    lab[lan].hold_from(client).unwrap();
    connect(&lab, client, server);
}

fn syn_delayed() {
    let delay = Duration::from_secs(2);
    let Pair { lab, client, server, .. } = pair(Impairment::new().delay(delay));
    connect(&lab, client, server);
}

fn lost_behind_a_switch() {
    let mut net = Topology::new();
    let (client, switch, server) = (net.host("client"), net.switch("switch"), net.host("server"));
    net.link(client, switch).name("near");
    net.link(switch, server).name("far").impair_from(switch, Impairment::new().loss("100%"));
    let lab = net.build().unwrap();
    connect(&lab, client, server);
}

fn request_lost() {
    let Pair { lab, client, server, .. } = pair(Impairment::new().loss("100%"));
    ask(&lab, client, server);
}

fn datagram_lost() {
    let Pair { lab, client, server, lan } = pair(Impairment::new());
    let receiver = lab[server].run(|| UdpSocket::bind("0.0.0.0:53")).unwrap();
    let sender = lab[client].run(|| UdpSocket::bind("0.0.0.0:0")).unwrap();
    let send = || sender.send_to(b"datagram", "10.0.0.2:53").unwrap();
    send();
    receiver.set_read_timeout(Some(SHORT)).unwrap();
    receiver.recv(&mut [0; 8]).unwrap();
    lab[lan].set_impairment(Impairment::new().loss("100%")).unwrap();
    send();
    receiver.recv(&mut [0; 8]).unwrap();
}

fn queue_of_link() {
    let line = Impairment::new().rate("1mbit").queue_packets(2);
    let Pair { lab, client, server, .. } = pair(line);
    let receiver = lab[server].run(|| UdpSocket::bind("0.0.0.0:53")).unwrap();
    let sender = lab[client].run(|| UdpSocket::bind("0.0.0.0:0")).unwrap();
    for _ in 0..20 {
        sender.send_to(&[0; 1000], "10.0.0.2:53").unwrap();
    }
    receiver.set_read_timeout(Some(SHORT)).unwrap();
    for _ in 0..20 {
        receiver.recv(&mut [0; 1000]).unwrap();
    }
}

fn hangs_for_lost() {
    let Pair { lab, client, server, .. } = pair(Impairment::new().loss("100%"));
    let receiver = lab[server].run(|| UdpSocket::bind("0.0.0.0:53")).unwrap();
    let sender = lab[client].run(|| UdpSocket::bind("0.0.0.0:0")).unwrap();
    sender.send_to(b"datagram", "10.0.0.2:53").unwrap();
    receiver.recv(&mut [0; 8]).unwrap();
}

/// Another connection has passed both ways.
fn lost_after_others() {
    let Pair { lab, client, server, lan } = pair(Impairment::new());
    let _listener = lab[server].run(|| TcpListener::bind("0.0.0.0:80")).unwrap();
    let _other = lab[client].run(|| TcpStream::connect("10.0.0.2:80")).unwrap();
    lab[lan].set_impairment_from(client, Impairment::new().loss("100%")).unwrap();
    lab[client].run(|| TcpStream::connect_timeout(&end("10.0.0.2:80"), SHORT)).unwrap();
}

fn lost_over_ipv6() {
    let mut net = Topology::new();
    let (client, switch, server) = (net.host("client"), net.switch("switch"), net.host("server"));
    net.link(client, switch).name("near");
    net.link(switch, server).name("far").impair_from(switch, Impairment::new().loss("100%"));
    let lab = net.build().unwrap();
    let to = (lab[server].ipv6(), 80).into();
    let _listener = lab[server].run(|| TcpListener::bind("[::]:80")).unwrap();
    lab[client].run(|| TcpStream::connect_timeout(&to, SHORT)).unwrap();
}

/// Returns both ends of a connection.
fn connected(lab: &Lab, client: NodeId, server: NodeId) -> [TcpStream; 2] {
    let listener = lab[server].run(|| TcpListener::bind("0.0.0.0:80")).unwrap();
    let stream = lab[client].run(|| TcpStream::connect("10.0.0.2:80")).unwrap();
    [stream, listener.accept().unwrap().0]
}

fn hangs_for_request() {
    let Pair { lab, client, server, lan } = pair(Impairment::new());
    let [mut near, mut far] = connected(&lab, client, server);
    lab[lan].set_impairment_from(client, Impairment::new().loss("100%")).unwrap();
    near.write_all(b"question").unwrap();
    far.read_exact(&mut [0; 8]).unwrap();
}

/// The server has been asked, and its answer is dropped.
fn hangs_for_answer() {
    let Pair { lab, client, server, lan } = pair(Impairment::new());
    let [mut near, mut far] = connected(&lab, client, server);
    near.write_all(b"question").unwrap();
    far.read_exact(&mut [0; 8]).unwrap();
    let _rule = lab[lan].drop_matching(Packet::tcp().source_port(80)).unwrap();
    far.write_all(b"answer").unwrap();
    near.read_exact(&mut [0; 6]).unwrap();
}

/// Datagrams are lost, and connections are not.
fn near_other_flow() {
    let Pair { lab, client, server, lan } = pair(Impairment::new());
    let _rule = lab[lan].drop_matching(Packet::udp()).unwrap();
    let talk = lab[client].run(|| UdpSocket::bind("0.0.0.0:0")).unwrap();
    talk.send_to(b"lost", "10.0.0.2:80").unwrap();
    lab.partition(&[client], &[server]).unwrap();
    connect(&lab, client, server);
}

/// The datagram that is lost is not for the socket that the test waits on.
fn near_other_socket() {
    let Pair { lab, client, server, lan } = pair(Impairment::new());
    let _rule = lab[lan].drop_matching(Packet::udp().port(54)).unwrap();
    let receiver = lab[server].run(|| UdpSocket::bind("0.0.0.0:53")).unwrap();
    let sender = lab[client].run(|| UdpSocket::bind("0.0.0.0:0")).unwrap();
    sender.send_to(b"datagram", "10.0.0.2:54").unwrap();
    receiver.recv(&mut [0; 8]).unwrap();
}

fn near_lossy_elsewhere() {
    let mut net = Topology::new();
    let (client, server, other) = (net.host("client"), net.host("server"), net.host("other"));
    let lan = net.link(client, server).name("lan").id();
    net.link(client, other).name("spare").impair(Impairment::new().loss("100%"));
    let lab = net.build().unwrap();
    let talk = lab[client].run(|| UdpSocket::bind("0.0.0.0:0")).unwrap();
    talk.send_to(b"lost", (lab[other].ipv4(), 9)).unwrap();
    lab[lan].down().unwrap();
    connect(&lab, client, server);
}

/// The first SYN is dropped, and the second one passes.
fn near_repeated() {
    let Pair { lab, client, server, lan } = pair(Impairment::new());
    let _rule = lab[lan].on(Packet::tcp().syn()).first(1).drop().unwrap();
    let _listener = lab[server].run(|| TcpListener::bind("0.0.0.0:80")).unwrap();
    let stream = lab[client].run(|| TcpStream::connect("10.0.0.2:80")).unwrap();
    stream.set_read_timeout(Some(SHORT)).unwrap();
    (&stream).read_exact(&mut [0; 8]).unwrap();
}

fn near_refused_over_lossy() {
    let Pair { lab, client, server, lan } = pair(Impairment::new());
    let _rule = lab[lan].on(Packet::udp()).every(2).drop().unwrap();
    let talk = lab[client].run(|| UdpSocket::bind("0.0.0.0:0")).unwrap();
    let _server = lab[server].run(|| UdpSocket::bind("0.0.0.0:9")).unwrap();
    for _ in 0..50 {
        talk.send_to(b"some are lost", "10.0.0.2:9").unwrap();
    }
    lab[client].run(|| TcpStream::connect("10.0.0.2:80")).unwrap();
}

fn near_silent_server() {
    let Pair { lab, client, server, .. } = pair(Impairment::new().delay(Duration::from_millis(5)));
    ask(&lab, client, server);
}
