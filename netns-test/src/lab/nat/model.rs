//! What a NAT and a firewall say about themselves. Pure.

use std::fmt;
use std::net::SocketAddrV4;
use std::time::Duration;

use crate::lab::topology::{PortMappingProtocol, Transport};

/// A mapping of a NAT.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NatMapping {
    /// Name of the outside interface.
    pub interface: String,
    /// Protocol.
    pub protocol: NatProtocol,
    /// Inside endpoint; for ICMP the port is the identifier of the query.
    pub inside: SocketAddrV4,
    /// External endpoint.
    pub outside: SocketAddrV4,
    /// Time until the mapping expires, without packets if it is not leased; `None` if it does not.
    pub expires: Option<Duration>,
    /// Protocol by which an inside host has leased it; `None` if a packet has made it.
    pub leased_by: Option<PortMappingProtocol>,
}

/// External port that an inside endpoint has leased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LeasedPort {
    pub(crate) protocol: Transport,
    pub(crate) external_port: u16,
    pub(crate) inside: SocketAddrV4,
    /// `None` if it does not expire.
    pub(crate) expires: Option<Duration>,
}

/// Protocol of a [`NatMapping`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum NatProtocol {
    /// ICMP queries.
    Icmp,
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// A rule of a firewall or a NAT with its counters.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FirewallCounter {
    /// Text of the rule: `firewall of home: drop out udp`.
    pub text: String,
    /// Packets that the rule has decided about. Of a flow that may pass, it is the first one only.
    pub packets: u64,
    /// Bytes of these packets.
    pub bytes: u64,
}

impl From<Transport> for NatProtocol {
    fn from(transport: Transport) -> Self {
        match transport {
            Transport::Tcp => Self::Tcp,
            Transport::Udp => Self::Udp,
        }
    }
}

impl NatProtocol {
    /// Returns the protocol of a number in an IP header.
    pub(crate) fn of_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Icmp),
            6 => Some(Self::Tcp),
            17 => Some(Self::Udp),
            _ => None,
        }
    }
}

impl fmt::Display for NatProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Icmp => "icmp",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// Writes the mapping as `udp 192.168.1.2:5000 = 203.0.113.1:5000`, and `, leased by PCP`.
impl fmt::Display for NatMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} = {}", self.protocol, self.inside, self.outside)?;
        self.leased_by.map_or(Ok(()), |by| write!(f, ", leased by {by}"))
    }
}

/// Writes the counter as `firewall of home: drop out udp: 3 packets`.
impl fmt::Display for FirewallCounter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.packets == 1 { "" } else { "s" };
        write!(f, "{}: {} packet{plural}", self.text, self.packets)
    }
}
