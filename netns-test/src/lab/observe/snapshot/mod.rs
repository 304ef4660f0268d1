//! What the network of a lab looks like at one moment, as plain data. Its `Display` prints what `ip`
//! and `ss` would.

pub(crate) mod read;
pub(crate) mod text;

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use crate::addr::cidr::{Cidr, Subnet};
use crate::addr::mac::Mac;
use crate::lab::observe::sockets::Protocol;
use crate::lab::topology::NodeKind;

/// The state of all nodes ([`Lab::snapshot`](crate::lab::Lab::snapshot)), in the order of declaration.
///
/// Its `Display` is what `ip` and `ss` would print of each node. To compare it with what was written
/// down in another run, by `assert_eq!` or with a crate for snapshots, take the [stable](Self::stable)
/// form.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Snapshot {
    /// One for each node.
    pub hosts: Vec<NodeState>,
}

/// One node.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct NodeState {
    /// The node's name.
    pub name: String,
    /// What the node is.
    pub kind: NodeKind,
    /// Whether it is powered on; all else is empty if not.
    pub is_on: bool,
    /// The interfaces, in the order of their indexes.
    pub links: Vec<InterfaceState>,
    /// The routes of all tables, but for those that the kernel makes for the node's own addresses; IPv4
    /// first, the main table first, by destination.
    pub routes: Vec<RouteState>,
    /// The rules that say which table is looked up, IPv4 first, in the kernel's order.
    pub rules: Vec<RuleState>,
    /// The neighbours whose Ethernet addresses the kernel knows or has asked for, by interface and
    /// address.
    pub neighbours: Vec<NeighbourState>,
    /// The sockets of TCP and UDP, by protocol and addresses.
    pub sockets: Vec<SocketState>,
    /// From where the kernel takes ports that nobody has asked for.
    ephemeral: RangeInclusive<u16>,
}

/// An interface.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct InterfaceState {
    /// Its name.
    pub name: String,
    /// The kernel's word for its kind: `veth`, `bridge`, `loopback`; `device` where it has none.
    pub kind: String,
    /// Its Ethernet address, if it has one.
    pub mac: Option<Mac>,
    /// Its MTU in bytes.
    pub mtu: u32,
    /// Whether it was brought up.
    pub is_up: bool,
    /// Whether it can carry packets: a cable carries none while its other end is down.
    pub is_running: bool,
    /// The bridge that it is a port of.
    pub bridge: Option<String>,
    /// Its addresses, in the kernel's order, IPv4 first; link-local ones, too.
    pub addresses: Vec<Cidr>,
    /// All else that the kernel says of each of [`addresses`](Self::addresses), in the words of
    /// ip-address(8): `peer 10.0.0.2/32`, `scope link`, `noprefixroute`.
    pub address_details: Vec<Vec<String>>,
    /// What it has carried; none in the stable form.
    pub counters: Option<Counters>,
}

/// What an interface has carried since it is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Packets that were received.
    pub rx_packets: u64,
    /// Their bytes, with Ethernet headers.
    pub rx_bytes: u64,
    /// Packets that were received and dropped.
    pub rx_dropped: u64,
    /// Packets that were sent.
    pub tx_packets: u64,
    /// Their bytes, with Ethernet headers.
    pub tx_bytes: u64,
    /// Packets that were to be sent and were dropped.
    pub tx_dropped: u64,
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouteState {
    /// Where it leads.
    pub destination: Subnet,
    /// The gateway, if it has one; none for one that leads several ways.
    pub via: Option<IpAddr>,
    /// The name of the interface; none for one that leads nowhere, or several ways.
    pub dev: Option<String>,
    /// The next hops: one for most routes, none for one that leads nowhere.
    pub next_hops: Vec<NextHopState>,
    /// The number of its table: 254 is main, 255 local.
    pub table: u32,
    /// The metric, which `ip route` calls so, or a route's priority: of several routes to one destination
    /// the least is used. 0 in IPv4, 1024 in IPv6, if it was added without one.
    pub metric: u32,
    /// All else that the kernel says of it, in the words of ip-route(8): `proto static`, `src 10.0.0.1`,
    /// `mtu lock 1300`. What has no word there is there by its number.
    pub details: Vec<String>,
    /// `unicast`, `blackhole`, … (ip-route(8)).
    pub kind: String,
    /// Whether packets go there: it is unicast, and its interface carries packets.
    pub is_usable: bool,
}

/// A next hop of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NextHopState {
    /// The gateway, if it has one.
    pub via: Option<IpAddr>,
    /// The name of the interface.
    pub dev: Option<String>,
    /// Its share among several; none for the only one.
    pub weight: Option<u16>,
    /// All else: `onlink`, `encap mpls 0x…`.
    pub details: Vec<String>,
}

