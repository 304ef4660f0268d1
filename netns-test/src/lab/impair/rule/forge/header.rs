//! The headers before a forged transport message. Pure.

use std::net::IpAddr;

use crate::lab::impair::checksum::{Sum, complete, complete_ipv4_header};
use crate::lab::impair::frame::field::{length16, put16};
use crate::lab::impair::frame::{Frame, ICMP};

/// Time to live, as Linux sends it by default.
const HOP_LIMIT: u8 = 64;

/// A forged packet: its way, its protocol, its message behind the IP header, and the offset of the
/// checksum in that.
pub(super) struct Forged {
    /// True if it goes to the sender of the packet, false if it goes to the receiver.
    pub(super) is_answer: bool,
    pub(super) ends: [IpAddr; 2],
    pub(super) protocol: u8,
    pub(super) message: Vec<u8>,
    pub(super) checksum: usize,
}

/// Returns whether the destination on the link is one station (bit 0 of the first octet is clear).
pub(super) fn is_to_one_station(frame: &Frame<'_>) -> bool {
    frame.bytes.first().is_some_and(|first| first & 1 == 0)
}

impl Forged {
    /// Returns the frame, with the Ethernet addresses and VLAN tags of the packet `frame`.
    pub(super) fn into_frame(self, frame: &Frame<'_>) -> Vec<u8> {
        let mut bytes = frame.bytes[..frame.network].to_vec();
        if let Some((destination, source)) = self.is_answer.then(|| bytes[..12].split_at_mut(6)) {
            destination.swap_with_slice(source);
        }
        let header = ip_header(self.ends, self.protocol, self.message.len());
        bytes.extend(header);
        bytes.extend(self.complete_message());
        bytes
    }

    fn complete_message(self) -> Vec<u8> {
        let mut message = self.message;
        // ICMP of IPv4 alone has no pseudo header.
        let sum = match self.protocol {
            ICMP => Sum::default(),
            protocol => Sum::pseudo_header(self.ends, protocol, message.len()),
        };
        put16(&mut message, self.checksum, sum.folded());
        complete(&mut message, self.checksum);
        message
    }
}

/// A header without options. Its id is 0 and DF is set, as RFC 6864 allows.
fn ip_header([source, destination]: [IpAddr; 2], protocol: u8, length: usize) -> Vec<u8> {
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let total = length16(length + 20).to_be_bytes();
            let [high, low] = total;
            let mut header = vec![0x45, 0, high, low, 0, 0, 0x40, 0, HOP_LIMIT, protocol, 0, 0];
            header.extend(source.octets());
            header.extend(destination.octets());
            complete_ipv4_header(&mut header);
            header
        }
        (source, destination) => {
            let [high, low] = length16(length).to_be_bytes();
            let mut header = vec![0x60, 0, 0, 0, high, low, protocol, HOP_LIMIT];
            header.extend(octets(source));
            header.extend(octets(destination));
            header
        }
    }
}

fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}
