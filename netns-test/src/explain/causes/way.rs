//! What ends the path of a packet, there or back: no route, a router that does not forward, a link
//! that is down, a partition, a node that is off. Pure.

use std::net::IpAddr;

use crate::evidence::facts::event::{Event, EventKind};
use crate::evidence::facts::network::{Network, Protocol, SocketState};
use crate::explain::cause::{Cause, Certainty};
use crate::explain::path::{Map, Obstacle, Path};
use crate::explain::scene::{Scene, is_loopback, is_server, node_name};
use crate::explain::target::Target;
use crate::explain::trouble::Trouble;

/// Most pairs of nodes that are looked at where the target is not known.
const PAIRS: usize = 4096;

/// Most causes of a guess.
const GUESSES: usize = 2;

pub(crate) fn causes(scene: &Scene<'_>, targets: &[Target<'_>]) -> Vec<Cause> {
    let is_about_path = matches!(
        scene.trouble,
        Trouble::TimedOut
            | Trouble::WouldBlock
            | Trouble::HostUnreachable
            | Trouble::NetworkUnreachable
            | Trouble::TimeLimit
            | Trouble::Denied
    );
    if !is_about_path {
        return Vec::new();
    }
    let known: Vec<Cause> = targets.iter().filter_map(|target| of_target(scene, target)).collect();
    if !known.is_empty() {
        return known;
    }
    let is_known = targets.iter().any(|target| target.is_sure && target.from.is_some());
    if is_known { Vec::new() } else { guesses(scene) }
}

/// Walks to a known address, and back.
fn of_target(scene: &Scene<'_>, target: &Target<'_>) -> Option<Cause> {
    let from = target.from.or(scene.node)?;
    let obstacle = between(scene, from, target.to.ip())?;
    // What answers at once has not waited for a path.
    let is_sure = target.is_sure && obstacle.is_exact && !is_loopback(target.to.ip());
    let cause = explain(scene, &obstacle, Certainty::if_sure(is_sure), from, target.to.ip());
    Some(cause.shown_by(target.proof.clone()))
}

/// An obstacle between two nodes.
struct Found<'a> {
    obstacle: Obstacle<'a>,
    is_back: bool,
    is_exact: bool,
}

/// Returns what ends the path to an address, or the one back.
fn between<'a>(scene: &Scene<'a>, from: &str, to: IpAddr) -> Option<Found<'a>> {
    let map = Map { networks: scene.networks, lab: scene.facts.lab() };
    let there = map.walk(from, None, to)?;
    let Path { source, end, is_exact, .. } = there;
    let other = match end {
        Err(obstacle) => return Some(Found { obstacle, is_back: false, is_exact }),
        Ok(other) => other,
    };
    let back = map.walk(other, Some(to), source?)?;
    let is_exact = is_exact && back.is_exact;
    back.end.err().map(|obstacle| Found { obstacle, is_back: true, is_exact })
}

/// Returns the obstacles that explain the failure, where the target is not known: between nodes and
/// the servers of others, else between any two.
fn guesses(scene: &Scene<'_>) -> Vec<Cause> {
    let to_servers = pairs(scene, true);
    let mut found = obstacles(scene, &to_servers);
    if found.is_empty() && to_servers.is_empty() || scene.trouble == Trouble::NetworkUnreachable {
        found.extend(obstacles(scene, &pairs(scene, false)));
    }
    found.truncate(GUESSES);
    found
}

fn obstacles(scene: &Scene<'_>, pairs: &[(&str, IpAddr)]) -> Vec<Cause> {
    let mut found: Vec<Cause> = Vec::new();
    for (from, to) in pairs.iter().take(PAIRS) {
        let Some(obstacle) = between(scene, from, *to) else { continue };
        // It has sent without a route, or not at all.
        if scene.trouble == Trouble::NetworkUnreachable && obstacle.is_back {
            continue;
        }
        let cause = explain(scene, &obstacle, Certainty::Likely, from, *to);
        let is_new = found.iter().all(|known| known.text != cause.text);
        if is_new {
            found.push(cause);
        }
        if found.len() > GUESSES {
            break;
        }
    }
    found
}

