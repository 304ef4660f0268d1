//! Link-local addresses (RFC 4291, section 2.5.6). Every link has the same subnet of them, so they
//! name a neighbour only together with an interface.
//!
//! Pure.

use std::net::{IpAddr, Ipv6Addr};

use crate::addr::mac::Mac;

/// Returns whether an address is an IPv6 link-local unicast address (`fe80::/10`).
pub(crate) fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

/// Computes the link-local address that the kernel derives from a MAC (RFC 4291, appendix A).
pub(crate) fn link_local(mac: Mac) -> IpAddr {
    let [a, b, c, d, e, f] = mac.octets().map(u16::from);
    let halves = [(a ^ 2) << 8 | b, c << 8 | 0xff, 0xfe00 | d, e << 8 | f];
    Ipv6Addr::new(0xfe80, 0, 0, 0, halves[0], halves[1], halves[2], halves[3]).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_local_address_of_an_interface() {
        let mac = Mac::new([0x02, 0x12, 0x34, 0x56, 0x78, 0x9a]).unwrap();
        assert_eq!(link_local(mac).to_string(), "fe80::12:34ff:fe56:789a");
        assert!(is_link_local(link_local(mac)));
        assert!(!is_link_local("fd00::1".parse().unwrap()));
        assert!(!is_link_local("169.254.0.1".parse().unwrap()));
    }
}
