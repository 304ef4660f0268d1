//! Changes of the bytes of a packet. Pure.

use std::borrow::Cow;

use crate::lab::impair::frame::Frame;
use crate::lab::impair::frame::field::{be16, put16};

/// Flips one bit of a packet, from its network header to its end: the bit with the number
/// draw × bits / 2⁶⁴, of which the first is the lowest one of the first byte.
///
/// The Ethernet header is spared: its check sequence would find the error, and a switch would drop
/// the frame.
pub(super) fn flip(bytes: &mut [u8], draw: u64) {
    let frame = Frame::parse(bytes);
    let end = frame.ip.map_or(bytes.len(), |ip| ip.end);
    let start = frame.network;
    let packet = bytes.get_mut(start..end).unwrap_or_default();
    let bit = ((u128::from(draw) * (packet.len() as u128 * 8)) >> 64) as usize;
    if let Some(byte) = packet.get_mut(bit / 8) {
        *byte ^= 1 << (bit % 8);
    }
}

/// Marks an ECN-capable packet CE: congestion experienced (RFC 3168). Returns whether it did.
pub(super) fn mark_ce(bytes: &mut Cow<'_, [u8]>) -> bool {
    let Frame { ip, network, .. } = Frame::parse(bytes);
    let Some(ip) = ip.filter(|ip| matches!(ip.ecn, 1 | 2)) else { return false };
    let bytes = bytes.to_mut();
    let Some(old) = be16(bytes, network) else { return false };
    if ip.source.is_ipv6() {
        put16(bytes, network, old | 0x0030);
        return true;
    }
    let new = old | 0x0003;
    put16(bytes, network, new);
    let field = network + 10;
    if let Some(checksum) = be16(bytes, field) {
        put16(bytes, field, adjusted(checksum, old, new));
    }
    true
}

/// Returns the checksum of a header in which a word has changed (RFC 1624, equation 3). It is wrong
/// by as much as it was before.
fn adjusted(checksum: u16, old: u16, new: u16) -> u16 {
    let sum = u32::from(!checksum) + u32::from(!old) + u32::from(new);
    let sum = (sum & 0xffff) + (sum >> 16);
    !((sum & 0xffff) + (sum >> 16)) as u16
}
