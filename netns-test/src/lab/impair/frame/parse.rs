//! The headers of a frame, from the outermost inward. Pure.

use crate::lab::impair::frame::field::be16;
use crate::lab::impair::frame::{
    ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, Frame, Transport, ip, neighbour, transport,
};

/// Tag protocol identifiers of a VLAN: IEEE 802.1Q and 802.1ad.
const TAGS: [u16; 2] = [0x8100, 0x88a8];

/// Tags that are looked behind; a frame of 802.1ad has two.
const MOST_TAGS: usize = 2;

/// Offset of the EtherType behind the two addresses.
const ETHERTYPE: usize = 12;

impl<'a> Frame<'a> {
    /// Parses a frame that begins with its Ethernet header, and ends without check sequence.
    pub(crate) fn parse(bytes: &'a [u8]) -> Self {
        let (ethertype, network) = ethernet(bytes).unwrap_or((0, bytes.len()));
        let mut frame = Self {
            bytes,
            ethertype,
            network,
            ip: None,
            transport: Transport::Other,
            payload: network..bytes.len(),
            neighbour: None,
        };
        match ethertype {
            ETHERTYPE_ARP => frame.neighbour = neighbour::arp(bytes, network),
            ETHERTYPE_IPV4 => frame.ip = ip::v4(bytes, network),
            ETHERTYPE_IPV6 => frame.ip = ip::v6(bytes, network),
            _ => {}
        }
        if let Some(ip) = &frame.ip {
            (frame.transport, frame.payload) = transport::parse(bytes, ip);
            frame.neighbour = neighbour::discovery(bytes, ip, frame.transport);
        }
        frame
    }
}

/// The EtherType after all tags, and the offset behind it.
fn ethernet(bytes: &[u8]) -> Option<(u16, usize)> {
    let mut at = ETHERTYPE;
    for _ in 0..MOST_TAGS {
        if !TAGS.contains(&be16(bytes, at)?) {
            break;
        }
        at += 4;
    }
    Some((be16(bytes, at)?, at + 2))
}
