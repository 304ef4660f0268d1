//! The state of one network namespace. Pure.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::evidence::code::{facts, words};
use crate::evidence::facts::link::Packet;

facts! {
    /// A network.
    struct Network {
        /// Name of the node; `net:[4026532]` for a network of no node; empty for the network of the
        /// test itself, unless that is a node, too.
        node: String,
        /// Inode of the namespace, as `/proc/<pid>/ns/net` shows it.
        inode: u64,
        sockets: Vec<Socket>,
        interfaces: Vec<Interface>,
        routes: Vec<Route>,
        rules: Vec<Rule>,
        neighbours: Vec<Neighbour>,
        /// Counters of `/proc/net/{snmp,snmp6,netstat}` that are not 0, by names such as
        /// `TcpExt.ListenOverflows`, `Udp.RcvbufErrors`, `Ip.OutNoRoutes`, `Ip6OutNoRoutes`.
        counters: Vec<Count>,
        /// Settings by path below `/proc/sys`: `net/ipv4/ip_forward`,
        /// `net/ipv4/conf/eth0/rp_filter`.
        settings: Vec<Setting>,
        /// Attempts that the flight recorder has kept; none without one.
        attempts: Option<Vec<Attempt>>,
        /// Rules of packet filters that have matched a packet and dropped or rejected it.
        filters: Vec<Filter>,
        /// Sentences about what could not be read.
        gaps: Vec<String>,
        /// Whether it is the network of the test itself: of the main thread of its process.
        is_own: bool,
        /// Flows whose packets rules of the lab have dropped or rejected, the latest first. Where a
        /// NAT has translated the destination, it is that inside.
        dropped: Vec<Packet>,
    }
}

facts! {
    /// A socket.
    struct Socket {
        protocol: Protocol,
        local: Option<SocketAddr>,
        remote: Option<SocketAddr>,
        state: SocketState,
        inode: u64,
        uid: u32,
        /// Unread bytes; of a listening socket, connections that wait to be accepted.
        received: u32,
        /// Bytes that are not acknowledged; of a listening socket, the limit of its queue.
        unsent: u32,
        /// Datagrams that were dropped since the receive buffer was full.
        drops: Option<u64>,
        is_v6_only: Option<bool>,
        /// Retransmissions of the oldest segment.
        retransmits: u32,
        /// Interface that the socket is bound to; 0 for any.
        device: u32,
        /// Path or name of a UNIX socket.
        path: String,
        /// Bytes that a TCP socket has received in all, if the kernel says it.
        came: Option<u64>,
    }
}

words! {
    /// Protocol of a socket or packet.
    enum Protocol {
        Other = "?",
        Tcp = "tcp",
        Udp = "udp",
        Icmp = "icmp",
        Raw = "raw",
        Unix = "unix",
        Netlink = "netlink",
        Packet = "packet",
    }
}

words! {
    /// State of a socket (RFC 9293; a UDP socket is `ESTAB` if it is connected, else `UNCONN`).
    enum SocketState {
        Close = "UNCONN",
        Listen = "LISTEN",
        Established = "ESTAB",
        SynSent = "SYN-SENT",
        SynReceived = "SYN-RECV",
        FinWait1 = "FIN-WAIT-1",
        FinWait2 = "FIN-WAIT-2",
        TimeWait = "TIME-WAIT",
        CloseWait = "CLOSE-WAIT",
        LastAck = "LAST-ACK",
        Closing = "CLOSING",
    }
}

facts! {
    /// An interface.
    struct Interface {
        index: u32,
        name: String,
        kind: String,
        mac: String,
        mtu: u32,
        is_up: bool,
        /// Whether packets pass: the other end is up, too.
        has_carrier: bool,
        /// Index of the bridge that it is a port of; 0 for none.
        bridge: u32,
        addresses: Vec<Address>,
        rx_packets: u64,
        tx_packets: u64,
        rx_dropped: u64,
        tx_dropped: u64,
    }
}

