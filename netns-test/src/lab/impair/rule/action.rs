//! What a rule does to the packets that it chooses. Pure.

use std::fmt;
use std::time::Duration;

use crate::lab::impair::frame::RST;
use crate::lab::impair::rule::packet::view::PacketView;

/// Action of a rule on a packet.
///
/// Offsets and lengths are in bytes. A packet to which an action cannot be applied, as stated
/// below, does not match the rule.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Passes the packet on, as if no later rule existed.
    Pass,
    /// Drops the packet, silently.
    Drop,
    /// Keeps the packet until the direction is released.
    Hold,
    /// Delays the packet by this time, in addition to the delay of the link. Others may overtake
    /// it.
    Delay(Duration),
    /// Sends this number of copies, besides the packet.
    Duplicate(u32),
    /// Flips the bits `bits` of the byte at `offset` of the payload ([`PacketView::payload`]), as a
    /// bad wire would: the receiver finds a wrong checksum and drops the packet, unless it is a UDP
    /// datagram without checksum. Only for packets with such a byte.
    Corrupt {
        /// Offset in the payload, from 0.
        offset: usize,
        /// Bits that are flipped: 1 to 255.
        bits: u8,
    },
    /// Flips bits as `Corrupt` does, and corrects the checksum (RFC 1624): the wrong byte reaches
    /// the application. Only for TCP, UDP, ICMP and ICMPv6 with such a byte.
    Alter {
        /// Offset in the payload, from 0.
        offset: usize,
        /// Bits that are flipped: 1 to 255.
        bits: u8,
    },
    /// Cuts the packet to this number of bytes after the Ethernet header and VLAN tags. The lengths
    /// in its headers stay, so the receiver drops it. Only for longer packets.
    Truncate(usize),
    /// Drops the packet and resets its TCP connection by forged segments that the ends accept (RFC
    /// 9293, RFC 5961), as a middlebox does. Only for TCP segments without RST.
    Reset(ResetTarget),
    /// Drops the packet and answers it by ICMP "destination unreachable" (RFC 792, RFC 4443).
    ///
    /// The answer comes from the packet's destination address. As RFC 1122 and RFC 4443 demand,
    /// there is none to ICMP errors, to multicast and broadcast, and to fragments but the first.
    /// Only for IP packets.
    Unreachable(Unreachable),
    /// Drops the packet and answers it as a router does whose next link has the MTU `mtu`: ICMP
    /// "fragmentation needed" (RFC 1191), or ICMPv6 "packet too big" (RFC 4443).
    ///
    /// Only for IP packets that are longer and must not be fragmented: IPv6, and IPv4 with DF.
    TooBig {
        /// Bytes, from 68. For IPv4, Linux takes less than 552 for 552 (sysctl
        /// `net.ipv4.route.min_pmtu`). For IPv6, an end ignores less than 1280 (RFC 8201).
        mtu: u32,
    },
}

/// Ends of a TCP connection to which a forged RST goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ResetTarget {
    /// The sender of the chosen packet.
    Sender,
    /// Its receiver.
    Receiver,
    /// Sender and receiver.
    Both,
}

/// Reasons of ICMP "destination unreachable".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unreachable {
    /// No route: ICMP code 0, ICMPv6 code 0.
    Network,
    /// No neighbour: ICMP code 1, ICMPv6 code 3.
    Host,
    /// No socket: ICMP code 3, ICMPv6 code 4. A TCP `connect` and a connected UDP socket return
    /// `ECONNREFUSED`.
    Port,
    /// Prohibited by a filter: ICMP code 13 (RFC 1812), ICMPv6 code 1.
    Prohibited,
}

impl Action {
    /// Returns whether the action can be applied to a packet.
    pub(crate) fn applies(&self, packet: &PacketView<'_>) -> bool {
        let ip = packet.frame().ip;
        match self {
            Self::Pass | Self::Drop | Self::Hold | Self::Delay(_) | Self::Duplicate(_) => true,
            Self::Corrupt { offset, .. } => *offset < packet.payload().len(),
            Self::Alter { offset, .. } => {
                let has_checksum = packet.ports().is_some() || packet.icmp().is_some();
                has_checksum && *offset < packet.payload().len()
            }
            Self::Truncate(length) => packet.length() > *length,
            Self::Reset(_) => packet.tcp().is_some_and(|tcp| tcp.flags & RST == 0),
            Self::Unreachable(_) => ip.is_some(),
            Self::TooBig { mtu } => {
                let is_longer = packet.length() as u64 > u64::from(*mtu);
                is_longer && ip.is_some_and(|ip| ip.is_unfragmentable)
            }
        }
    }

    /// Returns why the action would do nothing or could not be done, with advice.
    pub(crate) fn mistake(&self) -> Option<&'static str> {
        match self {
            Self::Duplicate(0) => Some("0 copies change nothing: use 1 or more"),
            Self::Corrupt { bits: 0, .. } | Self::Alter { bits: 0, .. } => {
                Some("no bit is flipped: use bits from 1 to 255")
            }
            Self::TooBig { mtu: 0..68 } => Some("the least MTU is 68 (RFC 791): use more"),
            _ => None,
        }
    }
}

/// Writes the action, as in `delay by 20ms`.
impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pass => f.write_str("pass"),
            Self::Drop => f.write_str("drop"),
            Self::Hold => f.write_str("hold"),
            Self::Delay(time) => write!(f, "delay by {time:?}"),
            Self::Duplicate(copies) => write!(f, "duplicate, copies: {copies}"),
            Self::Corrupt { offset, bits } => write!(f, "corrupt byte {offset} by {bits:#04x}"),
            Self::Alter { offset, bits } => write!(f, "alter byte {offset} by {bits:#04x}"),
            Self::Truncate(length) => write!(f, "truncate to {length} bytes"),
            Self::Reset(ResetTarget::Sender) => f.write_str("reset the sender"),
            Self::Reset(ResetTarget::Receiver) => f.write_str("reset the receiver"),
            Self::Reset(ResetTarget::Both) => f.write_str("reset both ends"),
            Self::Unreachable(reason) => write!(f, "answer \"{reason}\""),
            Self::TooBig { mtu } => write!(f, "answer \"too big for an MTU of {mtu}\""),
        }
    }
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Network => "network unreachable",
            Self::Host => "host unreachable",
            Self::Port => "port unreachable",
            Self::Prohibited => "communication prohibited",
        })
    }
}
