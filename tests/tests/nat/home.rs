//! A laptop behind a home router, and a server outside.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use netns_test::lab::{LinkId, Nat, NodeId};
use netns_test::{Lab, Topology};

/// Limit for what has to come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The ids of the network.
#[derive(Clone, Copy)]
pub(crate) struct Home {
    pub(crate) laptop: NodeId,
    pub(crate) home: NodeId,
    pub(crate) server: NodeId,
    pub(crate) lan: LinkId,
    pub(crate) wan: LinkId,
}

/// 192.168.1.1 (laptop), 192.168.1.2 (home) 203.0.113.1, 203.0.113.2 (server).
pub(crate) fn net(nat: Option<Nat>) -> (Topology, Home) {
    let mut net = Topology::new();
    let [laptop, server] = ["laptop", "server"].map(|name| net.host(name));
    let home = net.router("home");
    let lan = net.link(laptop, home).name("lan").subnet("192.168.1.0/24").id();
    let wan = net.link(home, server).name("wan").subnet("203.0.113.0/24").id();
    if let Some(nat) = nat {
        net.nat(home, wan, nat);
    }
    (net, Home { laptop, home, server, lan, wan })
}

/// Binds a UDP socket on a node.
pub(crate) fn udp(lab: &Lab, node: NodeId, address: &str) -> UdpSocket {
    let socket = lab[node].run(|| UdpSocket::bind(address)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// Sends a datagram to a socket of `node`; returns the source address that it arrives with.
pub(crate) fn seen_from(from: &UdpSocket, at: &UdpSocket, node: IpAddr) -> SocketAddr {
    let to = (node, at.local_addr().unwrap().port());
    from.send_to(b"who am I", to).unwrap();
    heard(at).1
}

/// Receives the next datagram.
pub(crate) fn heard(at: &UdpSocket) -> (String, SocketAddr) {
    let mut buffer = [0; 1500];
    let (length, from) = at.recv_from(&mut buffer).unwrap();
    (String::from_utf8_lossy(&buffer[..length]).into_owned(), from)
}

impl Home {
    /// External address of the home router.
    pub(crate) fn outside(&self, lab: &Lab) -> IpAddr {
        lab[self.home].address_on(self.wan)
    }

    /// Addresses with which the laptop's socket arrives at two ports of the server.
    pub(crate) fn two_ports(&self, lab: &Lab, laptop: &UdpSocket) -> [SocketAddr; 2] {
        let ports = [0; 2].map(|_| udp(lab, self.server, "0.0.0.0:0"));
        ports.map(|port| seen_from(laptop, &port, lab[self.server].ipv4().into()))
    }

    /// `/etc/hosts` of a node, without `localhost`.
    pub(crate) fn names(lab: &Lab, node: NodeId) -> Vec<String> {
        let text = lab[node].run(|| std::fs::read_to_string("/etc/hosts")).unwrap();
        let lines = text.lines().filter(|line| !line.contains("localhost"));
        let of_ipv4 = lines.filter(|line| !line.contains("::"));
        of_ipv4.map(|line| line.replace('\t', " ")).collect()
    }
}
