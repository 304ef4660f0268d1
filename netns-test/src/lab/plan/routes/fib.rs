//! Forwarding table of a node (FIB): longest-prefix match over its subnets and routes. Pure.

use std::net::IpAddr;

use crate::addr::cidr;
use crate::addr::cidr::Subnet;

/// Forwarding table of one node.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fib(Vec<Entry>);

#[derive(Clone, Debug, PartialEq)]
struct Entry {
    /// First address of the destination, as a number.
    first: u128,
    /// Last address of the destination, as a number.
    last: u128,
    is_ipv4: bool,
    prefix: u8,
    /// Outgoing interface; `None` if packets are discarded.
    interface: Option<usize>,
    /// Gateway; `None` if the destination is on the segment of the interface.
    via: Option<IpAddr>,
}

impl Fib {
    /// Creates a table of (destination, interface, gateway), and of destinations whose packets are
    /// discarded. The first of two entries with the same destination is used.
    pub(crate) fn new(
        entries: impl Iterator<Item = (Subnet, usize, Option<IpAddr>)>,
        discarded: &[Subnet],
    ) -> Self {
        let entry = |(subnet, interface, via): (Subnet, Option<usize>, Option<IpAddr>)| {
            let (first, last) = subnet.range();
            let (is_ipv4, prefix) = (subnet.is_ipv4(), subnet.prefix());
            Entry { first, last, is_ipv4, prefix, interface, via }
        };
        let entries = entries.map(|(subnet, interface, via)| (subnet, Some(interface), via));
        let discarded = discarded.iter().map(|subnet| (*subnet, None, None));
        Self(entries.chain(discarded).map(entry).collect())
    }

    /// Returns the outgoing interface and the next hop of a packet to `to`.
    pub(crate) fn look_up(&self, to: IpAddr) -> Option<(usize, IpAddr)> {
        let (number, is_ipv4) = (cidr::bits(to), to.is_ipv4());
        let mut best: Option<&Entry> = None;
        for entry in &self.0 {
            let is_match =
                entry.first <= number && number <= entry.last && entry.is_ipv4 == is_ipv4;
            if is_match && best.is_none_or(|other| entry.prefix > other.prefix) {
                best = Some(entry);
            }
        }
        best.and_then(|entry| Some((entry.interface?, entry.via.unwrap_or(to))))
    }
}

#[test]
fn the_longest_prefix_and_then_the_first_entry_wins() {
    let entry = |subnet: &str, interface, via: Option<&str>| {
        (subnet.parse().unwrap(), interface, via.map(|via| via.parse().unwrap()))
    };
    let fib = Fib::new(
        [
            entry("0.0.0.0/0", 0, Some("10.0.0.1")),
            entry("10.0.0.0/24", 1, None),
            entry("10.0.0.0/24", 2, None),
            entry("fd00::/8", 3, None),
        ]
        .into_iter(),
        &["198.51.100.0/24".parse().unwrap()],
    );
    let found = |to: &str| {
        let (interface, next) = fib.look_up(to.parse().unwrap())?;
        Some((interface, next.to_string()))
    };
    assert_eq!(found("192.0.2.1"), Some((0, "10.0.0.1".to_owned())));
    assert_eq!(found("198.51.100.7"), None);
    assert_eq!(found("10.0.0.9"), Some((1, "10.0.0.9".to_owned())));
    assert_eq!(found("fd00::1"), Some((3, "fd00::1".to_owned())));
    assert_eq!(found("2001:db8::1"), None);
}
