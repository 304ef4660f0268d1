//! A host with two uplinks, or one that it moves.

use std::net::IpAddr;

use netns_test::lab::Nat;
use netns_test::{Lab, LinkId, NodeId, Topology, netns_test};

use netns_test_tests::packets::Udp;

/// A phone, two routers with NAT with a switch inside, and a server.
struct Uplinks {
    lab: Lab,
    phone: NodeId,
    cables: Vec<LinkId>,
    lans: [NodeId; 2],
    routers: [NodeId; 2],
    wans: [LinkId; 2],
    server: Udp,
}

/// Builds it with the phone linked to the first ones of the routers.
fn uplinks(count: usize) -> Uplinks {
    let mut net = Topology::new();
    let (phone, core, server) = (net.host("phone"), net.switch("core"), net.host("server"));
    net.link(server, core);
    let routers = ["wifi", "cell"].map(|name| net.router(name));
    let lans = ["wifi-lan", "cell-lan"].map(|name| net.switch(name));
    let wans = [0, 1].map(|at| {
        net.link(routers[at], lans[at]);
        let wan = net.link(routers[at], core).id();
        net.nat(routers[at], wan, Nat::home());
        wan
    });
    let cables = lans[..count].iter().map(|lan| net.link(phone, *lan).id()).collect();
    let lab = net.build().unwrap_or_else(|error| panic!("{error}"));
    let server = Udp::open(&lab[server], 3478);
    Uplinks { lab, phone, cables, lans, routers, wans, server }
}

impl Uplinks {
    /// Returns the address that the server sees.
    fn seen(&self) -> IpAddr {
        Udp::open(&self.lab[self.phone], 0).talks(&self.server).ip()
    }

    fn external(&self, at: usize) -> IpAddr {
        self.lab[self.routers[at]].address_on(self.wans[at])
    }

    fn switch_default(&self, at: usize) -> netns_test::Result<()> {
        self.lab[self.phone].add_route("0.0.0.0/0", self.routers[at])?;
        assert_eq!(self.seen(), self.external(at));
        Ok(())
    }
}

#[netns_test]
fn switch_default_reflexive_ip() -> netns_test::Result<()> {
    let uplinks = uplinks(2);
    uplinks.switch_default(0)?;
    uplinks.switch_default(1)
}

#[netns_test]
fn switch_default_multiple_times() -> netns_test::Result<()> {
    let uplinks = uplinks(2);
    (0..6).try_for_each(|round| uplinks.switch_default(round % 2))
}

#[netns_test]
fn replug_iface_reflexive_ip() -> netns_test::Result<()> {
    let uplinks = uplinks(1);
    assert_eq!(uplinks.seen(), uplinks.external(0));
    for (from, to) in [(0, 1), (1, 0)] {
        uplinks.lab.move_link(uplinks.cables[0], uplinks.lans[from], uplinks.lans[to])?;
        assert_eq!(uplinks.seen(), uplinks.external(to));
    }
    Ok(())
}