facts! {
    /// An address of an interface.
    struct Address {
        address: IpAddr,
        prefix: u8,
        /// Duplicate address detection has not ended (RFC 4862).
        is_tentative: bool,
        /// Another host has the address.
        is_duplicate: bool,
    }
}

facts! {
    /// A route.
    struct Route {
        destination: IpAddr,
        prefix: u8,
        via: Option<IpAddr>,
        /// Index of the interface; 0 for none.
        device: u32,
        table: u32,
        metric: u32,
        /// `unicast`, `blackhole`, `unreachable`, `prohibit`, `throw`, `local`, `broadcast`, …
        kind: String,
        /// Whether its interface has carrier.
        is_usable: bool,
    }
}

facts! {
    /// A rule of the routing policy.
    struct Rule {
        is_ipv4: bool,
        priority: u32,
        /// `from 10.0.0.1`
        selector: String,
        /// `lookup main`, `blackhole`
        action: String,
    }
}

facts! {
    /// A neighbour entry.
    struct Neighbour {
        address: IpAddr,
        device: u32,
        mac: String,
        /// `REACHABLE`, `STALE`, `FAILED`, … (ip-neighbour(8)).
        state: String,
    }
}

facts! {
    /// A counter.
    struct Count {
        name: String,
        value: u64,
    }
}

facts! {
    /// A setting.
    struct Setting {
        name: String,
        value: String,
    }
}

facts! {
    /// Something that a node tried, or an answer that it got.
    struct Attempt {
        kind: AttemptKind,
        protocol: Protocol,
        from: Option<SocketAddr>,
        to: Option<SocketAddr>,
        /// Time of the last one, of the monotonic clock; none if it is unknown.
        at: Option<Duration>,
        /// Number of packets.
        count: u64,
        /// Of an ICMP error: `port unreachable`.
        text: String,
    }
}

words! {
    /// Kind of an attempt.
    enum AttemptKind {
        /// The node has closed a connection that was never answered: the SYN or the answer was
        /// lost.
        Syn = "connection unanswered",
        /// The node has received a RST from the remote end `from`. The own end is `to`, without its
        /// address in IPv6.
        Reset = "RST received",
        /// The node has received an ICMP error from `from`, about a packet that it sent to `to`.
        IcmpError = "ICMP error received",
        /// The node has sent a packet to `to` that no route of its own takes.
        Escape = "sent without a route",
        /// A TCP socket without a connection was closed: one that has listened at its own end
        /// `from`, or whose connection was refused.
        Closed = "closed without a connection",
    }
}

facts! {
    /// A rule of a packet filter that has matched.
    struct Filter {
        /// `inet filter`
        table: String,
        chain: String,
        /// The rule as text, as far as it can be shown.
        text: String,
        /// `drop`, `reject`
        verdict: String,
        packets: u64,
    }
}

impl Network {
    /// Adds what another reading of the same network has found.
    pub(crate) fn join(&mut self, part: Self) {
        self.sockets.extend(part.sockets);
        self.interfaces.extend(part.interfaces);
        self.routes.extend(part.routes);
        self.rules.extend(part.rules);
        self.neighbours.extend(part.neighbours);
        self.counters.extend(part.counters);
        self.settings.extend(part.settings);
        self.filters.extend(part.filters);
        self.gaps.extend(part.gaps);
        self.dropped.extend(part.dropped);
        if let Some(attempts) = part.attempts {
            self.attempts.get_or_insert_default().extend(attempts);
        }
    }

    /// Returns a counter; 0 if it is not listed.
    pub(crate) fn counter(&self, name: &str) -> u64 {
        self.counters.iter().find(|one| one.name == name).map_or(0, |one| one.value)
    }

    /// Returns a setting, such as `net/ipv4/ip_forward`.
    pub(crate) fn setting(&self, name: &str) -> Option<&str> {
        self.settings.iter().find(|one| one.name == name).map(|one| one.value.as_str())
    }

    /// Returns the interface with this index.
    pub(crate) fn interface(&self, index: u32) -> Option<&Interface> {
        self.interfaces.iter().find(|one| one.index == index)
    }
}
