//! What the network of a lab looks like at one moment, as plain data. Its `Display` prints what `ip`
//! and `ss` would.

mod read;
mod text;

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use crate::lab::cidr::{Cidr, Subnet};
use crate::lab::mac::Mac;
use crate::lab::sockets::Protocol;
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
    pub hosts: Vec<HostState>,
}

/// One node.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct HostState {
    /// The node's name.
    pub name: String,
    /// What the node is.
    pub kind: NodeKind,
    /// Whether it is powered on; all else is empty if not.
    pub is_on: bool,
    /// The interfaces, in the order of their indexes.
    pub links: Vec<LinkState>,
    /// The routes of the main table, but for those to `lo` alone; IPv4 first, by destination.
    pub routes: Vec<RouteState>,
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
pub struct LinkState {
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
    /// The gateway, if it has one.
    pub via: Option<IpAddr>,
    /// The name of the interface; none for one that leads nowhere, or several ways.
    pub dev: Option<String>,
    /// `unicast`, `blackhole`, … (ip-route(8)).
    pub kind: String,
    /// Whether packets go there: it is unicast, and its interface carries packets.
    pub is_usable: bool,
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
    pub fn host(&self, name: &str) -> Option<&HostState> {
        self.hosts.iter().find(|host| host.name == name)
    }

    /// The same without what changes from run to run: counters, neighbours, the numbers of ports that
    /// the kernel has chosen, which are 0 then, and connections that come or go. Sockets that are alike
    /// without these are there once.
    ///
    /// The kernel does not tell who has chosen a port: all of its own range (`ip_local_port_range`, 32768
    /// to 60999 unless a sysctl has another) are taken for such, 50051 of a server of the test's, too.
    #[must_use]
    pub fn stable(mut self) -> Self {
        for host in &mut self.hosts {
            host.neighbours.clear();
            host.links.iter_mut().for_each(|link| link.counters = None);
            let is_lasting = |socket: &SocketState| {
                socket.protocol == Protocol::Udp
                    || matches!(socket.state, TcpState::Listen | TcpState::Established)
            };
            host.sockets.retain(is_lasting);
            for socket in &mut host.sockets {
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

impl HostState {
    /// The interface of that name, if there is one.
    #[must_use]
    pub fn link(&self, name: &str) -> Option<&LinkState> {
        self.links.iter().find(|link| link.name == name)
    }
}
