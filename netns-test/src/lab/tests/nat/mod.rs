//! NATs and firewalls in topologies and plans.

pub(crate) mod borders;
pub(crate) mod drawings;
pub(crate) mod mistakes;
pub(crate) mod paths;
pub(crate) mod prefixes;
pub(crate) mod random;
pub(crate) mod values;

use crate::lab::{LinkId, Nat, NodeId, Topology, Transport};

/// Two homes with the same subnet, each behind its own NAT, and a server outside.
pub(crate) struct TwoHomes {
    pub(crate) net: Topology,
    pub(crate) server: NodeId,
    pub(crate) isp: NodeId,
    pub(crate) homes: [NodeId; 2],
    pub(crate) wans: [LinkId; 2],
    pub(crate) clients: [NodeId; 2],
}

pub(crate) fn two_homes() -> TwoHomes {
    let mut net = Topology::new();
    let (server, isp) = (net.host("server"), net.router("isp"));
    net.link(server, isp).subnet("203.0.113.0/24");
    let homes = ["one", "two"].map(|name| net.router(name));
    let clients = ["ann", "bob"].map(|name| net.host(name));
    let mut wans = Vec::new();
    for (at, (home, client)) in homes.into_iter().zip(clients).enumerate() {
        wans.push(net.link(isp, home).addrs((), format!("198.51.{at}.2/24")).id());
        net.link(home, client).addrs("192.168.1.1/24", "192.168.1.10/24");
        net.nat(home, wans[at], Nat::home());
    }
    TwoHomes { net, server, isp, homes, wans: [wans[0], wans[1]], clients }
}

impl TwoHomes {
    fn forward(&mut self, home: usize, port: u16, to: NodeId) {
        let (router, wan) = (self.homes[home], self.wans[home]);
        self.net.forward_port(router, wan, Transport::Tcp, port, to, 443);
    }
}
