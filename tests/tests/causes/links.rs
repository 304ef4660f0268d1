//! Packets that an impaired link has lost, dropped, held or delayed, as it was set.

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
    ("hangs_for_lost", hangs_for_lost, &["likely: link lan loses the packets", "not: was sent"]),
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
    std::io::Read::read(&mut &stream, &mut [0; 8]).unwrap();
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
