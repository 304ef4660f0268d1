//! Snapshot: state of a lab's network at one moment, as plain data.

pub(crate) mod links;
pub(crate) mod read;
pub(crate) mod text;

use std::net::{IpAddr, SocketAddr};
use std::ops::{Index, RangeInclusive};

use crate::addr::cidr::{Cidr, Subnet};
use crate::addr::mac::Mac;
use crate::lab::nat::model::{FirewallCounter, NatMapping};
pub use crate::lab::observe::snapshot::links::{DirectionState, LinkRuleState, LinkState};
use crate::lab::observe::sockets::Protocol;
use crate::lab::plan::nat::NatPlan;
use crate::lab::topology::{NodeId, NodeKind};

/// State of all nodes and links of a lab, in the order of declaration
/// ([`Lab::snapshot`](crate::Lab::snapshot)).
///
/// `snapshot[node]` is the state of one node. `Display` prints each node in the format of `ip` and
/// `ss`, and each link that can be impaired. To compare a snapshot with one of another run, by
/// `assert_eq!` or with a crate for snapshot tests, take the [stable](Self::stable) form.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Snapshot {
    /// States, one for each node.
    pub nodes: Vec<NodeState>,
    /// States, one for each link.
    pub links: Vec<LinkState>,
    ids: Ids,
}

/// Ids of the nodes of a snapshot. All are equal, so that snapshots of two labs can be.
#[derive(Clone, Debug)]
pub(crate) struct Ids(pub(crate) Vec<NodeId>);

impl PartialEq for Ids {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// State of one node.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct NodeState {
    /// Name of the node.
    pub name: String,
    /// Kind of the node.
    pub kind: NodeKind,
    /// Whether the node is powered on. If not, all other lists are empty.
    pub is_on: bool,
    /// Interfaces in the order of their indexes.
    pub interfaces: Vec<InterfaceState>,
    /// Routes of all tables, except those that the kernel makes for the node's own addresses: IPv4
    /// first, then the main table first, then by destination.
    pub routes: Vec<RouteState>,
    /// Rules (ip-rule(8)): IPv4 first, in the order of the kernel.
    pub rules: Vec<RuleState>,
    /// Neighbour entries, by interface and address.
    pub neighbours: Vec<NeighbourState>,
    /// TCP and UDP sockets, by protocol and addresses.
    pub sockets: Vec<SocketState>,
    /// NATs of a router.
    pub nats: Vec<NatState>,
    /// Rules of the firewall and of NATs, with their counters.
    pub filters: Vec<FirewallCounter>,
    /// Range of the ephemeral ports (`ip_local_port_range`).
    ephemeral: RangeInclusive<u16>,
}

/// State of an interface.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct InterfaceState {
    /// Name of the interface.
    pub name: String,
    /// Kind in the kernel's words: `veth`, `bridge`, `loopback`; `device` if the kernel has none.
    pub kind: String,
    /// Ethernet address, if the interface has one.
    pub mac: Option<Mac>,
    /// MTU in bytes.
    pub mtu: u32,
    /// Whether the interface is administratively up.
    pub is_up: bool,
    /// Whether the interface is up and has carrier. An end of a link has none while the other end
    /// is down.
    pub is_running: bool,
    /// Name of the bridge that the interface is a port of.
    pub bridge: Option<String>,
    /// Addresses in the order of the kernel, IPv4 first, with link-local ones.
    pub addresses: Vec<Cidr>,
    /// Other attributes of each of [`addresses`](Self::addresses), in the format of ip-address(8):
    /// `peer 10.0.0.2/32`, `scope link`, `noprefixroute`.
    pub address_details: Vec<Vec<String>>,
    /// Counters of the interface; none in the stable form.
    pub counters: Option<Counters>,
}

