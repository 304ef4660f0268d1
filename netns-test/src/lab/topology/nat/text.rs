//! Texts of NATs and firewalls, in the words of RFC 4787. Pure.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::addr::cidr::CidrError;
use crate::lab::topology::Topology;
use crate::lab::topology::id::NodeId;
use crate::lab::topology::nat::Nat;
use crate::lab::topology::nat::declared::{DeclaredFirewall, DeclaredForward, DeclaredNat};
use crate::lab::topology::nat::firewall::Firewall;
use crate::lab::topology::nat::model::{
    Filtering, FirewallAction, FirewallDirection, FirewallRule, Ipv6Nat, Mapping, Traffic,
    TrafficProtocol, Transport,
};
use crate::lab::topology::nat::reference::Reference;

/// Writes `endpoint-independent` and so on.
impl fmt::Display for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EndpointIndependent => "endpoint-independent",
            Self::AddressDependent => "address-dependent",
            Self::AddressAndPortDependent => "address and port-dependent",
        })
    }
}

/// Writes `endpoint-independent` and so on.
impl fmt::Display for Filtering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EndpointIndependent => "endpoint-independent",
            Self::AddressDependent => "address-dependent",
            Self::AddressAndPortDependent => "address and port-dependent",
        })
    }
}

/// Writes `tcp` or `udp`.
impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// Writes `routed`, `masqueraded`, `blocked`, or `translated from fd00::/48 to 2001:db8:1::/48`.
impl fmt::Display for Ipv6Nat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Routed => "routed",
            Self::Masquerade => "masqueraded",
            Self::Blocked => "blocked",
            Self::Prefix { inside, outside } => {
                return write!(f, "translated from {inside} to {outside}");
            }
        })
    }
}

/// Writes `out` or `in`.
impl fmt::Display for FirewallDirection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Out => "out",
            Self::In => "in",
        })
    }
}

/// Writes `allow`, `drop` or `reject`.
impl fmt::Display for FirewallAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "allow",
            Self::Drop => "drop",
            Self::Reject => "reject",
        })
    }
}

/// Writes the kind in the words of RFC 4787, and what differs from [`Nat::new`].
impl fmt::Display for Nat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&nat(self, node_name))
    }
}

/// Returns the text of a NAT; `name` returns the name of a node.
pub(crate) fn nat(nat: &Nat, name: impl Fn(Reference<NodeId>) -> String) -> String {
    let Nat {
        mapping,
        filtering,
        port_preservation,
        hairpinning,
        inbound_refresh,
        pool,
        is_paired,
        ports: range,
        block,
        udp_timeout,
        tcp_established_timeout,
        tcp_transitory_timeout,
        icmp_timeout,
        one_to_one,
        ipv6,
        port_mapping,
    } = nat;
    let flags = [*port_preservation, *hairpinning, *inbound_refresh];
    let mut words = kind(*mapping, *filtering, flags);
    if !pool.is_empty() {
        let all: Vec<String> = pool.iter().map(ToString::to_string).collect();
        let paired = if *is_paired { "" } else { ", arbitrary pooling" };
        words.push(format!("pool {}{paired}", all.join(" ")));
    }
    words.extend(ports(range));
    words.extend(block.map(|count| format!("{count} ports for each host")));
    let all = [udp_timeout, tcp_established_timeout, tcp_transitory_timeout, icmp_timeout];
    words.extend(timeouts(all.map(Duration::as_secs)));
    words.extend(one_to_one.iter().map(|(ip, node)| format!("{ip} is {}", name(*node))));
    words.extend(ipv6_words(ipv6));
    words.extend(port_mapping.as_ref().map(ToString::to_string));
    words.join(", ")
}

/// Returns the treatment of IPv6, unless it is routed.
fn ipv6_words(ipv6: &Result<Ipv6Nat, CidrError>) -> Option<String> {
    match ipv6 {
        Ok(Ipv6Nat::Routed) => None,
        Ok(other) => Some(format!("IPv6 {other}")),
        Err(mistake) => Some(format!("IPv6 {mistake}")),
    }
}

/// External ports of a NAT that sets none.
const ALL_PORTS: RangeInclusive<u16> = 1024..=65535;

/// Names of time-outs with the defaults in seconds.
const TIMEOUTS: [(&str, u64); 4] =
    [("UDP", 300), ("open TCP", 7440), ("transitory TCP", 240), ("ICMP", 60)];

/// Returns the kind of a NAT. The flags are port preservation, hairpinning, inbound refresh.
pub(crate) fn kind(mapping: Mapping, filtering: Filtering, flags: [bool; 3]) -> Vec<String> {
    let [preserves, hairpins, refreshes] = flags;
    let mut words = vec![format!("{mapping} mapping"), format!("{filtering} filtering")];
    words.push((if preserves { "port preservation" } else { "random ports" }).to_owned());
    words.push((if hairpins { "hairpinning" } else { "no hairpinning" }).to_owned());
    words.extend((!refreshes).then(|| "no inbound refresh".to_owned()));
    words
}

