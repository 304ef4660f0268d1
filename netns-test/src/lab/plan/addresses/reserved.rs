//! Addresses that no interface of a lab can have: the kernel, a socket or `/etc/hosts` takes them for
//! something else, or no packet from them arrives.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::addr::cidr::{Cidr, Subnet};

/// The ranges, those inside others first, with what their addresses are.
const RANGES: [(IpAddr, u8, &str); 10] = [
    (IpAddr::V4(Ipv4Addr::UNSPECIFIED), 32, "no address"),
    (IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8, "an address of `this network` (RFC 1122)"),
    (IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8, LOOPBACK),
    (IpAddr::V4(Ipv4Addr::BROADCAST), 32, "the limited broadcast address (RFC 919)"),
    (IpAddr::V4(Ipv4Addr::new(224, 0, 0, 0)), 4, MULTICAST),
    (IpAddr::V6(Ipv6Addr::UNSPECIFIED), 128, "no address"),
    (IpAddr::V6(Ipv6Addr::LOCALHOST), 128, LOOPBACK),
    (IpAddr::V6(Ipv6Addr::UNSPECIFIED), 96, COMPATIBLE),
    (IpAddr::V6(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0)), 96, MAPPED),
    (IpAddr::V6(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0)), 8, MULTICAST),
];

const LOOPBACK: &str = "a loopback address, which every node has for itself";
const MULTICAST: &str = "a multicast address";
const COMPATIBLE: &str = "an IPv4-compatible address, which is deprecated (RFC 4291)";
/// The kernel drops packets from them, and `getaddrinfo` turns them to IPv4.
const MAPPED: &str = "an IPv4-mapped address, which sockets take for one of IPv4";
const LINK_LOCAL: (IpAddr, u8, &str) = (
    IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0)),
    10,
    "a link-local address, which the kernel hands out",
);

/// Why no interface can have the address.
pub(crate) fn address(address: Cidr) -> Option<&'static str> {
    let (subnet, ip) = (address.subnet(), address.address());
    let offset = subnet.offset(ip);
    if let Some((_, why)) = ranges().find(|(range, _)| range.contains(ip)) {
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

/// A range of which the subnet holds addresses, and what these are.
pub(crate) fn within(subnet: Subnet) -> Option<(Subnet, &'static str)> {
    ranges().find(|(range, _)| range.overlaps(subnet))
}

fn ranges() -> impl Iterator<Item = (Subnet, &'static str)> {
    let all = RANGES.into_iter().chain([LINK_LOCAL]);
    all.filter_map(|(network, prefix, why)| Some((Subnet::new(network, prefix).ok()?, why)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_range_is_a_subnet() {
        assert_eq!(ranges().count(), RANGES.len() + 1);
    }
}
