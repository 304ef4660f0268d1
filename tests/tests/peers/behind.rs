//! Networks behind NATs and firewalls.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use netns_test::lab::{Firewall, Nat};
use netns_test::{Lab, LinkId, NodeId, Topology};
use netns_test_tests::eventually;

use crate::net::{Ends, PATIENCE, assert_silent, both, take};
use netns_test_tests::packets::{LIMIT, Udp, World, heard};

/// Port of a server that reports the source it sees (RFC 8489).
const STUN: u16 = 3478;

/// Two hosts behind a router each, and a server, all in one internet.
pub(crate) struct Homes {
    pub(crate) lab: Lab,
    pub(crate) hosts: [NodeId; 2],
    pub(crate) routers: [NodeId; 2],
    pub(crate) wans: [LinkId; 2],
    pub(crate) server: NodeId,
}

/// Sockets of the two hosts, and where the server sees them.
pub(crate) struct Peers {
    pub(crate) ends: [Udp; 2],
    pub(crate) seen: [SocketAddr; 2],
    server: Udp,
}

/// Connection to the internet.
#[derive(Clone, Debug)]
pub(crate) enum Access {
    /// An address of the internet that a NAT translates to one inside.
    OneToOne,
    Behind(Nat),
}

impl Homes {
    pub(crate) fn new(nats: [Nat; 2]) -> Self {
        Self::of(nats.map(Access::Behind))
    }

    /// Builds it with another access for each.
    pub(crate) fn of(access: [Access; 2]) -> Self {
        Self::with(access, |_, _, _| {})
    }

    /// Builds it with more declarations, for the hosts and the routers.
    pub(crate) fn with(
        access: [Access; 2],
        declare: impl FnOnce(&mut Topology, [NodeId; 2], [NodeId; 2]),
    ) -> Self {
        let mut net = Topology::new();
        let (internet, server) = (net.switch("internet"), net.host("server"));
        net.link(server, internet).subnet("203.0.113.0/24");
        let hosts = ["alice", "bob"].map(|name| net.host(name));
        let routers = ["home-a", "home-b"].map(|name| net.router(name));
        let wans = [0, 1].map(|at| {
            net.link(hosts[at], routers[at]);
            net.link(routers[at], internet).id()
        });
        for (at, access) in access.into_iter().enumerate() {
            let own = [203, 0, 113, 101 + u8::try_from(at).unwrap()].into();
            match access {
                Access::OneToOne => {
                    net.nat(routers[at], wans[at], Nat::home().one_to_one(own, hosts[at]));
                }
                Access::Behind(nat) => net.nat(routers[at], wans[at], nat),
            }
        }
        declare(&mut net, hosts, routers);
        let lab = net.build().unwrap_or_else(|error| panic!("{error}"));
        Self { lab, hosts, routers, wans, server }
    }

    /// Returns the external address of a router.
    pub(crate) fn external(&self, at: usize) -> IpAddr {
        self.lab[self.routers[at]].address_on(self.wans[at])
    }

    /// Opens a socket on each host, which the server sees.
    pub(crate) fn peers(&self) -> Peers {
        let server = Udp::open(&self.lab[self.server], STUN);
        let ends = self.hosts.map(|host| Udp::open(&self.lab[host], 5000));
        let seen = ends.each_ref().map(|end| end.talks(&server));
        Peers { ends, seen, server }
    }

    /// Returns whether the hosts hear each other when both send to where the server sees the other,
    /// and answer what comes.
    pub(crate) fn punch(&self) -> bool {
        let Peers { ends, seen, server } = self.peers();
        let markers = self.hosts.map(|host| Udp::open(&self.lab[host], 0));
        let both = || {
            ends[0].send(seen[1]);
            ends[1].send(seen[0]);
        };
        let from = [0, 1].map(|at| heard(&ends[at], (&markers[at], &server), both));
        match from {
            [Some(_), Some(_)] => {}
            [Some(from), None] => {
                ends[0].reaches(from, &ends[1]);
            }
            [None, Some(from)] => {
                ends[1].reaches(from, &ends[0]);
            }
            [None, None] => return false,
        }
        true
    }
}

impl Peers {
    /// Sends both ways until both have heard the other. No server is needed.
    #[track_caller]
    pub(crate) fn meet(&self) {
        meet(self.ends.each_ref(), self.seen);
    }
}

