//! Routes and addresses that the kernel has made from router advertisements. It goes on to care for them, by
//! flags that netlink neither shows nor takes: what has been taken of these cannot be given back.

use std::fs;
use std::net::{IpAddr, Ipv6Addr};

use crate::netlink::kept::Kept;

/// `RTF_DEFAULT`, `RTF_ADDRCONF`, `RTF_PREFIX_RT`, `RTF_ROUTEINFO` of `linux/ipv6_route.h`.
const BY_ADVERTISEMENT: u32 = 0x0001_0000 | 0x0004_0000 | 0x0008_0000 | 0x0080_0000;

/// The kernel's own IPv6 routes, as destination, length, gateway and metric.
#[derive(Debug)]
pub(crate) struct Routes(Vec<(IpAddr, u8, IpAddr, u32)>);

impl Routes {
    /// Reads those of the calling thread's network; none without IPv6.
    pub(crate) fn read() -> Self {
        let text = fs::read_to_string("/proc/thread-self/net/ipv6_route").unwrap_or_default();
        Self(text.lines().filter_map(parse).collect())
    }

    /// The reason for which one cannot be given back, if there is one.
    pub(crate) fn reason(&self, kept: &Kept) -> Option<&'static str> {
        kept.is_of_kernel_alone().or_else(|| {
            let route = kept.as_route()?;
            let (to, length) = (route.destination.network(), route.destination.prefix());
            let is_it = |(own, own_length, via, metric): &(IpAddr, u8, IpAddr, u32)| {
                let none = IpAddr::from(Ipv6Addr::UNSPECIFIED);
                let is_by = route.hops.iter().any(|hop| hop.via.unwrap_or(none) == *via);
                (*own, *own_length, *metric) == (to, length, route.metric) && is_by
            };
            let why = "the kernel has made it from a router's advertisement";
            self.0.iter().any(is_it).then_some(why)
        })
    }
}

/// A line of `/proc/net/ipv6_route`: destination, length, source, length, gateway, metric, uses, flags.
fn parse(line: &str) -> Option<(IpAddr, u8, IpAddr, u32)> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let address = |at: usize| {
        let bits = u128::from_str_radix(fields.get(at)?, 16).ok()?;
        Some(IpAddr::from(Ipv6Addr::from_bits(bits)))
    };
    let number = |at: usize| u32::from_str_radix(fields.get(at)?, 16).ok();
    let is_meant = number(8)? & BY_ADVERTISEMENT != 0;
    let length = u8::try_from(number(1)?).ok()?;
    is_meant.then_some((address(0)?, length, address(4)?, number(5)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_of_the_kernel_are_found_by_their_flags() {
        let line = |flags: &str| {
            let (none, via) = ("0".repeat(32), "fe800000000000000000000000000001");
            format!("{none} 00 {none} 00 {via} 00000400 00000001 00000000 {flags}       v0")
        };
        assert_eq!(parse(&line("00000003")), None);
        let found = parse(&line("00450003")).unwrap();
        assert_eq!(found, ("::".parse().unwrap(), 0, "fe80::1".parse().unwrap(), 1024));
        assert_eq!(parse("1 2 3"), None);
    }
}
