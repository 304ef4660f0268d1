//! Addresses that no interface of a lab can have. Pure.
//!
//! The kernel, sockets or `/etc/hosts` give them another meaning, or no packet from them arrives.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::addr::cidr::{Cidr, Subnet};

/// Reserved ranges with a description of their addresses. A range inside another one precedes it.
const RANGES: [(Subnet, &str); 11] = [
    (ipv4([0, 0, 0, 0], 32), "no address"),
    (ipv4([0, 0, 0, 0], 8), "an address of `this network` (RFC 1122)"),
    (ipv4([127, 0, 0, 0], 8), LOOPBACK),
    (ipv4([255, 255, 255, 255], 32), "the limited broadcast address (RFC 919)"),
    (ipv4([224, 0, 0, 0], 4), MULTICAST),
    (ipv6([0, 0, 0, 0, 0, 0, 0, 0], 128), "no address"),
    (ipv6([0, 0, 0, 0, 0, 0, 0, 1], 128), LOOPBACK),
    (ipv6([0, 0, 0, 0, 0, 0, 0, 0], 96), COMPATIBLE),
    (ipv6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96), MAPPED),
    (ipv6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), MULTICAST),
    (ipv6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), LINK_LOCAL),
];

const LOOPBACK: &str = "a loopback address, which every node has for itself";
const MULTICAST: &str = "a multicast address";
const COMPATIBLE: &str = "an IPv4-compatible address, which is deprecated (RFC 4291)";
/// The kernel drops packets from these addresses, and `getaddrinfo(3)` converts them to IPv4.
const MAPPED: &str = "an IPv4-mapped address, which sockets take for one of IPv4";
const LINK_LOCAL: &str = "a link-local address, which the kernel assigns";

const fn ipv4([a, b, c, d]: [u8; 4], prefix: u8) -> Subnet {
    Subnet::constant(IpAddr::V4(Ipv4Addr::new(a, b, c, d)), prefix)
}

const fn ipv6([a, b, c, d, e, f, g, h]: [u16; 8], prefix: u8) -> Subnet {
    Subnet::constant(IpAddr::V6(Ipv6Addr::new(a, b, c, d, e, f, g, h)), prefix)
}

/// Returns the reason for which no interface can have the address, or `None` for a usable one.
pub(crate) fn address(address: Cidr) -> Option<&'static str> {
    let (subnet, ip) = (address.subnet(), address.address());
    let offset = subnet.offset(ip);
    if let Some(&(_, why)) = RANGES.iter().find(|(range, _)| range.contains(ip)) {
        Some(why)
    } else if subnet.host_bits() < 2 {
        None
    } else if offset == 0 && ip.is_ipv4() {
        Some("the address of the network")
    } else if offset == 0 {
        Some("the address of all routers of the subnet")
    } else if offset == subnet.highest() && ip.is_ipv4() {
        Some("the broadcast address of the subnet")
    } else {
        None
    }
}

/// Returns the first reserved range that overlaps the subnet, with its description.
pub(crate) fn within(subnet: Subnet) -> Option<(Subnet, &'static str)> {
    RANGES.into_iter().find(|(range, _)| range.overlaps(subnet))
}
