//! Words of a NAT and of a firewall. Pure.

use std::ops::RangeInclusive;

use crate::addr::cidr::Subnet;
use crate::lab::topology::id::NodeId;
use crate::lab::topology::nat::reference::Reference;

/// Dependence of the external endpoint of a mapping on the destination (RFC 4787, section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mapping {
    /// One external endpoint for all destinations.
    EndpointIndependent,
    /// One external endpoint for all ports of a destination address.
    AddressDependent,
    /// One external endpoint for each destination address and port.
    AddressAndPortDependent,
}

/// Outside endpoints whose packets a mapping lets in (RFC 4787, section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Filtering {
    /// Every endpoint.
    EndpointIndependent,
    /// Endpoints at addresses to which the inside endpoint has sent.
    AddressDependent,
    /// Endpoints to which the inside endpoint has sent.
    AddressAndPortDependent,
}

/// Treatment of IPv6 by a NAT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ipv6Nat {
    /// Routed without translation.
    #[default]
    Routed,
    /// Translated to the address of the outside interface, as IPv4 is.
    Masquerade,
    /// Not forwarded.
    Blocked,
    /// Prefixes of addresses are translated, in both directions and without state (RFC 6296):
    /// [`Nat::nptv6`](super::Nat::nptv6).
    Prefix {
        /// Prefix of addresses inside.
        inside: Subnet,
        /// Prefix of the same length by which outside nodes know them.
        outside: Subnet,
    },
}

/// Protocol of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// Packets that a firewall's rule matches, by protocol, ports and remote nodes.
#[derive(Clone, Debug, PartialEq)]
pub struct Traffic {
    pub(crate) protocol: TrafficProtocol,
    /// Destination ports; empty for all.
    pub(crate) ports: Vec<RangeInclusive<u16>>,
    /// Nodes that send, and nodes to which is sent; empty for all.
    pub(crate) from: Vec<Reference<NodeId>>,
    pub(crate) to: Vec<Reference<NodeId>>,
}

/// Protocol of [`Traffic`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TrafficProtocol {
    Any,
    Tcp,
    Udp,
    /// ICMP and ICMPv6, without errors and neighbour discovery.
    Ping,
}

/// Direction of a connection or of its first packet: to or from the outside, on a host to or from
/// the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FirewallDirection {
    /// From inside to outside.
    Out,
    /// From outside to inside.
    In,
}

/// Fate of a packet that a rule matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FirewallAction {
    /// Passes.
    Allow,
    /// Is dropped in silence.
    Drop,
    /// Is answered: a TCP segment by RST, all else by ICMP "administratively prohibited".
    Reject,
}

/// A rule of a firewall.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FirewallRule {
    pub(crate) direction: FirewallDirection,
    pub(crate) traffic: Traffic,
    pub(crate) action: FirewallAction,
}

impl Traffic {
    /// Creates a matcher of all packets.
    #[must_use]
    pub fn any() -> Self {
        let (ports, from, to) = (Vec::new(), Vec::new(), Vec::new());
        Self { protocol: TrafficProtocol::Any, ports, from, to }
    }

    /// Creates a matcher of TCP connections to a port.
    #[must_use]
    pub fn tcp(port: u16) -> Self {
        Self::tcp_ports(port..=port)
    }

    /// Creates a matcher of TCP connections to ports.
    #[must_use]
    pub fn tcp_ports(ports: RangeInclusive<u16>) -> Self {
        Self { protocol: TrafficProtocol::Tcp, ports: vec![ports], ..Self::any() }
    }

    /// Creates a matcher of UDP flows to a port.
    #[must_use]
    pub fn udp(port: u16) -> Self {
        Self::udp_ports(port..=port)
    }

    /// Creates a matcher of UDP flows to ports.
    #[must_use]
    pub fn udp_ports(ports: RangeInclusive<u16>) -> Self {
        Self { protocol: TrafficProtocol::Udp, ports: vec![ports], ..Self::any() }
    }

    /// Creates a matcher of all TCP connections.
    #[must_use]
    pub fn all_tcp() -> Self {
        Self { protocol: TrafficProtocol::Tcp, ..Self::any() }
    }

    /// Creates a matcher of all UDP flows.
    #[must_use]
    pub fn all_udp() -> Self {
        Self { protocol: TrafficProtocol::Udp, ..Self::any() }
    }

    /// Creates a matcher of ICMP and ICMPv6 echo requests.
    #[must_use]
    pub fn ping() -> Self {
        Self { protocol: TrafficProtocol::Ping, ..Self::any() }
    }

    /// Adds one more destination port.
    #[must_use]
    pub fn and_port(mut self, port: u16) -> Self {
        self.ports.push(port..=port);
        self
    }

    /// Restricts the matcher to packets from a node; more calls add nodes.
    #[must_use]
    pub fn from(mut self, node: NodeId) -> Self {
        self.from.push(Reference::Id(node));
        self
    }

    /// Restricts the matcher to packets to a node; more calls add nodes.
    #[must_use]
    pub fn to(mut self, node: NodeId) -> Self {
        self.to.push(Reference::Id(node));
        self
    }
}
