//! A packet as a condition of the user sees it. Pure.

use std::net::IpAddr;

use crate::lab::impair::frame::neighbour::arp_sender;
use crate::lab::impair::frame::{Frame, Tcp, Transport};
use crate::lab::impair::rule::packet::flags::TcpFlags;

/// A packet on a link, as [`Packet::when`](crate::lab::Packet::when) passes it to a condition.
///
/// The packet is as on the wire: no longer than the link's MTU, with complete checksums. A value
/// that its headers do not have, or that is malformed, is `None`.
#[derive(Clone, Copy, Debug)]
pub struct PacketView<'a> {
    frame: &'a Frame<'a>,
}

impl<'a> PacketView<'a> {
    pub(crate) const fn new(frame: &'a Frame<'a>) -> Self {
        Self { frame }
    }

    pub(crate) const fn frame(&self) -> &'a Frame<'a> {
        self.frame
    }

    /// Returns the frame from its Ethernet header on, without frame check sequence.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.frame.bytes
    }

    /// Returns the EtherType after all VLAN tags, as 0x0800 for IPv4.
    #[must_use]
    pub const fn ethertype(&self) -> u16 {
        self.frame.ethertype
    }

    /// Returns the bytes of the packet as the MTU counts them: without Ethernet header, VLAN tags
    /// and padding.
    #[must_use]
    pub fn length(&self) -> usize {
        let end = self.frame.ip.map_or(self.frame.bytes.len(), |ip| ip.end);
        end.saturating_sub(self.frame.network)
    }

    /// Returns the source address of an IP packet, or the sender's address of an ARP message.
    #[must_use]
    pub fn source(&self) -> Option<IpAddr> {
        self.frame.ip.map(|ip| ip.source).or_else(|| arp_sender(self.frame))
    }

    /// Returns the destination address of an IP packet, or the target's address of an ARP message.
    #[must_use]
    pub fn destination(&self) -> Option<IpAddr> {
        let target = || self.frame.neighbour.map(|neighbour| neighbour.target);
        self.frame.ip.map(|ip| ip.destination).or_else(target)
    }

    /// Returns the protocol number of an IP packet, after IPv6 extension headers: 6 for TCP.
    #[must_use]
    pub fn protocol(&self) -> Option<u8> {
        self.frame.ip.map(|ip| ip.protocol)
    }

    /// Returns the source port of TCP or UDP.
    #[must_use]
    pub fn source_port(&self) -> Option<u16> {
        self.ports().map(|[source, _]| source)
    }

    /// Returns the destination port of TCP or UDP.
    #[must_use]
    pub fn destination_port(&self) -> Option<u16> {
        self.ports().map(|[_, destination]| destination)
    }

    /// Returns the flags of a TCP segment.
    #[must_use]
    pub fn tcp_flags(&self) -> Option<TcpFlags> {
        self.tcp().map(|tcp| TcpFlags::from_bits(tcp.flags))
    }

    /// Returns the sequence number of a TCP segment.
    #[must_use]
    pub fn tcp_seq(&self) -> Option<u32> {
        self.tcp().map(|tcp| tcp.seq)
    }

    /// Returns the acknowledgment number of a TCP segment.
    #[must_use]
    pub fn tcp_ack(&self) -> Option<u32> {
        self.tcp().map(|tcp| tcp.ack)
    }

    /// Returns type and code of an ICMP or ICMPv6 message.
    #[must_use]
    pub fn icmp(&self) -> Option<(u8, u8)> {
        match self.frame.transport {
            Transport::Icmp { kind, code, .. } => Some((kind, code)),
            _ => None,
        }
    }

    /// Returns the payload of TCP or UDP. Of another IP packet, also of a fragment that is not the
    /// first, it is the payload of IP; else it is all after the Ethernet header.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        &self.frame.bytes[self.frame.payload.clone()]
    }

    /// Returns whether the packet is a fragment of a larger one.
    #[must_use]
    pub fn is_fragment(&self) -> bool {
        self.frame.ip.is_some_and(|ip| ip.fragment.is_some())
    }

    pub(crate) fn tcp(&self) -> Option<Tcp> {
        match self.frame.transport {
            Transport::Tcp(tcp) => Some(tcp),
            _ => None,
        }
    }

    /// Ports of source and destination.
    pub(crate) fn ports(&self) -> Option<[u16; 2]> {
        match self.frame.transport {
            Transport::Tcp(tcp) => Some([tcp.source, tcp.destination]),
            Transport::Udp { source, destination } => Some([source, destination]),
            _ => None,
        }
    }
}
