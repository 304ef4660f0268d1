//! What ends the path of a packet, there or back: no route, a router that does not forward, a link
//! that is down, a partition, a node that is off. Pure.

pub(crate) mod losses;
mod obstacle;
mod past;
mod translated;

use std::net::IpAddr;

use crate::evidence::escapes;
use crate::evidence::facts::network::{Network, Protocol, SocketState};
use crate::evidence::facts::topology::{LabInterface, LabNode};
use crate::explain::cause::{Cause, Certainty};
use crate::explain::causes::way::obstacle::Found;
use crate::explain::path::Path;
use crate::explain::scene::Scene;
use crate::explain::sockets::{is_loopback, is_server};
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
    // Each network has `lo`. If the interfaces of one were not read, a walk may end there wrongly.
    let is_whole = scene.networks.iter().all(|network| !network.interfaces.is_empty());
    if !is_about_path || !is_whole {
        return Vec::new();
    }
    let known: Vec<Cause> = targets.iter().filter_map(|target| of_target(scene, target)).collect();
    if !known.is_empty() {
        return known;
    }
    let is_known = targets.iter().any(|target| target.is_sure && target.from.is_some());
    let found = if is_known { Vec::new() } else { guesses(scene) };
    if found.is_empty() { past::cause(scene, targets).into_iter().collect() } else { found }
}

/// Walks to a known address, and back.
fn of_target(scene: &Scene<'_>, target: &Target<'_>) -> Option<Cause> {
    let from = target.from.or(scene.node)?;
    let there = scene.map().walk_to(from, target.protocol, target.to)?;
    let obstacle = on_path(scene, there)?;
    // What answers at once has not waited for a path.
    let is_sure = target.is_sure && obstacle.is_exact && !is_loopback(target.to.ip());
    let cause =
        obstacle::explain(scene, &obstacle, Certainty::if_sure(is_sure), from, target.to.ip());
    Some(cause.shown_by(target.proof.clone()))
}

/// Returns what ends the path to an address, or the one back.
fn between<'a>(scene: &Scene<'a>, from: &str, to: IpAddr) -> Option<Found<'a>> {
    on_path(scene, scene.map().walk(from, None, to)?)
}

/// Returns what ends a path, or the one back.
fn on_path<'a>(scene: &Scene<'a>, there: Path<'a>) -> Option<Found<'a>> {
    let is_exact = there.is_exact;
    if let Err(obstacle) = there.end {
        return Some(Found { obstacle, is_back: false, is_exact });
    }
    let back = scene.map().walk_back(&there)?;
    let is_exact = is_exact && back.is_exact;
    back.end.err().map(|obstacle| Found { obstacle, is_back: true, is_exact })
}

/// Returns the obstacles that explain the failure, where the target is not known: between nodes and
/// the servers of others, else between any two.
fn guesses(scene: &Scene<'_>) -> Vec<Cause> {
    let to_servers = pairs(scene, true, false);
    let mut found = obstacles(scene, &to_servers);
    let is_unreachable = scene.trouble == Trouble::NetworkUnreachable;
    if found.is_empty() && to_servers.is_empty() || is_unreachable {
        found.extend(obstacles(scene, &pairs(scene, false, false)));
    }
    if found.is_empty() && is_unreachable {
        found.extend(obstacles(scene, &pairs(scene, true, true)));
    }
    found.truncate(GUESSES);
    found
}

fn obstacles(scene: &Scene<'_>, pairs: &[(&str, IpAddr)]) -> Vec<Cause> {
    let mut found: Vec<Cause> = Vec::new();
    for (from, to) in pairs.iter().filter(|pair| may_lack_a_route(scene, **pair)).take(PAIRS) {
        let Some(obstacle) = between(scene, from, *to) else { continue };
        // It has sent without a route, or not at all.
        if scene.trouble == Trouble::NetworkUnreachable && obstacle.is_back {
            continue;
        }
        let cause = obstacle::explain(scene, &obstacle, Certainty::Likely, from, *to);
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

/// Returns whether a node may have had no route to an address: by the counters, which are by
/// family.
fn may_lack_a_route(scene: &Scene<'_>, (from, to): (&str, IpAddr)) -> bool {
    let Some(network) = scene.network(from) else { return true };
    let [v4, v6] = escapes::COUNTERS.map(|name| network.counter(name));
    let [own, other] = if to.is_ipv4() { [v4, v6] } else { [v6, v4] };
    scene.trouble != Trouble::NetworkUnreachable || own > 0 || other == 0
}

/// Returns nodes, and addresses of others: those of nodes with a server, or of all. If `to_hidden`,
/// they are also those behind NATs, and not the external ones instead.
fn pairs<'a>(scene: &Scene<'a>, to_servers: bool, to_hidden: bool) -> Vec<(&'a str, IpAddr)> {
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
    let on = scene.nodes().filter(|network| is_host(&network.node)).filter(has_server);
    let on = on.filter_map(|network| lab.node(&network.node));
    let all: Vec<Place<'_>> = on.chain(off).flat_map(places).collect();
    let mut senders: Vec<&Network> = scene.nodes().filter(|one| is_host(&one.node)).collect();
    // Nodes that have sent nothing have not failed to reach another one.
    if senders.iter().any(|network| has_sent(network)) {
        senders.retain(|network| has_sent(network));
    }
    // The node on which it failed comes first.
    senders.sort_by_key(|network| Some(network.node.as_str()) != scene.node);
    let mut pairs = Vec::new();
    for from in senders {
        let is_own = |to: IpAddr| {
            from.interfaces.iter().any(|one| one.addresses.iter().any(|one| one.address == to))
        };
        let found = all.iter().filter_map(|place| match to_hidden {
            true => Some(place.2),
            false => destination(scene, &from.node, place),
        });
        let found: Vec<IpAddr> = found.filter(|to| !is_own(*to)).collect();
        pairs.extend(found.into_iter().map(|to| (from.node.as_str(), to)));
    }
    // IPv4 first: both families are usually cut at the same place.
    pairs.sort_by_key(|(from, to)| (Some(*from) != scene.node, to.is_ipv6()));
    pairs
}

/// An address of a node: its interface, and the address.
type Place<'a> = (&'a str, &'a str, IpAddr);

fn places(node: &LabNode) -> impl Iterator<Item = Place<'_>> {
    let of = |one: &'_ LabInterface| one.addresses.clone();
    node.interfaces.iter().flat_map(move |one| {
        of(one).into_iter().map(|address| (node.name.as_str(), one.name.as_str(), address))
    })
}

/// Returns the address that a node sends to for another one: behind a NAT the external one.
fn destination(scene: &Scene<'_>, from: &str, place: &Place<'_>) -> Option<IpAddr> {
    let (node, interface, address) = *place;
    let map = scene.map();
    if map.sees(from, (node, interface), address.is_ipv4()) {
        return Some(address);
    }
    let (_, nat) = map.hidden_of(from, node, address)?;
    nat.external_of(address)
}

/// Returns whether a node has tried to send anything by TCP or UDP.
fn has_sent(network: &Network) -> bool {
    const COUNTERS: [&str; 5] = [
        "Tcp.ActiveOpens",
        "Udp.OutDatagrams",
        "Udp6OutDatagrams",
        "Ip.OutNoRoutes",
        "Ip6OutNoRoutes",
    ];
    COUNTERS.iter().any(|name| network.counter(name) > 0)
}

#[cfg(test)]
mod tests;
