//! The causes for what ends the path of a packet. Pure.

use std::net::IpAddr;

use crate::evidence::facts::event::{Event, EventKind};
use crate::explain::cause::{Cause, Certainty};
use crate::explain::causes::way::translated;
use crate::explain::code;
use crate::explain::path::Obstacle;
use crate::explain::scene::{Scene, node_name};

/// An obstacle between two nodes.
pub(super) struct Found<'a> {
    pub(super) obstacle: Obstacle<'a>,
    pub(super) is_back: bool,
    pub(super) is_exact: bool,
}

/// Returns the cause for an obstacle.
pub(super) fn explain(
    scene: &Scene<'_>,
    found: &Found<'_>,
    certainty: Certainty,
    from: &str,
    to: IpAddr,
) -> Cause {
    let other = scene.map().owner_for(to, Some(from)).unwrap_or_default();
    let way = if found.is_back {
        format!("on the way back from {} to {}", named(other, to), node_name(from))
    } else {
        format!("on the way from {} to {}", node_name(from), named(other, to))
    };
    let target = if found.is_back { from.to_owned() } else { to.to_string() };
    let cause = cut(scene, found, certainty, &way)
        .or_else(|| routed(scene, found, certainty, (&way, &target)))
        .or_else(|| translated::explain(scene, &found.obstacle, certainty, (from, &way)))
        .unwrap_or_else(|| Cause::new(certainty, format!("packets to {target} do not arrive")));
    let events = events(scene, &found.obstacle);
    events.into_iter().fold(cause, |cause, (position, text)| cause.shown_by(text).event(position))
}

/// Explains a cut.
fn cut(scene: &Scene<'_>, found: &Found<'_>, certainty: Certainty, way: &str) -> Option<Cause> {
    let new = |text: String| Cause::new(certainty, text);
    Some(match &found.obstacle {
        Obstacle::Off(node) => new(format!("{node} is powered off"))
            .shown_by(format!("it has no network, {way}"))
            .try_to(code::about("node", node, |node| format!("lab.power_on({node})?")))
            .on(node),
        Obstacle::Down { node, interface, link } => {
            let what = link.map_or_else(String::new, |link| format!("link {link} is down: "));
            let advice = match link {
                Some(link) => {
                    let up = code::about("link", link, |link| format!("lab[{link}].up()?"));
                    format!("{up} before packets are to pass, or do not set it down")
                }
                None => format!("set {interface} up: `ip link set {interface} up`"),
            };
            new(format!("{what}interface {interface} of {} is down", node_name(node)))
                .shown_by(format!("it is {way}"))
                .try_to(advice)
                .on(node)
        }
        Obstacle::Partition { node, source } => {
            let other = scene.map().owner_for(*source, Some(node)).unwrap_or_default();
            new(format!("{} and {node} are separated by a partition", named(other, *source)))
                .shown_by(format!("{node} has the rule \"from {source} blackhole\""))
                .try_to("`lab.heal()?` before they are to exchange packets")
                .on(node)
                .on(other)
        }
        _ => return None,
    })
}

