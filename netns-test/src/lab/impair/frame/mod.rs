//! Headers of a frame: Ethernet, VLAN, ARP, IPv4, IPv6, TCP, UDP, ICMP. Pure.

pub(crate) mod field;
mod ip;
pub(crate) mod neighbour;
mod parse;
#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;
mod transport;

use std::net::IpAddr;
use std::ops::Range;

/// A frame and what its headers say. Parsing never fails: the parts that are missing or malformed
/// are `None`.
#[derive(Clone, Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) bytes: &'a [u8],
    /// EtherType after all VLAN tags; 0 if the frame is too short.
    pub(crate) ethertype: u16,
    /// Offset of the first byte after the Ethernet header and VLAN tags.
    pub(crate) network: usize,
    pub(crate) ip: Option<Ip>,
    pub(crate) transport: Transport,
    /// Payload of TCP or UDP, else of IP; without Ethernet padding.
    pub(crate) payload: Range<usize>,
    /// An ARP or neighbour discovery message, by its target.
    pub(crate) neighbour: Option<Neighbour>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ip {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    /// Protocol of the transport header, after IPv6 extension headers.
    pub(crate) protocol: u8,
    /// Offset of the transport header.
    pub(crate) transport: usize,
    /// End of the packet in the frame; Ethernet padding follows.
    pub(crate) end: usize,
    /// ECN field (RFC 3168): 0 Not-ECT, 1 ECT(1), 2 ECT(0), 3 CE.
    pub(crate) ecn: u8,
    /// True if DF is set, and for each IPv6 packet.
    pub(crate) is_unfragmentable: bool,
    pub(crate) fragment: Option<Fragment>,
}

/// Identity of a fragment. Only the first fragment (offset 0) has a transport header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fragment {
    pub(crate) id: u32,
    /// Offset in bytes.
    pub(crate) offset: u32,
    pub(crate) has_more: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp(Tcp),
    Udp {
        source: u16,
        destination: u16,
    },
    /// ICMP and ICMPv6; `echo` is the identifier of an echo request or reply.
    Icmp {
        kind: u8,
        code: u8,
        echo: Option<u16>,
    },
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tcp {
    pub(crate) source: u16,
    pub(crate) destination: u16,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    /// FIN 0x01, SYN 0x02, RST 0x04, PSH 0x08, ACK 0x10, URG 0x20, ECE 0x40, CWR 0x80 (RFC 9293).
    pub(crate) flags: u8,
}

/// A message of neighbour resolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Neighbour {
    /// ARP operation, or ICMPv6 type (133 to 137).
    pub(crate) kind: u8,
    pub(crate) target: IpAddr,
}

/// Numbers of the field EtherType (IEEE 802).
pub(crate) const ETHERTYPE_IPV4: u16 = 0x0800;
pub(crate) const ETHERTYPE_ARP: u16 = 0x0806;
pub(crate) const ETHERTYPE_IPV6: u16 = 0x86dd;

/// Protocol numbers (RFC 5237).
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const ICMP: u8 = 1;
pub(crate) const ICMPV6: u8 = 58;

/// Flags of TCP (RFC 9293).
pub(crate) const FIN: u8 = 0x01;
pub(crate) const SYN: u8 = 0x02;
pub(crate) const RST: u8 = 0x04;
pub(crate) const PSH: u8 = 0x08;
pub(crate) const ACK: u8 = 0x10;
pub(crate) const URG: u8 = 0x20;
pub(crate) const ECE: u8 = 0x40;
pub(crate) const CWR: u8 = 0x80;
