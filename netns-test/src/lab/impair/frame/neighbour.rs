//! Messages of neighbour resolution: ARP (RFC 826) and neighbour discovery (RFC 4861). Pure.

use std::net::{IpAddr, Ipv4Addr};

use crate::lab::impair::frame::field::{array, be16};
use crate::lab::impair::frame::{ETHERTYPE_ARP, Frame, ICMPV6, Ip, Neighbour, Transport};

/// Ethernet, IPv4, and the lengths of their addresses: the start of each ARP message.
const ETHERNET_AND_IPV4: [u8; 6] = [0, 1, 8, 0, 6, 4];

/// Offsets of the IPv4 addresses of sender and target.
const SENDER: usize = 14;
const TARGET: usize = 24;

/// Types of ICMPv6: router solicitation and advertisement, neighbour solicitation and
/// advertisement, redirect.
const ROUTERS: [u8; 2] = [133, 134];
const NEIGHBOURS: [u8; 3] = [135, 136, 137];

/// Parses the ARP message at `at`.
pub(super) fn arp(bytes: &[u8], at: usize) -> Option<Neighbour> {
    let message = message(bytes, at)?;
    let kind = u8::try_from(be16(message, 6)?).ok()?;
    Some(Neighbour { kind, target: address(message, TARGET)? })
}

/// Returns the IPv4 address of the sender of an ARP message.
pub(crate) fn arp_sender(frame: &Frame<'_>) -> Option<IpAddr> {
    (frame.ethertype == ETHERTYPE_ARP)
        .then(|| address(message(frame.bytes, frame.network)?, SENDER))
        .flatten()
}

/// Returns what a packet asks or announces as neighbour discovery. The target of a message about
/// routers is its destination.
pub(super) fn discovery(bytes: &[u8], ip: &Ip, transport: Transport) -> Option<Neighbour> {
    let Transport::Icmp { kind, .. } = transport else { return None };
    if ip.protocol != ICMPV6 {
        return None;
    }
    let message = bytes.get(ip.transport..ip.end)?;
    let target = match kind {
        kind if ROUTERS.contains(&kind) => ip.destination,
        kind if NEIGHBOURS.contains(&kind) => IpAddr::from(array::<16>(message, 8)?),
        _ => return None,
    };
    Some(Neighbour { kind, target })
}

fn message(bytes: &[u8], at: usize) -> Option<&[u8]> {
    bytes.get(at..).filter(|message| message.starts_with(&ETHERNET_AND_IPV4))
}

fn address(message: &[u8], at: usize) -> Option<IpAddr> {
    array::<4>(message, at).map(|octets| Ipv4Addr::from(octets).into())
}