/// Returns nodes, and addresses of others: those of nodes with a server, or of all.
fn pairs<'a>(scene: &Scene<'a>, to_servers: bool) -> Vec<(&'a str, IpAddr)> {
    let Some(lab) = scene.facts.lab() else { return Vec::new() };
    let is_host = |name: &str| {
        lab.node(name).is_none_or(|node| node.kind != "switch" && node.kind != "router")
    };
    let has_server = |network: &&Network| {
        !to_servers
            || network.sockets.iter().any(|socket| {
                let is_open = is_server(socket) || socket.state == SocketState::Established;
                is_open
                    && socket.protocol != Protocol::Unix
                    && socket.local.is_some_and(|local| !is_loopback(local.ip()))
            })
    };
    // A node that is off has no network, and had a server.
    let off = lab.nodes.iter().filter(|node| scene.network(&node.name).is_none());
    let off = off.flat_map(|node| &node.interfaces).flat_map(|one| &one.addresses).copied();
    let on = scene.nodes().filter(|network| is_host(&network.node)).filter(has_server);
    let on = on.flat_map(|network| {
        let planned = lab.node(&network.node).into_iter();
        planned.flat_map(|node| &node.interfaces).flat_map(|one| &one.addresses).copied()
    });
    let all: Vec<IpAddr> = on.chain(off).collect();
    let mut senders: Vec<&Network> = scene.nodes().filter(|one| is_host(&one.node)).collect();
    // The node on which it failed comes first.
    senders.sort_by_key(|network| Some(network.node.as_str()) != scene.node);
    let mut pairs = Vec::new();
    for from in senders {
        let is_other = |to: &&IpAddr| {
            !from.interfaces.iter().any(|one| one.addresses.iter().any(|one| one.address == **to))
        };
        pairs.extend(all.iter().filter(is_other).map(|to| (from.node.as_str(), *to)));
    }
    // IPv4 first: both families are usually cut at the same place.
    pairs.sort_by_key(|(from, to)| (Some(*from) != scene.node, to.is_ipv6()));
    pairs
}

/// Returns the cause for an obstacle.
fn explain(
    scene: &Scene<'_>,
    found: &Found<'_>,
    certainty: Certainty,
    from: &str,
    to: IpAddr,
) -> Cause {
    let target = scene.owner(to, None).unwrap_or_default();
    let way = if found.is_back {
        format!("on the way back from {} to {}", named(target, to), node_name(from))
    } else {
        format!("on the way from {} to {}", node_name(from), named(target, to))
    };
    let new = |text: String| Cause::new(certainty, text);
    let cause = match &found.obstacle {
        Obstacle::Off(node) => new(format!("{node} is powered off"))
            .shown_by(format!("it has no network, {way}"))
            .try_to(format!("`lab.power_on({node})` before it is needed"))
            .on(node),
        Obstacle::Down { node, interface, link } => {
            let what = link.map_or_else(String::new, |link| format!("link {link} is down: "));
            let advice = match link {
                Some(link) => format!("`lab[{link}].up()`, or keep it up meanwhile"),
                None => format!("set {interface} up: `ip link set {interface} up`"),
            };
            new(format!("{what}interface {interface} of {} is down", node_name(node)))
                .shown_by(format!("it is {way}"))
                .try_to(advice)
                .on(node)
        }
        Obstacle::NoRoute { node, to } => {
            let back = if found.is_back { "back " } else { "" };
            let counter = counted(scene, node, to);
            new(format!("{} has no route {back}to {}", node_name(node), subject(scene, *to)))
                .shown_by(format!("no route of {} covers {to}{counter}", node_name(node)))
                .try_to(format!(
                    "add one: `lab[{node}].add_route(\"{to}/{}\", via)`, or a default route",
                    if to.is_ipv4() { 32 } else { 128 }
                ))
                .on(node)
        }
        Obstacle::Rejected { node, by } => {
            new(format!("{} rejects packets to {to} by {by}", node_name(node)))
                .shown_by(format!("it is {way}"))
                .try_to(format!("remove {by}"))
                .on(node)
        }
        Obstacle::Partition { node, source } => {
            let other = scene.owner(*source, None).unwrap_or_default();
            new(format!("{} and {node} are separated by a partition", named(other, *source)))
                .shown_by(format!("{node} has the rule \"from {source} blackhole\""))
                .try_to("`lab.heal()` before they are to talk")
                .on(node)
                .on(other)
        }
        Obstacle::ForwardingOff { node, setting } => {
            new(format!("{} does not forward: forwarding is off", node_name(node)))
                .shown_by(format!("{} is 0 there, {way}", setting.replace('/', ".")))
                .try_to(format!("make {node} a router, or set {} to 1", setting.replace('/', ".")))
                .on(node)
        }
        Obstacle::ReversePath { node, interface, source, setting } => {
            let dropped =
                scene.network(node).map_or(0, |at| at.counter("TcpExt.IPReversePathFilter"));
            new(format!(
                "{} drops packets from {source} at {interface}: rp_filter",
                node_name(node)
            ))
            .shown_by(format!(
                "its route to {source} is not over {interface}, {} is on, and it has dropped \
                     {dropped} packets so",
                setting.replace('/', ".")
            ))
            .try_to(format!(
                "set {} to 2 or 0, or route both ways alike",
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
        Obstacle::Loop(node) => new(format!("packets to {to} go in a circle"))
            .shown_by(format!("the path comes back to {}", node_name(node)))
            .try_to("compare the routes of the routers")
            .on(node),
    };
    let events = events(scene, &found.obstacle);
    events.into_iter().fold(cause, |cause, (position, text)| cause.shown_by(text).event(position))
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

fn subject(scene: &Scene<'_>, to: IpAddr) -> String {
    match scene.owner(to, None).filter(|node| !node.is_empty()) {
        Some(node) => format!("{node} ({to})"),
        None => to.to_string(),
    }
}

#[cfg(test)]
mod tests;
