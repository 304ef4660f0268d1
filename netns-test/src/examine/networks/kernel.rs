//! Interfaces, addresses, routes, rules and neighbours of the network that the calling thread is
//! in, over netlink.

use crate::error::Failure;
use crate::evidence::facts::network::{Address, Interface, Neighbour, Network, Route, Rule};
use crate::netlink::Netlink;
use crate::netlink::addr::Shown;
use crate::netlink::link::LOOPBACK;
use crate::netlink::{link, neigh, route, rule};

/// Most routes, and most neighbours.
const MOST: usize = 1_000;

/// Reads all of them.
pub(super) fn read(network: &mut Network) {
    let netlink = match Netlink::open() {
        Ok(netlink) => netlink,
        Err(failure) => return network.gaps.push(failure.to_string()),
    };
    let mut gaps = Vec::new();
    let addresses = list(netlink.shown_addresses(), &mut gaps);
    let interfaces = list(netlink.interfaces(), &mut gaps);
    network.interfaces = interfaces.into_iter().map(|one| interface(one, &addresses)).collect();
    network.routes = list(netlink.routes(), &mut gaps).iter().flat_map(routes).collect();
    network.rules = list(netlink.rules(), &mut gaps).iter().map(rule).collect();
    network.neighbours = list(netlink.neighbours(), &mut gaps).into_iter().map(neighbour).collect();
    network.gaps.append(&mut gaps);
}

/// Returns what was listed; nothing if it was refused.
fn list<T>(found: Result<Vec<T>, Failure>, gaps: &mut Vec<String>) -> Vec<T> {
    let mut found = found.unwrap_or_else(|failure| {
        gaps.push(failure.to_string());
        Vec::new()
    });
    if found.len() > MOST {
        let left = found.len() - MOST;
        gaps.push(format!("{left} more of {MOST} routes, addresses or neighbours were left out"));
        found.truncate(MOST);
    }
    found
}

fn interface(one: link::Interface, addresses: &[Shown]) -> Interface {
    let own = addresses.iter().filter(|address| address.index == one.index);
    let counters = one.counters.unwrap_or_default();
    let none = if one.index == LOOPBACK { "loopback" } else { "device" };
    Interface {
        index: one.index,
        kind: one.kind.unwrap_or_else(|| none.to_owned()),
        mac: mac(one.mac.as_deref()),
        mtu: one.mtu,
        is_up: one.is_up,
        has_carrier: one.has_carrier,
        bridge: one.bridge.unwrap_or(0),
        addresses: own.map(address).collect(),
        rx_packets: counters.rx_packets,
        tx_packets: counters.tx_packets,
        rx_dropped: counters.rx_dropped,
        tx_dropped: counters.tx_dropped,
        name: one.name,
    }
}

fn address(one: &Shown) -> Address {
    let says = |word: &str| one.more.iter().any(|more| more == word);
    Address {
        address: one.cidr.address(),
        prefix: one.cidr.prefix(),
        is_tentative: says("tentative"),
        is_duplicate: says("dadfailed"),
    }
}

/// Returns a route for each next hop.
fn routes(one: &route::Route) -> Vec<Route> {
    let known = Route {
        destination: one.destination.network(),
        prefix: one.destination.prefix(),
        table: one.table,
        metric: one.metric,
        kind: one.kind.to_owned(),
        is_usable: one.is_usable,
        ..Route::default()
    };
    let hop =
        |hop: &route::Hop| Route { via: hop.via, device: hop.index.unwrap_or(0), ..known.clone() };
    if one.hops.is_empty() { vec![known.clone()] } else { one.hops.iter().map(hop).collect() }
}

fn rule(one: &rule::Rule) -> Rule {
    let more = one.more.iter().map(|words| format!(" {words}"));
    Rule {
        is_ipv4: one.is_ipv4,
        priority: one.priority,
        selector: one.selector.clone(),
        action: format!("{}{}", one.action, more.collect::<String>()),
    }
}

fn neighbour(one: neigh::Neighbour) -> Neighbour {
    Neighbour {
        address: one.address,
        device: one.index,
        mac: mac(one.mac.as_deref()),
        state: one.state,
    }
}

/// `02:00:00:00:00:01`
fn mac(octets: Option<&[u8]>) -> String {
    let octets = octets.unwrap_or_default().iter().map(|octet| format!("{octet:02x}"));
    octets.collect::<Vec<_>>().join(":")
}