/// A rule (ip-rule(8)).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RuleState {
    /// Whether it is for IPv4, and not for IPv6.
    pub is_ipv4: bool,
    /// Its priority: the least is tried first.
    pub priority: u32,
    /// The packets that it is for: `from all`, `from 10.0.0.1 fwmark 0x1`.
    pub selector: String,
    /// What becomes of them, with all else: `lookup main`, `blackhole`.
    pub action: String,
    /// Whether the kernel has made it, as in every network.
    is_default: bool,
}

/// A neighbour.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NeighbourState {
    /// Its address.
    pub address: IpAddr,
    /// The name of the interface.
    pub dev: String,
    /// Its Ethernet address, if that is known.
    pub mac: Option<Mac>,
    /// `REACHABLE`, `STALE`, `FAILED`, … (ip-neighbour(8)).
    pub state: String,
}

/// A socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct SocketState {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Its own address.
    pub local: SocketAddr,
    /// The other end's, if it is connected.
    pub remote: Option<SocketAddr>,
    /// Where a connection stands; for UDP [`Established`](TcpState::Established) if it is connected, and
    /// [`Close`](TcpState::Close) if not.
    pub state: TcpState,
    /// Whether a socket of IPv6 that waits for others takes IPv6 alone (`IPV6_V6ONLY`); none for others,
    /// and from a kernel without `sock_diag(7)`.
    pub is_ipv6_only: Option<bool>,
    /// Datagrams that the socket has dropped, as its buffer was full; none of TCP and in the stable form.
    pub drops: Option<u64>,
}

/// Where a connection of TCP stands, by RFC 9293. Its `Display` is the word of `ss`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum TcpState {
    /// Waits for others.
    Listen,
    /// Stands.
    Established,
    /// Has asked for a connection.
    SynSent,
    /// Was asked for one.
    SynReceived,
    /// Has closed its side, and has no answer yet.
    FinWait1,
    /// Has closed its side.
    FinWait2,
    /// Keeps the addresses from being used again for a while.
    TimeWait,
    /// Is none.
    Close,
    /// The other end has closed its side.
    CloseWait,
    /// Both have, and there is no answer yet to the second time.
    LastAck,
    /// Both have at the same time.
    Closing,
}

impl Snapshot {
    /// The node of that name, if there is one.
    #[must_use]
    pub fn host(&self, name: &str) -> Option<&NodeState> {
        self.hosts.iter().find(|host| host.name == name)
    }

    /// The same without what changes from run to run: counters and drops, neighbours, the time that is
    /// left to addresses and routes, the numbers of ports that the kernel has chosen, which are 0 then, and
    /// connections that come or go. Sockets that are alike without these are there once.
    ///
    /// The kernel does not tell who has chosen a port: all of its own range (`ip_local_port_range`, 32768
    /// to 60999 unless a sysctl has another) are taken for such, 50051 of a server of the test's, too.
    #[must_use]
    pub fn stable(mut self) -> Self {
        for host in &mut self.hosts {
            host.neighbours.clear();
            for link in &mut host.links {
                link.counters = None;
                link.address_details.iter_mut().for_each(without_times);
            }
            host.routes.iter_mut().for_each(|route| without_times(&mut route.details));
            let is_lasting = |socket: &SocketState| {
                socket.protocol == Protocol::Udp
                    || matches!(socket.state, TcpState::Listen | TcpState::Established)
            };
            host.sockets.retain(is_lasting);
            for socket in &mut host.sockets {
                socket.drops = None;
                for address in [Some(&mut socket.local), socket.remote.as_mut()] {
                    let chosen = address.filter(|one| host.ephemeral.contains(&one.port()));
                    chosen.into_iter().for_each(|address| address.set_port(0));
                }
            }
            host.sockets.sort_unstable();
            host.sockets.dedup();
        }
        self
    }
}

/// That there is an end, and not when; and not how far the kernel is with a new address.
fn without_times(details: &mut Vec<String>) {
    const TIMES: [&str; 3] = ["expires", "valid_lft", "preferred_lft"];
    details.retain(|words| words != "tentative" && words != "optimistic");
    for words in details {
        let (name, time) = words.split_once(' ').unwrap_or((words, ""));
        if TIMES.contains(&name) && time != "0sec" {
            *words = name.to_owned();
        }
    }
}

impl NodeState {
    /// The interface of that name, if there is one.
    #[must_use]
    pub fn link(&self, name: &str) -> Option<&InterfaceState> {
        self.links.iter().find(|link| link.name == name)
    }
}
