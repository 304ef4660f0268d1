//! The pools: which subnet a segment gets, and which address an interface.
//!
//! Both are counted in the order of declaration, so that nothing changes for those who were there
//! before when something is appended. What is given by hand is passed over, and only those who
//! would have got it move: to the upper end.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::addr::cidr::{Cidr, Subnet};

/// Where subnets come from unless told otherwise: 10.0.0.0/8, and a prefix of RFC 4193 whose global
/// identifier is the letters `netns`. It is not random, as the RFC would have it, so that addresses
/// are the same in every run; a lab has no way to the networks from which it should differ.
pub(crate) const DEFAULTS: [(IpAddr, u8); 2] = [
    (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 0)), 8),
    (IpAddr::V6(Ipv6Addr::new(0xfd6e, 0x6574, 0x6e73, 0, 0, 0, 0, 0)), 48),
];

/// The subnets of one family.
#[derive(Debug)]
pub(crate) struct Pool {
    whole: Subnet,
    /// The prefix length of a usual segment's subnet.
    unit: u8,
    is_static: Vec<Subnet>,
    /// The first number after those that usual segments may take.
    floor: u128,
    /// Subnets from here on are taken, as numbers.
    ceiling: u128,
}

impl Pool {
    /// A pool for `segments` usual segments at the most, which leaves the subnets `by_hand` out.
    pub(crate) fn new(whole: Subnet, is_static: Vec<Subnet>, segments: usize) -> Self {
        let unit = if whole.is_ipv4() { 24 } else { 64 }.max(whole.prefix());
        let (first, last) = whole.range();
        let size = whole.part(first, unit).highest() + 1;
        let floor = first.saturating_add(size.saturating_mul(segments as u128));
        let is_static = is_static.into_iter().filter(|subnet| subnet.overlaps(whole)).collect();
        Self { whole, unit, is_static, floor, ceiling: last.saturating_add(1) }
    }

    pub(crate) fn whole(&self) -> Subnet {
        self.whole
    }

    /// The subnet of the segment with the number `order`, for `members` interfaces.
    pub(crate) fn take(&mut self, order: usize, members: usize) -> Option<Subnet> {
        let prefix = self.prefix_for(members)?;
        let (first, last) = self.whole.range();
        if prefix == self.unit {
            let size = self.whole.part(first, prefix).highest() + 1;
            let start = first.saturating_add(size.saturating_mul(order as u128));
            let subnet = self.whole.part(start, prefix);
            if start <= last && start < self.ceiling && self.is_free(subnet) {
                return Some(subnet);
            }
        }
        self.take_upper(prefix)
    }

    /// The prefix length of a subnet with room for `members`.
    fn prefix_for(&self, members: usize) -> Option<u8> {
        let mut prefix = self.unit;
        while usable(self.whole.part(0, prefix)).1 < members as u128 {
            prefix = prefix.checked_sub(1).filter(|&prefix| prefix >= self.whole.prefix())?;
        }
        Some(prefix)
    }

    fn take_upper(&mut self, prefix: u8) -> Option<Subnet> {
        loop {
            let size = self.whole.part(0, prefix).highest() + 1;
            let start = self.ceiling.checked_sub(size)? & !(size - 1);
            if start < self.floor {
                return None;
            }
            self.ceiling = start;
            let subnet = self.whole.part(start, prefix);
            if self.is_free(subnet) {
                return Some(subnet);
            }
        }
    }

    fn is_free(&self, subnet: Subnet) -> bool {
        !self.is_static.iter().any(|other| other.overlaps(subnet))
    }
}

/// An address for every interface on a segment: for the one at place `n` the address `n + 1`,
/// unless it has one by hand (`by_hand`), or somebody else has that one.
///
/// None if there are not enough.
pub(crate) fn addresses(
    subnet: Subnet,
    is_static: &[Option<IpAddr>],
    others: &[IpAddr],
) -> Option<Vec<Option<Cidr>>> {
    let (first, count) = usable(subnet);
    let given = is_static.iter().flatten().chain(others);
    let mut taken: HashSet<u128> = given
        .filter(|address| subnet.contains(**address))
        .map(|&address| subnet.offset(address))
        .collect();
    let mut found = Vec::with_capacity(is_static.len());
    let mut late = Vec::new();
    for (order, given) in is_static.iter().enumerate() {
        let (order, is_wanted) = (order as u128, given.is_none());
        let is_free = order < count && !taken.contains(&(first + order));
        found.push((is_wanted && is_free).then(|| subnet.at(first + order)));
        if is_wanted && !is_free {
            late.push(found.len() - 1);
        }
    }
    if !late.is_empty() {
        taken.extend(found.iter().flatten().map(|address| subnet.offset(address.address())));
    }
    let mut free =
        (0..count).rev().map(|order| first + order).filter(|offset| !taken.contains(offset));
    for place in late {
        found[place] = Some(subnet.at(free.next()?));
    }
    Some(found)
}