/// Counters of an interface since its creation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Received packets.
    pub rx_packets: u64,
    /// Received bytes, with Ethernet headers.
    pub rx_bytes: u64,
    /// Received packets that were dropped.
    pub rx_dropped: u64,
    /// Sent packets.
    pub tx_packets: u64,
    /// Sent bytes, with Ethernet headers.
    pub tx_bytes: u64,
    /// Packets that were dropped before they were sent.
    pub tx_dropped: u64,
}

/// Route of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouteState {
    /// Destination: all packets with a destination address in this subnet.
    pub destination: Subnet,
    /// Gateway, if the route has one next hop with a gateway.
    pub via: Option<IpAddr>,
    /// Name of the interface, if the route has one next hop.
    pub dev: Option<String>,
    /// Next hops: one for most routes, none for a `blackhole` or the like.
    pub next_hops: Vec<NextHopState>,
    /// Number of the route's table: 254 is main, 255 is local.
    pub table: u32,
    /// Metric: of several routes to one destination the kernel takes the lowest. The default is 0
    /// in IPv4 and 1024 in IPv6.
    pub metric: u32,
    /// Other attributes in the format of ip-route(8): `proto static`, `src 10.0.0.1`, `mtu lock
    /// 1300`. An attribute that ip-route(8) does not know has its number.
    pub details: Vec<String>,
    /// Type of the route: `unicast`, `blackhole`, … (ip-route(8)).
    pub kind: String,
    /// Whether packets can take the route: it is unicast, and its interface has carrier.
    pub is_usable: bool,
}

/// Next hop of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NextHopState {
    /// Gateway, if the next hop has one.
    pub via: Option<IpAddr>,
    /// Name of the interface.
    pub dev: Option<String>,
    /// Weight among several next hops; none for the only one.
    pub weight: Option<u16>,
    /// Other attributes: `onlink`, `encap mpls 0x…`.
    pub details: Vec<String>,
}

/// Rule of the routing policy (ip-rule(8)).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RuleState {
    /// Whether the rule is for IPv4, not IPv6.
    pub is_ipv4: bool,
    /// Priority: the kernel tries the lowest first.
    pub priority: u32,
    /// Packets that the rule matches: `from all`, `from 10.0.0.1 fwmark 0x1`.
    pub selector: String,
    /// Action, with all other attributes: `lookup main`, `blackhole`.
    pub action: String,
    /// Whether the kernel has made the rule, as in every network namespace.
    is_default: bool,
}

/// State of a NAT.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct NatState {
    /// NAT that the router has now.
    pub nat: NatPlan,
    /// Mappings, by protocol and inside endpoint; none in the stable form.
    pub mappings: Vec<NatMapping>,
}

/// Neighbour entry: the Ethernet address of an address on a link.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NeighbourState {
    /// IP address of the neighbour.
    pub address: IpAddr,
    /// Name of the interface.
    pub dev: String,
    /// Ethernet address of the neighbour, if it is known.
    pub mac: Option<Mac>,
    /// State of the entry: `REACHABLE`, `STALE`, `FAILED`, … (ip-neighbour(8)).
    pub state: String,
}

/// State of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct SocketState {
    /// Protocol of the socket.
    pub protocol: Protocol,
    /// Local address.
    pub local: SocketAddr,
    /// Remote address, if the socket is connected.
    pub remote: Option<SocketAddr>,
    /// State of the connection. A UDP socket is [`Established`](TcpState::Established) if it is
    /// connected, else [`Close`](TcpState::Close).
    pub state: TcpState,
    /// Whether a listening IPv6 socket refuses IPv4 (`IPV6_V6ONLY` of ipv6(7)); none for other
    /// sockets, and on a kernel without `sock_diag(7)`.
    pub is_ipv6_only: Option<bool>,
    /// Datagrams dropped as the receive buffer was full; none for TCP and in the stable form.
    pub drops: Option<u64>,
}

