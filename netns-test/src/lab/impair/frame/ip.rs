//! Headers of IPv4 (RFC 791) and IPv6 (RFC 8200). Pure.

use std::net::IpAddr;

use crate::lab::impair::frame::field::{array, be16, be32, byte};
use crate::lab::impair::frame::{Fragment, Ip};

const V4_HEADER: usize = 20;
const V6_HEADER: usize = 40;

const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS: u16 = 0x2000;

/// Extension headers of IPv6 (IANA, "IPv6 Extension Header Types").
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;
const MOBILITY: u8 = 135;
const HIP: u8 = 139;
const SHIM6: u8 = 140;

/// Parses the IPv4 header at `network`. A packet that is longer than the frame is malformed.
pub(super) fn v4(bytes: &[u8], network: usize) -> Option<Ip> {
    let packet = bytes.get(network..)?;
    let first = byte(packet, 0)?;
    let header = usize::from(first & 0x0f) * 4;
    let total = usize::from(be16(packet, 2)?);
    if first >> 4 != 4 || header < V4_HEADER || total < header || total > packet.len() {
        return None;
    }
    let field = be16(packet, 6)?;
    let offset = u32::from(field & 0x1fff) * 8;
    let has_more = field & MORE_FRAGMENTS != 0;
    let id = u32::from(be16(packet, 4)?);
    Some(Ip {
        source: IpAddr::from(array::<4>(packet, 12)?),
        destination: IpAddr::from(array::<4>(packet, 16)?),
        protocol: byte(packet, 9)?,
        transport: network + header,
        end: network + total,
        ecn: byte(packet, 1)? & 3,
        is_unfragmentable: field & DONT_FRAGMENT != 0,
        fragment: (has_more || offset > 0).then_some(Fragment { id, offset, has_more }),
    })
}

/// Parses the IPv6 header at `network`, and its extension headers as far as they are complete.
pub(super) fn v6(bytes: &[u8], network: usize) -> Option<Ip> {
    let packet = bytes.get(network..)?;
    let total = V6_HEADER + usize::from(be16(packet, 4)?);
    if byte(packet, 0)? >> 4 != 6 || total > packet.len() {
        return None;
    }
    let extensions = extensions(&packet[..total], byte(packet, 6)?);
    Some(Ip {
        source: IpAddr::from(array::<16>(packet, 8)?),
        destination: IpAddr::from(array::<16>(packet, 24)?),
        protocol: extensions.protocol,
        transport: network + extensions.end,
        end: network + total,
        ecn: (byte(packet, 1)? >> 4) & 3,
        is_unfragmentable: true,
        fragment: extensions.fragment,
    })
}

/// The end of a chain of extension headers.
struct Extensions {
    protocol: u8,
    end: usize,
    fragment: Option<Fragment>,
}

/// Follows the chain of extension headers, the first of which is a `protocol`. It ends at a header
/// that is no extension or is incomplete, and behind the header of a fragment that is not the
/// first. Each header has at least eight bytes, so the walk ends.
fn extensions(packet: &[u8], mut protocol: u8) -> Extensions {
    let (mut end, mut fragment) = (V6_HEADER, None);
    while let Some(header) = packet.get(end..).and_then(|rest| rest.first_chunk::<8>()) {
        let length = match protocol {
            HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS | MOBILITY | HIP | SHIM6 => {
                (usize::from(header[1]) + 1) * 8
            }
            AUTHENTICATION => (usize::from(header[1]) + 2) * 4,
            FRAGMENT => 8,
            _ => break,
        };
        if packet.len() - end < length {
            break;
        }
        end += length;
        if std::mem::replace(&mut protocol, header[0]) == FRAGMENT {
            let found = fragment_of(header);
            fragment = found;
            if found.is_some_and(|found| found.offset > 0) {
                break;
            }
        }
    }
    Extensions { protocol, end, fragment }
}

fn fragment_of(header: &[u8]) -> Option<Fragment> {
    let field = be16(header, 2)?;
    let offset = u32::from(field & !7);
    Some(Fragment { id: be32(header, 4)?, offset, has_more: field & 1 != 0 })
}
