//! Matchers that no packet can match. Pure.

use crate::lab::impair::rule::packet::flags::TcpFlags;
use crate::lab::impair::rule::packet::{Packet, Selected};

impl Packet {
    /// Returns why no packet can match, a line for each reason, with advice.
    pub(crate) fn mistakes(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut check = |is_wrong: bool, text: &str| {
            if is_wrong {
                found.push(text.to_owned());
            }
        };
        let needs_tcp = !self.flags.is_empty() || !self.clear_flags.is_empty();
        let needs_ports =
            [self.port, self.source_port, self.destination_port].iter().any(Option::is_some);
        let (is_any, is_tcp) = (
            self.protocol == Selected::Any,
            matches!(self.protocol, Selected::Tcp | Selected::Any),
        );
        let has_ports = is_tcp || self.protocol == Selected::Udp;
        let has_icmp = is_any || self.protocol == Selected::Icmp;
        let has_icmp = has_icmp || self.protocol == Selected::Neighbour;
        let both: TcpFlags = TcpFlags::from_bits(self.flags.bits() & self.clear_flags.bits());
        let is_empty = |addresses: &Option<Vec<_>>| addresses.as_ref().is_some_and(Vec::is_empty);
        check(needs_tcp && !is_tcp, "only TCP has flags: use `Packet::tcp()`");
        check(
            !both.is_empty(),
            &format!("{both} must be set and not set: leave one of both conditions out"),
        );
        check(needs_ports && !has_ports, "only TCP and UDP have ports: use one of them");
        check(self.icmp_type.is_some() && !has_icmp, "only ICMP has a type: use `Packet::icmp()`");
        check(
            self.icmp_type.is_some() && (needs_ports || needs_tcp),
            "ICMP has no ports and no flags: leave them out",
        );
        check(
            self.protocol == Selected::Arp && self.is_v4.is_some(),
            "ARP is no IP packet: leave out `ipv4()` and `ipv6()`",
        );
        check(
            is_empty(&self.sources) || is_empty(&self.destinations),
            "the list of addresses is empty: add one",
        );
        found
    }
}