/// The offset of the first address for an interface, and how many there are.
///
/// The lowest address stands for the subnet (RFC 4291 gives it to its routers), the highest of
/// IPv4 for all its interfaces; but not where there are one or two only (RFC 3021, RFC 6164).
pub(crate) fn usable(subnet: Subnet) -> (u128, u128) {
    let highest = subnet.highest();
    match subnet.host_bits() {
        0 | 1 => (0, highest + 1),
        _ if subnet.is_ipv4() => (1, highest - 1),
        _ => (1, highest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    fn taken(pool: &mut Pool, order: usize, members: usize) -> String {
        pool.take(order, members).map_or("none".to_owned(), |subnet| subnet.to_string())
    }

    #[test]
    fn subnets_follow_the_order_and_large_ones_come_from_above() {
        let mut pool = Pool::new(subnet("10.0.0.0/8"), Vec::new(), 300);
        assert_eq!(taken(&mut pool, 0, 2), "10.0.0.0/24");
        assert_eq!(taken(&mut pool, 1, 254), "10.0.1.0/24");
        assert_eq!(taken(&mut pool, 2, 255), "10.255.254.0/23");
        assert_eq!(taken(&mut pool, 3, 1000), "10.255.248.0/22");
        assert_eq!(taken(&mut pool, 299, 2), "10.1.43.0/24");
        let mut pool = Pool::new(subnet("fd6e:6574:6e73::/48"), Vec::new(), 300);
        assert_eq!(taken(&mut pool, 0, 2), "fd6e:6574:6e73::/64");
        assert_eq!(taken(&mut pool, 299, 100_000), "fd6e:6574:6e73:12b::/64");
    }

    #[test]
    fn only_who_is_in_the_way_moves() {
        let is_static = vec![subnet("10.0.1.128/25"), subnet("10.255.255.0/24")];
        let mut pool = Pool::new(subnet("10.0.0.0/8"), is_static, 3);
        assert_eq!(taken(&mut pool, 0, 2), "10.0.0.0/24");
        assert_eq!(taken(&mut pool, 1, 2), "10.255.254.0/24");
        assert_eq!(taken(&mut pool, 2, 2), "10.0.2.0/24");
    }

    #[test]
    fn a_pool_comes_to_its_end() {
        let mut pool = Pool::new(subnet("192.168.0.0/23"), Vec::new(), 3);
        assert_eq!(taken(&mut pool, 0, 2), "192.168.0.0/24");
        assert_eq!(taken(&mut pool, 1, 2), "192.168.1.0/24");
        assert_eq!(taken(&mut pool, 2, 2), "none");
        assert_eq!(
            taken(&mut Pool::new(subnet("192.168.0.0/28"), Vec::new(), 1), 0, 14),
            "192.168.0.0/28"
        );
        assert_eq!(taken(&mut Pool::new(subnet("192.168.0.0/28"), Vec::new(), 1), 0, 15), "none");
        assert_eq!(taken(&mut Pool::new(Subnet::EVERY_IPV6, Vec::new(), 1), 0, 1), "::/64");
        let is_static = vec![Subnet::EVERY_IPV4];
        assert_eq!(taken(&mut Pool::new(subnet("192.168.0.0/23"), is_static, 1), 0, 2), "none");
    }

    #[test]
    fn addresses_follow_the_order() {
        let given = |text: &str| Some(text.parse().unwrap());
        let shown = |subnet: Subnet, is_static: &[Option<IpAddr>]| {
            let found = addresses(subnet, is_static, &[])?;
            Some(
                found
                    .iter()
                    .map(|at| at.map_or("-".to_owned(), |at| at.address().to_string()))
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(shown(subnet("10.0.0.0/24"), &[None, None]).unwrap(), ["10.0.0.1", "10.0.0.2"]);
        assert_eq!(
            shown(subnet("10.0.0.0/24"), &[None, given("10.0.0.1"), None]).unwrap(),
            ["10.0.0.254", "-", "10.0.0.3"]
        );
        assert_eq!(
            shown(subnet("10.0.0.0/30"), &[given("10.0.0.2"), None]).unwrap(),
            ["-", "10.0.0.1"]
        );
        assert_eq!(shown(subnet("10.0.0.0/31"), &[None, None]).unwrap(), ["10.0.0.0", "10.0.0.1"]);
        assert_eq!(shown(subnet("fd00::/127"), &[None, None]).unwrap(), ["fd00::", "fd00::1"]);
        assert_eq!(shown(subnet("10.0.0.0/30"), &[None; 3]), None);
        assert_eq!(shown(subnet("10.0.0.0/32"), &[None; 2]), None);
    }
}
