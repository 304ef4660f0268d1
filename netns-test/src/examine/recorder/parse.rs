//! Packets and messages of the flight recorder. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::evidence::facts::network::{Attempt, AttemptKind, Protocol};
use crate::sys::net::failures::{Family, Received};

/// Reads a TCP segment with a RST: of IPv4 with the IP header, of IPv6 without.
pub(crate) fn reset(family: Family, received: &Received) -> Option<Attempt> {
    let bytes = &received.bytes;
    let (segment, own) = match family {
        Family::V4 => {
            let packet = ipv4(bytes)?;
            (packet.rest, Some(packet.to))
        }
        Family::V6 => (bytes.as_slice(), None),
    };
    let (from, to) = (port(segment, 0)?, port(segment, 2)?);
    let unknown = match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        Family::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    Some(Attempt {
        kind: AttemptKind::Reset,
        protocol: Protocol::Tcp,
        from: received.from.map(|ip| SocketAddr::new(ip, from)),
        to: Some(SocketAddr::new(own.unwrap_or(unknown), to)),
        at: received.at,
        count: 1,
        ..Attempt::default()
    })
}

/// Reads an ICMP error. It has the beginning of the packet that caused it.
pub(crate) fn icmp_error(family: Family, received: &Received) -> Option<Attempt> {
    let bytes = received.bytes.as_slice();
    let (message, cause) = match family {
        Family::V4 => {
            let message = ipv4(bytes)?.rest;
            (message, ipv4(message.get(8..)?)?)
        }
        Family::V6 => (bytes, ipv6(bytes.get(8..)?)?),
    };
    let (kind, code) = (*message.first()?, *message.get(1)?);
    let has_ports = matches!(cause.protocol, Protocol::Tcp | Protocol::Udp);
    let to = if has_ports { port(cause.rest, 2)? } else { 0 };
    let text = match family {
        Family::V4 => text_of_v4(kind, code),
        Family::V6 => text_of_v6(kind, code),
    };
    Some(Attempt {
        kind: AttemptKind::IcmpError,
        protocol: cause.protocol,
        from: received.from.map(|ip| SocketAddr::new(ip, 0)),
        to: Some(SocketAddr::new(cause.to, to)),
        at: received.at,
        count: 1,
        text: text.map_or_else(|| format!("type {kind}, code {code}"), str::to_owned),
    })
}

/// Reads the message about a TCP socket that was closed and has received no segment
/// (`inet_diag_msg` of `sock_diag(7)`). Without a remote end it has listened, or was refused.
pub(crate) fn unanswered(message: &[u8]) -> Option<Attempt> {
    let diag = message.get(16..)?;
    let family = *diag.first()?;
    let address = |at: usize| -> Option<IpAddr> {
        let bytes: [u8; 16] = diag.get(at..at + 16)?.try_into().ok()?;
        Some(match i32::from(family) {
            INET => IpAddr::V4(Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3])),
            _ => IpAddr::V6(Ipv6Addr::from(bytes)),
        })
    };
    let (own, peer) = (port(diag, 4)?, port(diag, 6)?);
    if peer == 0 {
        return Some(Attempt {
            kind: AttemptKind::Closed,
            protocol: Protocol::Tcp,
            from: Some(SocketAddr::new(address(8)?, own)),
            count: 1,
            ..Attempt::default()
        });
    }
    Some(Attempt {
        kind: AttemptKind::Syn,
        protocol: Protocol::Tcp,
        from: Some(SocketAddr::new(address(8)?, own)),
        to: Some(SocketAddr::new(address(24)?, peer)),
        count: 1,
        text: "unanswered when it was closed".to_owned(),
        ..Attempt::default()
    })
}

/// Reads a packet that was to leave the network. Packets to groups and to link-local addresses are
/// the kernel's own.
pub(crate) fn escaped(bytes: &[u8]) -> Option<Attempt> {
    let packet = match bytes.first()? >> 4 {
        4 => ipv4(bytes)?,
        _ => ipv6(bytes)?,
    };
    let is_own = match packet.to {
        IpAddr::V4(to) => to.is_multicast() || to.is_broadcast() || to.is_link_local(),
        IpAddr::V6(to) => to.is_multicast() || to.is_unicast_link_local(),
    };
    if is_own {
        return None;
    }
    let has_ports = matches!(packet.protocol, Protocol::Tcp | Protocol::Udp);
    let to = if has_ports { port(packet.rest, 2)? } else { 0 };
    Some(Attempt {
        kind: AttemptKind::Escape,
        protocol: packet.protocol,
        to: Some(SocketAddr::new(packet.to, to)),
        count: 1,
        ..Attempt::default()
    })
}

/// `AF_INET`
const INET: i32 = 2;

