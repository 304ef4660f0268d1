//! The choice of a route, as the kernel makes it: rules by priority, then the longest prefix. Pure.

use std::net::IpAddr;

use crate::evidence::facts::network::{Network, Route, Rule};

/// Result of a lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lookup<'a> {
    /// A route, which may be one that rejects.
    Route(&'a Route),
    /// A rule of the policy drops or rejects the packet.
    Rule(&'a Rule),
    None,
}

/// A lookup, and whether all rules on the way were understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found<'a> {
    pub(crate) lookup: Lookup<'a>,
    pub(crate) is_exact: bool,
}

/// Numbers of routing tables (ip-route(8)), in the order of the default rules.
const TABLES: [(&str, u32); 3] = [("local", 255), ("main", 254), ("default", 253)];

/// Looks up the route of a packet.
pub(crate) fn lookup(network: &Network, source: Option<IpAddr>, to: IpAddr) -> Found<'_> {
    let mut rules: Vec<&Rule> =
        network.rules.iter().filter(|rule| rule.is_ipv4 == to.is_ipv4()).collect();
    rules.sort_by_key(|rule| rule.priority);
    let mut is_exact = true;
    if rules.is_empty() {
        let tables = TABLES.iter().map(|(_, table)| *table);
        let found = tables.filter_map(|table| in_table(network, table, to)).next();
        return Found { lookup: found.map_or(Lookup::None, Lookup::Route), is_exact };
    }
    for rule in rules {
        match selects(&rule.selector, source, to) {
            Some(true) => {}
            Some(false) => continue,
            None => {
                is_exact = false;
                continue;
            }
        }
        match table(&rule.action) {
            Some(table) => {
                if let Some(route) = in_table(network, table, to) {
                    return Found { lookup: Lookup::Route(route), is_exact };
                }
            }
            None if is_refusal(&rule.action) => {
                return Found { lookup: Lookup::Rule(rule), is_exact };
            }
            None => is_exact = false,
        }
    }
    Found { lookup: Lookup::None, is_exact }
}

/// Returns the best route of a table.
fn in_table(network: &Network, table: u32, to: IpAddr) -> Option<&Route> {
    let fits = |route: &&Route| route.table == table && covers(route.destination, route.prefix, to);
    // Among routes of one length, one that works is taken: IPv6 skips others, and what the kernel
    // shows last of a metric may be any of them.
    let best = network
        .routes
        .iter()
        .filter(fits)
        .min_by_key(|route| (std::cmp::Reverse(route.prefix), route.metric, !route.is_usable));
    best.filter(|route| route.kind != "throw")
}

/// Returns whether a subnet holds an address.
pub(crate) fn covers(subnet: IpAddr, prefix: u8, address: IpAddr) -> bool {
    let same = |a: u128, b: u128, bits: u32| {
        let prefix = u32::from(prefix).min(bits);
        prefix == 0 || (a ^ b) >> (bits - prefix) == 0
    };
    match (subnet, address) {
        (IpAddr::V4(a), IpAddr::V4(b)) => same(u32::from(a).into(), u32::from(b).into(), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => same(a.into(), b.into(), 128),
        _ => false,
    }
}

/// Returns whether a rule selects a packet; none if it is not known.
fn selects(selector: &str, source: Option<IpAddr>, to: IpAddr) -> Option<bool> {
    let mut words = selector.split_whitespace();
    let mut selects = true;
    while let Some(word) = words.next() {
        let value = match word {
            "all" => continue,
            "from" | "to" => words.next()?,
            _ => return None,
        };
        if value == "all" {
            continue;
        }
        let (subnet, prefix) = subnet(value)?;
        selects &= match (word, source) {
            ("to", _) => covers(subnet, prefix, to),
            (_, Some(source)) => covers(subnet, prefix, source),
            // Without a source yet, as of a socket that is not bound, such a rule does not apply.
            (_, None) => false,
        };
    }
    Some(selects)
}

/// Reads `10.0.0.0/24` or `10.0.0.1`.
fn subnet(text: &str) -> Option<(IpAddr, u8)> {
    let (address, prefix) = text.split_once('/').unwrap_or((text, ""));
    let address: IpAddr = address.parse().ok()?;
    let whole = if address.is_ipv4() { 32 } else { 128 };
    Some((address, if prefix.is_empty() { whole } else { prefix.parse().ok()? }))
}

/// Reads `lookup main`.
fn table(action: &str) -> Option<u32> {
    let name = action.strip_prefix("lookup ")?.trim();
    let known = TABLES.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
    known.or_else(|| name.parse().ok())
}

fn is_refusal(action: &str) -> bool {
    matches!(action.trim(), "blackhole" | "unreachable" | "prohibit")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::sample::{address, route};

    fn rule(priority: u32, selector: &str, action: &str) -> Rule {
        let (selector, action) = (selector.to_owned(), action.to_owned());
        Rule { is_ipv4: true, priority, selector, action }
    }

    fn device(network: &Network, source: Option<&str>, to: &str) -> Option<u32> {
        match lookup(network, source.map(address), address(to)).lookup {
            Lookup::Route(route) => Some(route.device),
            _ => None,
        }
    }

    #[test]
    fn the_longest_prefix_of_the_first_table_is_taken() {
        let mut network = Network {
            routes: vec![
                route("0.0.0.0/0", Some("10.0.0.254"), 2),
                route("10.0.0.0/24", None, 2),
                route("10.0.0.128/25", None, 3),
            ],
            ..Network::default()
        };
        assert_eq!(device(&network, None, "10.0.0.1"), Some(2));
        assert_eq!(device(&network, None, "10.0.0.200"), Some(3));
        assert_eq!(device(&network, None, "192.0.2.1"), Some(2));
        assert_eq!(device(&network, None, "fd00::1"), None);
        network.routes[0].table = 100;
        assert_eq!(device(&network, None, "192.0.2.1"), None);
        network.rules = vec![
            rule(100, "from 10.0.0.0/24", "lookup 100"),
            rule(32766, "from all", "lookup main"),
        ];
        assert_eq!(device(&network, None, "192.0.2.1"), None);
        assert_eq!(device(&network, Some("10.0.0.7"), "192.0.2.1"), Some(2));
        network.rules.insert(0, rule(1, "from 10.0.0.7", "blackhole"));
        let found = lookup(&network, Some(address("10.0.0.7")), address("192.0.2.1"));
        assert_eq!(found.lookup, Lookup::Rule(&network.rules[0]));
        assert!(found.is_exact);
        network.rules.insert(0, rule(0, "fwmark 0x1", "lookup 7"));
        assert!(!lookup(&network, None, address("192.0.2.1")).is_exact);
    }

    #[test]
    fn a_route_of_two_with_the_same_length_is_that_of_the_least_metric() {
        let (mut one, other) = (route("10.0.0.0/24", None, 2), route("10.0.0.0/24", None, 3));
        one.metric = 100;
        let network = Network { routes: vec![one, other], ..Network::default() };
        assert_eq!(device(&network, None, "10.0.0.1"), Some(3));
    }
}