/// State of a TCP connection (RFC 9293, section 3.3.2). `Display` prints the word of ss(8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum TcpState {
    /// LISTEN: accepts connections.
    Listen,
    /// ESTABLISHED: both ends may send.
    Established,
    /// SYN-SENT: the connection was requested.
    SynSent,
    /// SYN-RECEIVED: a request for a connection was received and answered.
    SynReceived,
    /// FIN-WAIT-1: this end has closed; the peer has not acknowledged.
    FinWait1,
    /// FIN-WAIT-2: this end has closed; the peer has acknowledged, and may still send.
    FinWait2,
    /// TIME-WAIT: both ends have closed; late segments are awaited.
    TimeWait,
    /// CLOSED: no connection.
    Close,
    /// CLOSE-WAIT: the peer has closed; this end may still send.
    CloseWait,
    /// LAST-ACK: the peer closed first, then this end; the peer has not acknowledged.
    LastAck,
    /// CLOSING: both ends have closed at the same time; the peer has not acknowledged.
    Closing,
}

impl Snapshot {
    pub(crate) fn new(nodes: Vec<NodeState>, links: Vec<LinkState>, ids: Vec<NodeId>) -> Self {
        Self { nodes, links, ids: Ids(ids) }
    }

    /// Returns the state of the link of this name, if there is one.
    #[must_use]
    pub fn link(&self, name: &str) -> Option<&LinkState> {
        self.links.iter().find(|link| link.name == name)
    }

    /// Returns the state of the node of this name, if there is one.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&NodeState> {
        self.nodes.iter().find(|node| node.name == name)
    }

    /// Returns the snapshot without what differs from run to run: counters, drops and hits,
    /// neighbour entries, lifetimes of addresses and routes, mappings of NATs, and connections that
    /// are being opened or closed. Ephemeral ports become 0. Sockets that are then equal are listed
    /// once.
    ///
    /// The kernel does not record whether a program or the kernel chose a port. Every port of the
    /// ephemeral range (`ip_local_port_range` of ip(7), 32768 to 60999 by default) becomes 0: also
    /// port 50051 of a server that the test binds.
    #[must_use]
    pub fn stable(mut self) -> Self {
        self.links.iter_mut().for_each(LinkState::stabilize);
        for node in &mut self.nodes {
            node.neighbours.clear();
            node.nats.iter_mut().for_each(|nat| nat.mappings.clear());
            node.filters.iter_mut().for_each(|rule| (rule.packets, rule.bytes) = (0, 0));
            for interface in &mut node.interfaces {
                interface.counters = None;
                interface.address_details.iter_mut().for_each(without_times);
            }
            node.routes.iter_mut().for_each(|route| without_times(&mut route.details));
            let is_lasting = |socket: &SocketState| {
                socket.protocol == Protocol::Udp
                    || matches!(socket.state, TcpState::Listen | TcpState::Established)
            };
            node.sockets.retain(is_lasting);
            for socket in &mut node.sockets {
                socket.drops = None;
                for address in [Some(&mut socket.local), socket.remote.as_mut()] {
                    let chosen = address.filter(|one| node.ephemeral.contains(&one.port()));
                    chosen.into_iter().for_each(|address| address.set_port(0));
                }
            }
            node.sockets.sort_unstable();
            node.sockets.dedup();
        }
        self
    }
}

/// Removes remaining lifetimes, but not the fact that there is one, and the state of DAD.
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

/// # Panics
///
/// For a node of another topology, and for one that the lab did not have when the snapshot was
/// taken.
impl Index<NodeId> for Snapshot {
    type Output = NodeState;

    #[track_caller]
    fn index(&self, node: NodeId) -> &NodeState {
        match self.ids.0.iter().position(|id| *id == node) {
            Some(at) => &self.nodes[at],
            None => {
                panic!("this node is not in the snapshot: its id is of another topology, or newer")
            }
        }
    }
}

impl NodeState {
    /// Returns the state of the interface of this name, if there is one.
    #[must_use]
    pub fn interface(&self, name: &str) -> Option<&InterfaceState> {
        self.interfaces.iter().find(|interface| interface.name == name)
    }
}
