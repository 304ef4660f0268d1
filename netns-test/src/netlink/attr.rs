//! Attributes and headers of the kernel's messages, read as bytes: an attribute that has no name
//! here is not lost. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `AF_INET`, `AF_INET6` of linux/socket.h.
pub(crate) const IPV4: u8 = 2;
pub(crate) const IPV6: u8 = 10;

/// The length of an `rtmsg`, which a `fib_rule_hdr` has, too; of an `ifaddrmsg`, and an `ndmsg`.
#[cfg(feature = "lab")]
pub(crate) const ROUTE: usize = 12;
#[cfg(feature = "lab")]
pub(crate) const ADDRESS: usize = 8;
#[cfg(feature = "lab")]
pub(crate) const NEIGHBOUR: usize = 12;

/// A netlink attribute.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attribute<'a> {
    /// Its type, without the flags for nested ones.
    pub(crate) kind: u16,
    pub(crate) value: &'a [u8],
    /// With its header and padding.
    #[cfg(feature = "lab")]
    pub(crate) whole: &'a [u8],
}

/// Parses a sequence of attributes. A truncated one at the end is ignored.
pub(crate) fn attributes(mut bytes: &[u8]) -> Vec<Attribute<'_>> {
    let mut found = Vec::new();
    while bytes.len() >= 4 {
        let length = usize::from(u16::from_ne_bytes([bytes[0], bytes[1]]));
        let kind = u16::from_ne_bytes([bytes[2], bytes[3]]) & 0x3fff;
        let Some(value) = bytes.get(4..length) else { break };
        let end = length.next_multiple_of(4).min(bytes.len());
        found.push(Attribute {
            kind,
            value,
            #[cfg(feature = "lab")]
            whole: &bytes[..end],
        });
        bytes = &bytes[end..];
    }
    found
}

/// Parses an unsigned number of 32 bits.
pub(crate) fn number(value: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(value.try_into().ok()?))
}

/// Parses a signed number of 32 bits.
#[cfg(feature = "lab")]
pub(crate) fn signed(value: &[u8]) -> Option<i32> {
    Some(i32::from_ne_bytes(value.try_into().ok()?))
}

/// Parses an address; its length determines the family.
pub(crate) fn address(value: &[u8]) -> Option<IpAddr> {
    match value.len() {
        4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(value).ok()?).into()),
        16 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(value).ok()?).into()),
        _ => None,
    }
}

/// Returns `0.0.0.0` or `::`.
#[cfg(feature = "lab")]
pub(crate) fn unspecified(family: u8) -> IpAddr {
    if family == IPV4 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() }
}

/// Formats an attribute without a known name: `attribute 31 0x0100`.
#[cfg(feature = "lab")]
pub(crate) fn unnamed(attribute: Attribute<'_>) -> String {
    format!("attribute {} {}", attribute.kind, hex(attribute.value))
}

pub(crate) fn hex(value: &[u8]) -> String {
    let digits: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("0x{digits}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::message::attribute;

    #[test]
    fn attributes_that_are_cut_off_are_none() {
        let bytes = [attribute(7, b"abcde"), attribute(0x8009, &[1, 0, 0, 0])].concat();
        let all = attributes(&bytes);
        assert_eq!(all.iter().map(|one| one.kind).collect::<Vec<_>>(), [7, 9]);
        assert_eq!(all[0].value, b"abcde");
        #[cfg(feature = "lab")]
        assert_eq!(all[0].whole.len(), 12);
        assert_eq!(number(all[1].value), Some(1));
        assert!((0..9).all(|length| attributes(&bytes[..length]).is_empty()));
        // One without padding at the end.
        assert_eq!(attributes(&bytes[..9]).len(), 1);
        assert!(attributes(&[3, 0, 1, 0]).is_empty());
    }
}
