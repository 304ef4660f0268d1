//! Pools: the subnet of each segment and the address of each interface. Pure.
//!
//! Both follow the order of declaration, so that appending to a topology changes nothing that was
//! there before. A static subnet or address can occupy what the order would assign; only the
//! segment or interface concerned then gets another one, from the upper end.

use std::collections::HashSet;
use std::net::IpAddr;

use crate::addr::cidr::{Cidr, Subnet};

/// Pool of subnets of one family.
///
/// Subnets of the usual size come from the lower end, one reserved for each segment. Larger ones,
/// and replacements of occupied ones, come from the upper end.
#[derive(Debug)]
pub(crate) struct Pool {
    whole: Subnet,
    /// Usual prefix length of a subnet.
    unit: u8,
    /// Static subnets inside the pool.
    occupied: Vec<Subnet>,
    /// First address, as a number, after the subnets that are reserved for segments.
    floor: u128,
    /// Lowest address, as a number, that has been assigned from the upper end.
    ceiling: u128,
}

impl Pool {
    /// Creates a pool for at most `segments` segments, which does not assign `occupied` subnets.
    pub(crate) fn new(whole: Subnet, occupied: Vec<Subnet>, segments: usize) -> Self {
        let unit = if whole.is_ipv4() { 24 } else { 64 }.max(whole.prefix());
        let (first, last) = whole.range();
        let size = whole.part(first, unit).highest() + 1;
        let floor = first.saturating_add(size.saturating_mul(segments as u128));
        let occupied = occupied.into_iter().filter(|subnet| subnet.overlaps(whole)).collect();
        Self { whole, unit, occupied, floor, ceiling: last.saturating_add(1) }
    }

    pub(crate) fn whole(&self) -> Subnet {
        self.whole
    }

    /// Takes the subnet of the segment at position `order`, with room for `members` interfaces.
    /// Returns `None` if no subnet is left.
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

    /// Returns the prefix length of a subnet with room for `members` interfaces.
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
        !self.occupied.iter().any(|other| other.overlaps(subnet))
    }
}

/// Assigns an address to each interface on a segment that has no static one: to the interface at
/// position `n` the address `n + 1`, or the highest free address if that one is taken.
///
/// `others` are further addresses that are taken. Returns `None` if the subnet is too small.
pub(crate) fn addresses(
    subnet: Subnet,
    static_addresses: &[Option<IpAddr>],
    others: &[IpAddr],
) -> Option<Vec<Option<Cidr>>> {
    let (first, count) = usable(subnet);
    let known = static_addresses.iter().flatten().chain(others);
    let mut taken: HashSet<u128> = known
        .filter(|address| subnet.contains(**address))
        .map(|&address| subnet.offset(address))
        .collect();
    let mut found = Vec::with_capacity(static_addresses.len());
    let mut displaced = Vec::new();
    for (order, static_address) in static_addresses.iter().enumerate() {
        let (order, is_wanted) = (order as u128, static_address.is_none());
        let is_free = order < count && !taken.contains(&(first + order));
        found.push((is_wanted && is_free).then(|| subnet.at(first + order)));
        if is_wanted && !is_free {
            displaced.push(found.len() - 1);
        }
    }
    if !displaced.is_empty() {
        taken.extend(found.iter().flatten().map(|address| subnet.offset(address.address())));
    }
    let mut free =
        (0..count).rev().map(|order| first + order).filter(|offset| !taken.contains(offset));
    for position in displaced {
        found[position] = Some(subnet.at(free.next()?));
    }
    Some(found)
}

/// Returns the offset of the first address that an interface can have, and the number of them.
///
/// The lowest address means the network (IPv4) or its routers (RFC 4291), and the highest one of
/// IPv4 is the broadcast address. Subnets of one or two addresses have neither (RFC 3021,
/// RFC 6164).
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
    fn an_occupied_subnet_displaces_one_segment() {
        let occupied = vec![subnet("10.0.1.128/25"), subnet("10.255.255.0/24")];
        let mut pool = Pool::new(subnet("10.0.0.0/8"), occupied, 3);
        assert_eq!(taken(&mut pool, 0, 2), "10.0.0.0/24");
        assert_eq!(taken(&mut pool, 1, 2), "10.255.254.0/24");
        assert_eq!(taken(&mut pool, 2, 2), "10.0.2.0/24");
    }

    #[test]
    fn a_pool_is_exhausted() {
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
        let occupied = vec![Subnet::EVERY_IPV4];
        assert_eq!(taken(&mut Pool::new(subnet("192.168.0.0/23"), occupied, 1), 0, 2), "none");
    }

    #[test]
    fn addresses_follow_the_order() {
        let given = |text: &str| Some(text.parse().unwrap());
        let shown = |subnet: Subnet, known: &[Option<IpAddr>]| {
            let found = addresses(subnet, known, &[])?;
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
