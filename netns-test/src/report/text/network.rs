//! The state of the networks that a failure is about: counters, filters, routes. Pure.

mod escapes;

use std::net::IpAddr;

use crate::evidence::facts::Facts;
use crate::evidence::facts::network::{Network, Route};
use crate::report::stacks;
use crate::report::text::concern::Concern;
use crate::report::text::page::{Rank, Section};

pub(crate) use crate::report::text::network::escapes::section as escapes;

/// Most rows of a section, and counters of a row.
const MOST: usize = 8;
const MOST_COUNTERS: usize = 5;
const MOST_GAPS: usize = 3;

/// Ends of the names of counters that count something that went wrong.
const TROUBLES: [&str; 24] = [
    "RcvbufErrors",
    "SndbufErrors",
    "InErrors",
    "InCsumErrors",
    "NoPorts",
    "OutNoRoutes",
    "InNoRoutes",
    "InAddrErrors",
    "InHdrErrors",
    "InTooBigErrors",
    "InDiscards",
    "OutDiscards",
    "ReasmFails",
    "FragFails",
    "InDestUnreachs",
    "InTimeExcds",
    "InPktTooBigs",
    "AttemptFails",
    "EstabResets",
    "OutRsts",
    "RetransSegs",
    "ListenOverflows",
    "ListenDrops",
    "IPReversePathFilter",
];

/// Returns the counters that say that something went wrong, and filters that have matched.
pub(crate) fn counters(facts: &Facts) -> Section {
    let networks = || facts.look().into_iter().flat_map(|look| &look.networks);
    let mut rows: Vec<String> = networks().flat_map(filters).collect();
    rows.extend(networks().filter_map(troubles));
    let count = rows.len();
    if count > MOST {
        rows.truncate(MOST);
        rows.push(format!("  ... {} more", count - MOST));
    }
    let title = "Filters and counters that have moved".to_owned();
    Section { title, rows, least: 3, rank: Rank::Counters }
}

fn filters(network: &Network) -> Vec<String> {
    let matched = network.filters.iter().filter(|filter| filter.packets > 0);
    let rows = matched.map(|one| {
        let (node, packets) = (label(network), one.packets);
        // A rule of a lab's NAT or firewall says what it is.
        let comment = one.text.split_once("comment \"").filter(|_| one.table == "inet netns-test");
        if let Some((_, comment)) = comment {
            let text = comment.trim_end_matches('"');
            return format!("  {node:8} {} {packets} packets: {text}", one.verdict);
        }
        let rule = [&one.table, &one.chain].map(String::as_str).join(" ");
        format!("  {node:8} {rule}: {} {packets} packets: {}", one.verdict, one.text)
    });
    rows.collect()
}

fn troubles(network: &Network) -> Option<String> {
    let is_trouble = |name: &str| TROUBLES.iter().any(|end| name.ends_with(end));
    let counters = network.counters.iter().filter(|one| one.value > 0 && is_trouble(&one.name));
    let mut texts: Vec<String> =
        counters.map(|one| format!("{} +{}", one.name, one.value)).collect();
    for one in &network.interfaces {
        let dropped = [("received", one.rx_dropped), ("sent", one.tx_dropped)];
        let dropped = dropped.into_iter().filter(|(_, count)| *count > 0);
        texts.extend(dropped.map(|(way, count)| format!("{} dropped {count} {way}", one.name)));
    }
    let count = texts.len();
    if count > MOST_COUNTERS {
        texts.truncate(MOST_COUNTERS);
        texts.push(format!("{} more", count - MOST_COUNTERS));
    }
    (count > 0).then(|| format!("  {:8} {}", label(network), texts.join(", ")))
}

fn label(network: &Network) -> &str {
    if network.node.is_empty() { "(test)" } else { &network.node }
}

/// Returns the routes to the addresses that nodes wanted to reach.
pub(crate) fn routes(facts: &Facts, concern: &Concern) -> Section {
    let rows = concern.targets.iter().filter_map(|(node, address)| {
        let network = facts.look()?.network(node)?;
        // Without routes the table was not read: each network has some for its own addresses.
        if network.routes.is_empty() || network.interfaces.is_empty() {
            return None;
        }
        let mut own = network.interfaces.iter().flat_map(|interface| &interface.addresses);
        if own.any(|one| one.address == *address) {
            return None;
        }
        Some(format!("  {} -> {address}   {}", label(network), way(network, *address)))
    });
    let rows = rows.take(4).collect();
    Section { title: "Routes by the tables".into(), rows, least: 2, rank: Rank::Routes }
}

fn way(network: &Network, address: IpAddr) -> String {
    let Some(route) = route(network, address) else { return "no route".into() };
    if !matches!(route.kind.as_str(), "unicast" | "local") {
        return route.kind.clone();
    }
    let via = route.via.map(|via| format!("via {via} ")).unwrap_or_default();
    let device = network.interface(route.device).map_or("?", |one| one.name.as_str());
    let state = if route.is_usable { "" } else { " (not usable: no carrier)" };
    format!("{via}dev {device}{state}")
}

/// Returns the route by the longest prefix; only the tables that the kernel asks without rules.
fn route(network: &Network, address: IpAddr) -> Option<&Route> {
    let is_asked = |route: &&Route| matches!(route.table, 253..=255);
    let matching = network.routes.iter().filter(is_asked);
    let matching = matching.filter(|route| contains(route.destination, route.prefix, address));
    matching.max_by_key(|route| (route.table == 255, route.prefix, u32::MAX - route.metric))
}

fn contains(network: IpAddr, prefix: u8, address: IpAddr) -> bool {
    let bits = |address| match address {
        IpAddr::V4(address) => (u128::from(u32::from(address)) << 96, 32),
        IpAddr::V6(address) => (u128::from(address), 128),
    };
    let ((network, size), (address, other)) = (bits(network), bits(address));
    let mask = u128::MAX.checked_shl(128 - u32::from(prefix.min(128))).unwrap_or(0);
    size == other && prefix <= size && (network ^ address) & mask == 0
}

/// Returns what could not be read.
pub(crate) fn gaps(facts: &Facts) -> Section {
    let looks = facts.looks.iter();
    let of_looks = looks.flat_map(|look| {
        let networks = look.networks.iter().flat_map(|network| &network.gaps);
        look.gaps.iter().chain(networks)
    });
    let mut rows: Vec<String> = Vec::new();
    let mut left_out = 0;
    let of_stacks = stacks::problem(facts);
    for gap in facts.gaps.iter().chain(&of_stacks).chain(of_looks) {
        let row = format!("  could not be read: {gap}");
        if rows.len() >= MOST_GAPS {
            left_out += 1;
        } else if !rows.contains(&row) {
            rows.push(row);
        }
    }
    if left_out > 0 {
        rows.push(format!("  ... {left_out} more"));
    }
    if facts.lost > 0 {
        rows.push(format!("  {} events did not fit into the log", facts.lost));
    }
    Section { title: "Gaps".into(), rows, least: 1, rank: Rank::Gaps }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_contain_addresses() {
        let contains = |network: &str, prefix, address: &str| {
            contains(network.parse().unwrap(), prefix, address.parse().unwrap())
        };
        assert!(contains("10.0.0.0", 24, "10.0.0.9"));
        assert!(!contains("10.0.0.0", 24, "10.0.1.9"));
        assert!(contains("0.0.0.0", 0, "192.0.2.1") && !contains("0.0.0.0", 0, "fd00::1"));
        assert!(contains("fd00::", 64, "fd00::1") && contains("::", 0, "fd00::1"));
    }
}