/// A packet.
struct Packet<'a> {
    to: IpAddr,
    protocol: Protocol,
    rest: &'a [u8],
}

/// Reads an IPv4 packet, which may be cut (RFC 791).
fn ipv4(bytes: &[u8]) -> Option<Packet<'_>> {
    let length = usize::from(*bytes.first()? & 0x0f) * 4;
    let to: [u8; 4] = bytes.get(16..20)?.try_into().ok()?;
    let protocol = protocol(*bytes.get(9)?);
    Some(Packet { to: IpAddr::V4(to.into()), protocol, rest: bytes.get(length.max(20)..)? })
}

/// Reads an IPv6 packet without extension headers, which may be cut (RFC 8200).
fn ipv6(bytes: &[u8]) -> Option<Packet<'_>> {
    let to: [u8; 16] = bytes.get(24..40)?.try_into().ok()?;
    let protocol = protocol(*bytes.get(6)?);
    Some(Packet { to: IpAddr::V6(to.into()), protocol, rest: bytes.get(40..)? })
}

fn protocol(number: u8) -> Protocol {
    match number {
        6 => Protocol::Tcp,
        17 => Protocol::Udp,
        1 | 58 => Protocol::Icmp,
        _ => Protocol::Other,
    }
}

fn port(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

/// Names of RFC 792 and RFC 1812.
fn text_of_v4(kind: u8, code: u8) -> Option<&'static str> {
    Some(match (kind, code) {
        (3, 0) => "network unreachable",
        (3, 1) => "host unreachable",
        (3, 2) => "protocol unreachable",
        (3, 3) => "port unreachable",
        (3, 4) => "fragmentation needed",
        (3, 9 | 10 | 13) => "administratively prohibited",
        (3, _) => "destination unreachable",
        (11, _) => "time exceeded",
        (12, _) => "parameter problem",
        _ => return None,
    })
}

/// Names of RFC 4443.
fn text_of_v6(kind: u8, code: u8) -> Option<&'static str> {
    Some(match (kind, code) {
        (1, 0) => "no route to destination",
        (1, 1) => "administratively prohibited",
        (1, 3) => "address unreachable",
        (1, 4) => "port unreachable",
        (1, _) => "destination unreachable",
        (2, _) => "packet too big",
        (3, _) => "time exceeded",
        (4, _) => "parameter problem",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An IPv4 header from 10.0.0.2 to 10.0.0.1, and what follows it.
    fn packet(protocol: u8, rest: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0];
        bytes.extend([10, 0, 0, 2, 10, 0, 0, 1]);
        bytes.extend(rest);
        bytes
    }

    fn received(bytes: Vec<u8>) -> Received {
        Received { bytes, from: Some("10.0.0.2".parse().unwrap()), at: None }
    }

    #[test]
    fn a_reset_has_both_ends() {
        let attempt = reset(Family::V4, &received(packet(6, &[0x1f, 0x90, 0xa0, 0])));
        let attempt = attempt.unwrap();
        assert_eq!(attempt.from, Some("10.0.0.2:8080".parse().unwrap()));
        assert_eq!(attempt.to, Some("10.0.0.1:40960".parse().unwrap()));
    }

    #[test]
    fn an_icmp_error_names_what_was_unreachable() {
        let cause = packet(17, &[0, 1, 0, 53]);
        let message = [vec![3, 3, 0, 0, 0, 0, 0, 0], cause].concat();
        let attempt = icmp_error(Family::V4, &received(packet(1, &message))).unwrap();
        assert_eq!(attempt.to, Some("10.0.0.1:53".parse().unwrap()));
        assert_eq!((attempt.protocol, attempt.text.as_str()), (Protocol::Udp, "port unreachable"));
    }

    #[test]
    fn a_packet_that_escapes_has_a_destination() {
        let attempt = escaped(&packet(17, &[0, 1, 0, 53])).unwrap();
        assert_eq!(attempt.to, Some("10.0.0.1:53".parse().unwrap()));
        assert_eq!((attempt.protocol, attempt.kind), (Protocol::Udp, AttemptKind::Escape));
        let mut group = packet(2, &[]);
        group[16] = 224;
        assert_eq!(escaped(&group), None);
        assert_eq!(escaped(&[0x60; 39]), None);
    }

    #[test]
    fn bytes_that_are_cut_are_no_attempt() {
        let whole = packet(1, &[vec![3, 3, 0, 0, 0, 0, 0, 0], packet(17, &[0, 1, 0, 53])].concat());
        for length in 0..whole.len() {
            let cut = received(whole[..length].to_vec());
            assert_eq!(icmp_error(Family::V4, &cut), None, "{length}");
            drop((reset(Family::V4, &cut), reset(Family::V6, &cut), unanswered(&cut.bytes)));
        }
    }
}
