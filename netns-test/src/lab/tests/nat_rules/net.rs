//! Two inside hosts (in one network), a router, two outside hosts (in one network), and packets
//! between them.

use std::net::{IpAddr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::addr::cidr::{Cidr, Subnet};
use crate::error::Failure;
use crate::lab::nat::model::{FirewallCounter, NatMapping};
use crate::lab::nat::{self, Running};
use crate::lab::plan::NodePlan;
use crate::lab::plan::nat::{FirewallPlan, NatPlan, NatTimeouts};
use crate::lab::tests::engine::net::{LIMIT, ask, network, within};
use crate::lab::topology::NodeKind;
use crate::lab::topology::nat::model::{Filtering, Ipv6Nat, Mapping};
use crate::netlink::link::kind::{Kind, New};
use crate::netlink::nft::Nft;
use crate::netlink::route::Rank;
use crate::netlink::{Request, addr, link, route};
use crate::sys::net::ifreq;

/// Inside hosts, and outside hosts.
pub(crate) const A: &str = "10.0.0.2";
pub(crate) const B: &str = "10.0.0.3";
pub(crate) const S1: &str = "203.0.113.2";
pub(crate) const S2: &str = "203.0.113.3";
/// Addresses of the router outside.
pub(crate) const X: &str = "203.0.113.1";
pub(crate) const POOL: [&str; 2] = ["203.0.113.11", "203.0.113.12"];
pub(crate) const OF_B: &str = "203.0.113.21";

/// Indexes of interfaces.
pub(crate) const ETH0: u32 = 10;
const LAN: u32 = 11;
pub(crate) const WAN: u32 = 12;

#[derive(Debug)]
pub(crate) struct Net {
    pub(crate) inside: OwnedFd,
    pub(crate) router: OwnedFd,
    pub(crate) outside: OwnedFd,
}

impl Net {
    /// Makes the networks, with routes in both directions. The router has no rules.
    pub(crate) fn new() -> Self {
        let net = Self { inside: network(), router: network(), outside: network() };
        for one in [&net.inside, &net.router, &net.outside] {
            within(one, || {
                ifreq::loopback_up(&ifreq::socket().unwrap()).unwrap();
                write("ipv6/conf/default/accept_dad", "0");
                write("ipv4/ping_group_range", "0 0");
            });
        }
        within(&net.router, || {
            write("ipv4/ip_forward", "1");
            write("ipv6/conf/all/forwarding", "1");
        });
        for (name, index, there) in [("lan", LAN, &net.inside), ("wan", WAN, &net.outside)] {
            let own = New { name, index, mac: None, mtu: None };
            let peer = New { name: "eth0", index: ETH0, mac: None, mtu: None };
            let kind = Kind::Veth { peer, there: Some(there.as_fd()) };
            ask(&net.router, &[link::create(name.to_owned(), own, kind)]);
            ask(&net.router, &[link::set_up(String::new(), index, true, None)]);
            ask(there, &[link::set_up(String::new(), ETH0, true, None)]);
        }
        let six = ["fd00:1::2", "fd00:1::1", "fd00:2::1", "fd00:2::2"];
        add_addresses(&net.inside, ETH0, &[A, B, six[0]]);
        add_addresses(&net.router, LAN, &["10.0.0.1", six[1]]);
        add_addresses(&net.router, WAN, &[X, POOL[0], POOL[1], OF_B, six[2]]);
        add_addresses(&net.outside, ETH0, &[S1, S2, six[3]]);
        add_route(&net.inside, ("0.0.0.0", 0), "10.0.0.1");
        add_route(&net.inside, ("::", 0), six[1]);
        add_route(&net.outside, ("10.0.0.0", 24), X);
        add_route(&net.outside, ("fd00:1::", 64), six[2]);
        net
    }

    /// Makes the networks with a NAT on the router.
    pub(crate) fn with(plan: NatPlan) -> Self {
        let net = Self::new();
        net.apply(&router(plan)).unwrap();
        net
    }

    /// Adds an interface `wan2` to the router, 198.51.100.1, and returns the network with
    /// 198.51.100.2 at its other end.
    pub(crate) fn second_outside(&self) -> OwnedFd {
        let second = network();
        let own = New { name: "wan2", index: WAN + 1, mac: None, mtu: None };
        let peer = New { name: "eth0", index: ETH0, mac: None, mtu: None };
        let kind = Kind::Veth { peer, there: Some(second.as_fd()) };
        ask(&self.router, &[link::create("wan2".to_owned(), own, kind)]);
        ask(&self.router, &[link::set_up(String::new(), WAN + 1, true, None)]);
        ask(&second, &[link::set_up(String::new(), ETH0, true, None)]);
        add_addresses(&self.router, WAN + 1, &["198.51.100.1"]);
        add_addresses(&second, ETH0, &["198.51.100.2"]);
        second
    }

    pub(crate) fn apply(&self, node: &NodePlan) -> Result<(), Failure> {
        self.nft(|nft| nat::apply(nft, node))
    }

    pub(crate) fn replace(&self, rules: [&NodePlan; 2]) {
        self.nft(|nft| nat::replace(nft, rules, &Running::default())).unwrap();
    }

    pub(crate) fn nft<T: Send>(&self, work: impl FnOnce(&mut Nft) -> T + Send) -> T {
        within(&self.router, || work(&mut Nft::open().unwrap()))
    }

    pub(crate) fn mappings(&self, node: &NodePlan) -> Vec<NatMapping> {
        self.nft(|nft| nat::mappings(nft, node)).unwrap()
    }

    pub(crate) fn counters(&self, node: &NodePlan) -> Vec<FirewallCounter> {
        self.nft(|nft| nat::counters(nft, node)).unwrap()
    }

    /// Returns the packets of the rule with this text.
    pub(crate) fn count(&self, node: &NodePlan, text: &str) -> u64 {
        let all = self.counters(node);
        let one = all.iter().find(|one| one.text.contains(text));
        one.unwrap_or_else(|| panic!("no {text:?} in {all:?}")).packets
    }

    pub(crate) fn inside(&self, address: &str, port: u16) -> UdpSocket {
        udp(&self.inside, address, port)
    }

    pub(crate) fn outside(&self, address: &str, port: u16) -> UdpSocket {
        udp(&self.outside, address, port)
    }
}

/// A NAT as `Nat::new` plans it.
pub(crate) fn plan() -> NatPlan {
    NatPlan {
        outside: "wan".to_owned(),
        mapping: Mapping::EndpointIndependent,
        filtering: Filtering::EndpointIndependent,
        port_preservation: true,
        hairpinning: true,
        inbound_refresh: true,
        pool: Vec::new(),
        is_paired: true,
        ports: 1024..=65535,
        blocks: Vec::new(),
        timeouts: NatTimeouts { udp: 300, tcp_established: 7440, tcp_transitory: 240, icmp: 60 },
        one_to_one: Vec::new(),
        one_to_one_nodes: Vec::new(),
        forwards: Vec::new(),
        ipv6: Ipv6Nat::Routed,
        prefixes: Vec::new(),
        port_mapping: None,
    }
}

pub(crate) fn router(plan: NatPlan) -> NodePlan {
    NodePlan { nats: vec![plan], ..bare("home", NodeKind::Router) }
}

pub(crate) fn with_firewall(name: &str, kind: NodeKind, plan: FirewallPlan) -> NodePlan {
    NodePlan { firewall: Some(plan), ..bare(name, kind) }
}

pub(crate) fn bare(name: &str, kind: NodeKind) -> NodePlan {
    NodePlan {
        name: name.to_owned(),
        kind,
        hostname: None,
        interfaces: Vec::new(),
        black_holes: Vec::new(),
        routes: Vec::new(),
        sysctls: Vec::new(),
        hosts_entries: Vec::new(),
        private_dirs: Vec::new(),
        addresses: Vec::new(),
        nats: Vec::new(),
        firewall: None,
    }
}

pub(crate) fn udp(network: &OwnedFd, address: &str, port: u16) -> UdpSocket {
    let address: IpAddr = address.parse().unwrap();
    let socket = within(network, || UdpSocket::bind((address, port)).unwrap());
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    socket
}

pub(crate) fn v4(text: &str) -> SocketAddrV4 {
    text.parse().unwrap()
}

/// Sends a datagram, and returns the source that the other side has seen.
pub(crate) fn seen(from: &UdpSocket, to: &UdpSocket) -> SocketAddrV4 {
    seen_at(from, to.local_addr().unwrap(), to)
}

/// Sends a datagram to an address, and returns the source that is seen where it arrives.
pub(crate) fn seen_at(from: &UdpSocket, to: SocketAddr, at: &UdpSocket) -> SocketAddrV4 {
    let tag = tag();
    from.send_to(&tag, to).unwrap();
    loop {
        let mut buffer = [0; 16];
        let (length, source) = at.recv_from(&mut buffer).unwrap();
        if buffer[..length] == tag {
            let SocketAddr::V4(source) = source else { panic!("{source}") };
            return source;
        }
    }
}

/// Returns whether a datagram to an external endpoint arrives at `at`. One from `known`, which does
/// arrive, follows it.
pub(crate) fn arrives(
    from: &UdpSocket,
    to: SocketAddrV4,
    at: &UdpSocket,
    known: &UdpSocket,
) -> bool {
    // Also where the one that follows has overtaken it.
    (0..3).any(|_| {
        let [first, second] = [tag(), tag()];
        from.send_to(&first, to).unwrap();
        known.send_to(&second, to).unwrap();
        let mut has_first = false;
        loop {
            let mut buffer = [0; 16];
            let (length, source) = at.recv_from(&mut buffer).unwrap();
            if buffer[..length] == first {
                assert_eq!(source, from.local_addr().unwrap());
                has_first = true;
            }
            if buffer[..length] == second {
                return has_first;
            }
        }
    })
}

/// Waits until a condition holds.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + LIMIT;
    while !holds() {
        assert!(std::time::Instant::now() < end, "{what} within {LIMIT:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub(crate) fn read(name: &str) -> String {
    std::fs::read_to_string(format!("/proc/sys/net/{name}")).unwrap().trim_end().to_owned()
}

pub(crate) fn write(name: &str, value: &str) {
    std::fs::write(format!("/proc/sys/net/{name}"), value).unwrap();
}

pub(crate) fn add_addresses(network: &OwnedFd, index: u32, addresses: &[&str]) {
    let requests: Vec<Request> =
        addresses.iter().map(|one| addr::add((*one).to_owned(), index, cidr(one))).collect();
    ask(network, &requests);
}

pub(crate) fn cidr(address: &str) -> Cidr {
    let address: IpAddr = address.parse().unwrap();
    Cidr::new(address, if address.is_ipv4() { 24 } else { 64 }).unwrap()
}

fn add_route(network: &OwnedFd, (to, prefix): (&str, u8), via: &str) {
    let subnet = Subnet::new(to.parse::<IpAddr>().unwrap(), prefix).unwrap();
    let via = (Some(via.parse().unwrap()), None);
    ask(network, &[route::add(to.to_owned(), subnet, via, Rank::Instead)]);
}

/// Returns bytes that no other datagram has.
fn tag() -> [u8; 4] {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed).to_ne_bytes()
}
