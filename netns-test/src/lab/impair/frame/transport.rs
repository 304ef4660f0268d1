//! Headers of TCP (RFC 9293), UDP (RFC 768) and ICMP (RFC 792, RFC 4443). Pure.

use std::ops::Range;

use crate::lab::impair::frame::field::{be16, be32, byte};
use crate::lab::impair::frame::{ICMP, ICMPV6, Ip, TCP, Tcp, Transport, UDP};

const TCP_HEADER: usize = 20;
const UDP_HEADER: usize = 8;

/// Types of echo messages: request and reply of ICMP, then of ICMPv6.
const ECHO: [u8; 2] = [8, 0];
const ECHO_V6: [u8; 2] = [128, 129];

/// Parses the transport header of a packet. Returns it with the payload, as offsets in the frame.
pub(super) fn parse(bytes: &[u8], ip: &Ip) -> (Transport, Range<usize>) {
    let segment = bytes.get(ip.transport..ip.end).unwrap_or_default();
    let is_later = ip.fragment.is_some_and(|fragment| fragment.offset > 0);
    let parsed = match (ip.protocol, ip.source.is_ipv4()) {
        _ if is_later => None,
        (TCP, _) => tcp(segment),
        (UDP, _) => udp(segment),
        (ICMP, true) => icmp(segment, ECHO),
        (ICMPV6, false) => icmp(segment, ECHO_V6),
        _ => None,
    };
    let (transport, payload) = parsed.unwrap_or((Transport::Other, 0..segment.len()));
    (transport, ip.transport + payload.start..ip.transport + payload.end)
}

/// A header, and the payload from the start of the header on.
type Parsed = Option<(Transport, Range<usize>)>;

fn tcp(segment: &[u8]) -> Parsed {
    let header = usize::from(byte(segment, 12)? >> 4) * 4;
    if header < TCP_HEADER || segment.len() < header {
        return None;
    }
    let tcp = Tcp {
        source: be16(segment, 0)?,
        destination: be16(segment, 2)?,
        seq: be32(segment, 4)?,
        ack: be32(segment, 8)?,
        flags: byte(segment, 13)?,
    };
    Some((Transport::Tcp(tcp), header..segment.len()))
}

/// The datagram of a first fragment is longer than the fragment.
fn udp(segment: &[u8]) -> Parsed {
    let length = usize::from(be16(segment, 4)?);
    if length < UDP_HEADER || segment.len() < UDP_HEADER {
        return None;
    }
    let udp = Transport::Udp { source: be16(segment, 0)?, destination: be16(segment, 2)? };
    Some((udp, UDP_HEADER..length.min(segment.len())))
}

fn icmp(segment: &[u8], echo: [u8; 2]) -> Parsed {
    let (kind, code) = (byte(segment, 0)?, byte(segment, 1)?);
    let echo = if echo.contains(&kind) { be16(segment, 4) } else { None };
    Some((Transport::Icmp { kind, code, echo }, 0..segment.len()))
}
