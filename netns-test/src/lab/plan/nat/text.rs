//! Texts of planned NATs and firewalls. Pure.

use std::fmt;

use crate::lab::plan::nat::view::family;
use crate::lab::plan::nat::{FirewallPlan, NatPlan, NatTimeouts, PortForwardPlan};
use crate::lab::plan::{InterfacePlan, NodePlan};
use crate::lab::topology::nat::model::Ipv6Nat;
use crate::lab::topology::nat::text;

/// Writes the kind in the words of RFC 4787, and what differs from
/// [`Nat::new`](crate::lab::Nat::new).
impl fmt::Display for NatPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            outside: _,
            mapping,
            filtering,
            port_preservation,
            hairpinning,
            inbound_refresh,
            pool,
            is_paired,
            ports,
            blocks: _,
            timeouts,
            one_to_one: _,
            one_to_one_nodes: _,
            forwards: _,
            ipv6,
            prefixes: _,
            port_mapping,
        } = self;
        let flags = [*port_preservation, *hairpinning, *inbound_refresh];
        let mut words = text::kind(*mapping, *filtering, flags);
        words.extend((pool.len() > 1 && !is_paired).then(|| "arbitrary pooling".to_owned()));
        words.extend(text::ports(ports));
        let NatTimeouts { udp, tcp_established, tcp_transitory, icmp } = *timeouts;
        let all = [udp, tcp_established, tcp_transitory, icmp];
        words.extend(text::timeouts(all.map(u64::from)));
        words.extend((*ipv6 != Ipv6Nat::Routed).then(|| format!("IPv6 {ipv6}")));
        words.extend(port_mapping.as_ref().map(ToString::to_string));
        f.write_str(&words.join(", "))
    }
}

/// Writes `tcp 8443 to 192.168.1.10:443`.
impl fmt::Display for PortForwardPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { protocol, external_port, to, port, node: _ } = self;
        write!(f, "{protocol} {external_port} to {to}:{port}")
    }
}

/// Writes the rules, then the defaults.
impl fmt::Display for FirewallPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines().join("; "))
    }
}

impl FirewallPlan {
    /// Returns the text of each rule, then of the defaults.
    pub(crate) fn lines(&self) -> Vec<String> {
        let Self { outside: _, rules, defaults, drops_icmp_errors } = self;
        let rules = rules.iter().map(|rule| rule.text.clone());
        rules.chain(text::rest(*defaults, *drops_icmp_errors)).collect()
    }
}

impl NodePlan {
    /// Returns the lines of the node's NATs: the outside interface, then what happens there.
    pub(crate) fn nat_lines(&self) -> Vec<[String; 2]> {
        let mut lines = Vec::new();
        for nat in &self.nats {
            let outside = self.interfaces.iter().find(|one| one.name == nat.outside);
            let addresses = outside.map(|outside| external(nat, outside)).unwrap_or_default();
            let mut add = |text| lines.push([nat.outside.clone(), text]);
            add(format!("{}: {nat}", addresses.join(" ")));
            nat.prefixes.iter().for_each(|(inside, ip)| add(format!("{ip} is {inside}")));
            nat.one_to_one.iter().for_each(|(ip, inside)| add(format!("{ip} is {inside}")));
            nat.forwards.iter().for_each(|forward| add(forward.to_string()));
            for (inside, ports) in &nat.blocks {
                add(format!("ports {} for {inside}", text::port_range(ports)));
            }
        }
        lines
    }

    /// Returns the lines of the node's firewall: the outside interfaces, then a rule.
    pub(crate) fn firewall_lines(&self) -> Vec<[String; 2]> {
        let Some(firewall) = &self.firewall else { return Vec::new() };
        let outside = match firewall.outside.as_slice() {
            [] => "all".to_owned(),
            some => some.join(" "),
        };
        firewall.lines().into_iter().map(|line| [outside.clone(), line]).collect()
    }
}

/// Returns the external addresses: the pool, or those of the interface.
fn external(nat: &NatPlan, outside: &InterfacePlan) -> Vec<String> {
    let own = outside.addresses.iter().map(|one| one.address()).filter(|one| {
        nat.one_to_one.iter().all(|(external, _)| one != external)
            && (family(*one) == 0 && nat.pool.is_empty()
                || family(*one) == 1 && nat.ipv6 == Ipv6Nat::Masquerade)
    });
    let pool = nat.pool.iter().map(ToString::to_string);
    pool.chain(own.map(|one| one.to_string())).collect()
}