/// Sends both ways, to known endpoints, until both have heard the other.
#[track_caller]
pub(crate) fn meet(ends: [&Udp; 2], seen: [SocketAddr; 2]) {
    let limit = Instant::now() + LIMIT;
    let first = ends[0].send(seen[1]);
    let mut has_heard = [false; 2];
    while has_heard != [true; 2] {
        assert!(Instant::now() < limit, "{} and {} do not meet: {has_heard:?}", seen[0], seen[1]);
        ends[1].send(seen[0]);
        ends[0].send(seen[1]);
        for at in [0, 1] {
            has_heard[at] |= ends[at].hear(first, Duration::from_millis(20)).is_some();
        }
    }
}

/// `alice` and `bob` behind a home router each, and these behind `carrier`; servers `a` and `b`.
pub(crate) fn carrier(home: &Nat, carrier_nat: Nat) -> World {
    let mut net = Topology::new();
    let [alice, bob, a, b] = ["alice", "bob", "a", "b"].map(|name| net.host(name));
    let (carrier, access) = (net.router("carrier"), net.switch("access"));
    for (host, name) in [(alice, "home-a"), (bob, "home-b")] {
        let router = net.router(name);
        net.link(host, router).subnet("192.168.1.0/24");
        let wan = net.link(router, access).id();
        net.nat(router, wan, home.clone());
    }
    net.link(carrier, access).subnet("100.64.0.0/24");
    let internet = net.switch("internet");
    let uplink = net.link(carrier, internet).id();
    for server in [a, b] {
        net.link(server, internet);
    }
    net.nat(carrier, uplink, carrier_nat);
    let lab = net.build().unwrap_or_else(|error| panic!("{error}"));
    World { lab, alice, bob, home: carrier, wan: uplink, a, b }
}

/// A client behind a router with a firewall and without NAT, and a server.
pub(crate) struct Office {
    pub(crate) lab: Lab,
    pub(crate) client: NodeId,
    pub(crate) office: NodeId,
    pub(crate) uplink: LinkId,
    pub(crate) server: NodeId,
}

impl Office {
    pub(crate) fn new(firewall: impl FnOnce(NodeId) -> Firewall) -> Self {
        let mut net = Topology::new();
        let (client, server) = (net.host("client"), net.host("server"));
        let office = net.router("office");
        net.link(client, office);
        let uplink = net.link(office, server).id();
        net.firewall(office, firewall(server).outside(uplink));
        let lab = net.build().unwrap_or_else(|error| panic!("{error}"));
        Self { lab, client, office, uplink, server }
    }

    /// Returns the client and the server, over IPv4 and over IPv6.
    pub(crate) fn both(&self) -> [Ends<'_>; 2] {
        both(&self.lab, self.client, self.server)
    }

    /// Checks that a datagram arrives at a port, and that the answer does.
    pub(crate) fn udp_passes(&self, ends: Ends<'_>, port: u16) {
        let [near, far] = ends.sockets_to(port);
        near.send(b"passes").unwrap();
        let (_, from) = far.recv_from(&mut [0; 100]).unwrap();
        far.send_to(b"answer", from).unwrap();
        assert_eq!(take(&near), b"answer");
    }

    /// Checks that the router drops a datagram to a port.
    pub(crate) fn udp_is_dropped(&self, ends: Ends<'_>, port: u16) {
        let [near, far] = ends.sockets_to(port);
        let before = self.dropped();
        near.send(b"lost").unwrap();
        eventually(PATIENCE, "the firewall drops a packet", || self.dropped() > before);
        assert_silent(&far);
    }

    /// Checks that TCP to a port connects.
    pub(crate) fn tcp_passes(&self, ends: Ends<'_>, port: u16) {
        ends.connection_to(&ends.listener_on(port));
    }

    /// Checks that the router drops the first segment to a port.
    pub(crate) fn tcp_is_dropped(&self, ends: Ends<'_>, port: u16) {
        let listener = ends.listener_on(port);
        let before = self.dropped();
        let limit = Duration::from_millis(100);
        let late = ends.connect(listener.local_addr().unwrap(), limit).unwrap_err();
        assert_eq!(late.kind(), std::io::ErrorKind::TimedOut);
        assert!(self.dropped() > before);
    }

    fn dropped(&self) -> u64 {
        let rules = self.lab[self.office].firewall_rules().unwrap();
        rules.iter().filter(|rule| rule.text.contains(": drop")).map(|rule| rule.packets).sum()
    }
}