/// Explains a decision of a node.
fn routed(
    scene: &Scene<'_>,
    found: &Found<'_>,
    certainty: Certainty,
    (way, target): (&str, &str),
) -> Option<Cause> {
    let new = |text: String| Cause::new(certainty, text);
    Some(match &found.obstacle {
        Obstacle::NoRoute { node, to } => {
            let back = if found.is_back { "back " } else { "" };
            let counter = counted(scene, node, to);
            new(format!("{} has no route {back}to {}", node_name(node), subject(scene, node, *to)))
                .shown_by(format!("no route of {} covers {to}{counter}", node_name(node)))
                .try_to(format!("add one: {}, or a default route", add_route(node, *to)))
                .on(node)
        }
        Obstacle::Rejected { node, by } => {
            // The sender gets an ICMP error, but not from such a route (ip-route(8)).
            let is_silent = by.contains("\"blackhole ");
            let (does, or) = match is_silent {
                true => ("discards", ", or the `black_hole` of the topology"),
                false => ("rejects", ""),
            };
            new(format!("{} {does} packets to {target} by {by}", node_name(node)))
                .shown_by(format!("it is {way}"))
                .try_to(format!("remove {by}{or}"))
                .on(node)
        }
        Obstacle::ForwardingOff { node, setting } => {
            new(format!("{} does not forward: forwarding is off", node_name(node)))
                .shown_by(format!("{} is 0 there, {way}", setting.replace('/', ".")))
                .try_to(format!("make {node} a router, or set {} to 1", setting.replace('/', ".")))
                .on(node)
        }
        Obstacle::ReversePath { node, interface, source, setting } => {
            let counter = "TcpExt.IPReversePathFilter";
            let counted = match scene.network(node).map_or(0, |at| at.counter(counter)) {
                // What it drops first are questions of ARP, which this does not count.
                0 => String::new(),
                count => format!(", and {counter} has counted {count}"),
            };
            new(format!(
                "{} drops packets from {source} at {interface}: rp_filter",
                node_name(node)
            ))
            .shown_by(format!(
                "its route to {source} is not over {interface}, and {} is on{counted}",
                setting.replace('/', ".")
            ))
            .try_to(format!(
                "set {} to 2 or 0, or use the same way in both directions",
                setting.replace('/', ".")
            ))
            .on(node)
        }
        Obstacle::NotThere { node, interface, address } => {
            new(format!("no node on {interface} of {} has the address {address}", node_name(node)))
                .shown_by(format!("it is the next hop {way}"))
                .try_to("compare the address with those of the lab, and the routes with its links")
                .on(node)
        }
        Obstacle::Loop(node) => new(format!("packets to {target} go in a circle"))
            .shown_by(format!("the path comes back to {}", node_name(node)))
            .try_to("compare the routes of the routers")
            .on(node),
        _ => return None,
    })
}

/// Returns the event that has made the obstacle: the last of its kind and node.
fn events(scene: &Scene<'_>, obstacle: &Obstacle<'_>) -> Option<(usize, String)> {
    let (kind, name, state) = match obstacle {
        Obstacle::Off(node) => (EventKind::Power, *node, "off"),
        Obstacle::Down { link, node, .. } => (EventKind::Link, link.unwrap_or(node), "down"),
        Obstacle::Partition { .. } => (EventKind::Partition, "", "on"),
        _ => return None,
    };
    let is_it = |event: &Event| {
        let mut words = event.text.split([' ', ',', ':']);
        name.is_empty() || event.node == name || words.any(|word| word == name)
    };
    let (position, event) = scene.events(kind).filter(|(_, event)| is_it(event)).last()?;
    if event.detail("state").is_some_and(|known| known != state) {
        return None;
    }
    let began = scene.facts.began.unwrap_or_default();
    let at = event.at.saturating_sub(began).as_secs_f64();
    let node = if event.node.is_empty() { String::new() } else { format!("{} ", event.node) };
    Some((position, format!("since {at:.3} s: {} {node}{}", kind.word(), event.text)))
}

fn add_route(node: &str, to: IpAddr) -> String {
    let prefix = if to.is_ipv4() { 32 } else { 128 };
    match node {
        "" => format!("`ip route add {to}/{prefix} via ...`"),
        _ => code::about("node", node, |node| {
            format!("lab[{node}].add_route(\"{to}/{prefix}\", via)?")
        }),
    }
}

/// Returns what the counters say of packets without a route.
fn counted(scene: &Scene<'_>, node: &str, to: &IpAddr) -> String {
    let name = if to.is_ipv4() { "Ip.OutNoRoutes" } else { "Ip6OutNoRoutes" };
    match scene.network(node).map_or(0, |network| network.counter(name)) {
        0 => String::new(),
        count => format!(", and {name} has counted {count}"),
    }
}

fn named(node: &str, address: IpAddr) -> String {
    if node.is_empty() { address.to_string() } else { node.to_owned() }
}

fn subject(scene: &Scene<'_>, from: &str, to: IpAddr) -> String {
    match scene.map().owner_for(to, Some(from)).filter(|node| !node.is_empty()) {
        Some(node) => format!("{node} ({to})"),
        None => to.to_string(),
    }
}
