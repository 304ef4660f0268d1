//! ICMP errors (RFC 792, RFC 1191) and ICMPv6 errors (RFC 4443) in answer to a packet. Pure.

use std::net::IpAddr;

use crate::lab::impair::frame::{Frame, ICMP, ICMPV6, Ip, Transport};
use crate::lab::impair::rule::action::Unreachable;
use crate::lab::impair::rule::forge::header::{Forged, is_to_one_station};

/// Largest packets of an error, with its IP header: RFC 1812, section 4.3.2.3; RFC 4443, section
/// 2.4 (c).
const LONGEST_V4: usize = 576;
const LONGEST_V6: usize = 1280;

/// Bytes before the quoted packet: IP header and ICMP header.
const BEFORE_V4: usize = 20 + 8;
const BEFORE_V6: usize = 40 + 8;

/// Types of ICMP errors that Linux sends and receives: destination unreachable, source quench,
/// redirect, time exceeded, parameter problem. ICMPv6 errors are the types below 128.
const ERRORS_V4: [u8; 5] = [3, 4, 5, 11, 12];
const REDIRECT_V6: u8 = 137;

/// Returns the error "destination unreachable".
pub(crate) fn unreachable(frame: &Frame<'_>, reason: Unreachable) -> Option<Vec<u8>> {
    let [v4, v6] = match reason {
        Unreachable::Network => [0, 0],
        Unreachable::Host => [1, 3],
        Unreachable::Port => [3, 4],
        Unreachable::Prohibited => [13, 1],
    };
    error(frame, [3, v4], [1, v6], 0)
}

/// Returns the error "fragmentation needed" or "packet too big", with the MTU of the next hop.
pub(crate) fn too_big(frame: &Frame<'_>, mtu: u32) -> Option<Vec<u8>> {
    // The field of IPv4 has 16 bits, the ones before it are unused (RFC 1191, section 4).
    let is_v4 = frame.ip.is_some_and(|ip| ip.source.is_ipv4());
    let field = if is_v4 { mtu.min(u32::from(u16::MAX)) } else { mtu };
    error(frame, [3, 4], [2, 0], field)
}

/// Returns an error of type and code `v4` or `v6` with the field `field`. It quotes as much of the
/// packet as it may.
fn error(frame: &Frame<'_>, v4: [u8; 2], v6: [u8; 2], field: u32) -> Option<Vec<u8>> {
    let ip = frame.ip.filter(|ip| may_be_answered(frame, ip))?;
    let (kind, protocol, most) = match ip.source {
        IpAddr::V4(_) => (v4, ICMP, LONGEST_V4 - BEFORE_V4),
        IpAddr::V6(_) => (v6, ICMPV6, LONGEST_V6 - BEFORE_V6),
    };
    let packet = frame.bytes.get(frame.network..ip.end)?;
    let mut message = vec![kind[0], kind[1], 0, 0];
    message.extend(field.to_be_bytes());
    message.extend(&packet[..packet.len().min(most)]);
    let ends = [ip.destination, ip.source];
    Some(Forged { is_answer: true, ends, protocol, message, checksum: 2 }.into_frame(frame))
}

/// Returns whether a packet may be answered by an error (RFC 1122, section 3.2.2; RFC 4443, section
/// 2.4 (e)).
fn may_be_answered(frame: &Frame<'_>, ip: &Ip) -> bool {
    let is_error = match frame.transport {
        Transport::Icmp { kind, .. } if ip.protocol == ICMP => ERRORS_V4.contains(&kind),
        Transport::Icmp { kind, .. } => kind < 128 || kind == REDIRECT_V6,
        _ => false,
    };
    let is_later_fragment = ip.fragment.is_some_and(|fragment| fragment.offset > 0);
    let is_group = |address: IpAddr| {
        let is_broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
        is_broadcast || address.is_multicast() || address.is_unspecified()
    };
    let is_to_group = is_group(ip.source) || is_group(ip.destination);
    !is_error && !is_later_fragment && !is_to_group && is_to_one_station(frame)
}