/// Returns the time-outs that are not the default ones: UDP, open TCP, transitory TCP, ICMP.
pub(crate) fn timeouts(seconds: [u64; 4]) -> Vec<String> {
    let pairs = TIMEOUTS.iter().zip(seconds);
    let other = pairs.filter(|((_, default), given)| default != given);
    other.map(|((name, _), given)| format!("{name} time-out {given} s")).collect()
}

/// Returns the range of external ports if it is not the default one.
pub(crate) fn ports(range: &RangeInclusive<u16>) -> Option<String> {
    (*range != ALL_PORTS).then(|| format!("ports {}", port_range(range)))
}

/// Writes the rules, then the defaults.
impl fmt::Display for Firewall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&firewall(self, node_name).join("; "))
    }
}

/// Returns the lines of a firewall; `name` returns the name of a node.
pub(crate) fn firewall(
    firewall: &Firewall,
    name: impl Fn(Reference<NodeId>) -> String,
) -> Vec<String> {
    let Firewall { rules, defaults, outside: _, drops_icmp_errors } = firewall;
    let rules = rules.iter().map(|one| rule(one, &name));
    rules.chain(rest(*defaults, *drops_icmp_errors)).collect()
}

/// Returns the lines that follow the rules: fate of the rest, and of ICMP errors.
pub(crate) fn rest(defaults: [FirewallAction; 2], drops_icmp_errors: bool) -> Vec<String> {
    let [out, into] = defaults;
    let mut lines = vec![format!("{out} out"), format!("{into} in")];
    lines.extend(drops_icmp_errors.then(|| "drop icmp errors".to_owned()));
    lines
}

/// Returns the text of a rule: `allow out tcp 80, 443 from client`.
pub(crate) fn rule(rule: &FirewallRule, name: impl Fn(Reference<NodeId>) -> String) -> String {
    let FirewallRule { direction, traffic, action } = rule;
    let Traffic { protocol, ports, from, to } = traffic;
    let mut text = format!("{action} {direction}");
    text.push_str(match protocol {
        TrafficProtocol::Any => "",
        TrafficProtocol::Tcp => " tcp",
        TrafficProtocol::Udp => " udp",
        TrafficProtocol::Ping => " ping",
    });
    let list = |word: &str, all: Vec<String>| match all.as_slice() {
        [] => String::new(),
        all => format!(" {word}{}", all.join(", ")),
    };
    text.push_str(&list("", ports.iter().map(port_range).collect()));
    text.push_str(&list("from ", from.iter().map(|one| name(*one)).collect()));
    text.push_str(&list("to ", to.iter().map(|one| name(*one)).collect()));
    text
}

/// Writes a port, or a range as `1000-2000`.
pub(crate) fn port_range(ports: &RangeInclusive<u16>) -> String {
    match (ports.start(), ports.end()) {
        (first, last) if first == last => first.to_string(),
        (first, last) => format!("{first}-{last}"),
    }
}

/// A line about a NAT, a forwarded port or a firewall of a topology.
#[derive(Debug)]
pub(crate) struct RuleLine {
    /// Node; `None` for the id of another topology.
    pub(crate) node: Option<usize>,
    /// `nat`, `forward` or `firewall`.
    pub(crate) what: &'static str,
    /// ` on ` and the outside link, or nothing.
    pub(crate) on: String,
    pub(crate) text: String,
}

impl Topology {
    /// Returns the lines of all NATs, forwarded ports and firewalls.
    pub(crate) fn rule_lines(&self) -> Vec<RuleLine> {
        let name = |node: Option<usize>| node.map_or("?", |node| &self.nodes[node].name);
        let on = |link: Option<usize>| {
            format!(" on {}", link.map_or("?".to_owned(), |link| self.link_name(link)))
        };
        let named = |node: Reference<NodeId>| name(node.node(&self.ids)).to_owned();
        let nats = self.nats.iter().map(|one| {
            let DeclaredNat { router, link, nat: value } = one;
            let text = nat(value, named);
            RuleLine { node: *router, what: "nat", on: on(*link), text }
        });
        let forwards = self.forwards.iter().map(|one| {
            let DeclaredForward { router, link, protocol, external_port, to, to_port } = one;
            let text = format!("{protocol} {external_port} to {}:{to_port}", name(*to));
            RuleLine { node: *router, what: "forward", on: on(*link), text }
        });
        let firewalls = self.firewalls.iter().map(|one| {
            let DeclaredFirewall { node, firewall: value } = one;
            let text = firewall(value, named).join("; ");
            RuleLine { node: *node, what: "firewall", on: String::new(), text }
        });
        nats.chain(forwards).chain(firewalls).collect()
    }
}

/// Returns the name of a node whose topology is not known.
fn node_name(node: Reference<NodeId>) -> String {
    match node {
        Reference::Id(id) => id.to_string(),
        Reference::Index(Some(index)) => format!("node {index}"),
        Reference::Index(None) => "an unknown node".to_owned(),
    }
}
