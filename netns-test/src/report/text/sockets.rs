//! The sockets of the nodes that a failure is about. Pure.

use crate::evidence::facts::Facts;
use crate::evidence::facts::network::{Network, Socket, SocketState};
use crate::evidence::facts::{Look, Reason};
use crate::report::text::concern::Concern;
use crate::report::text::files;
use crate::report::text::page::{Rank, Section};

/// Most sockets of a node, and nodes.
const MOST: usize = 8;
const MOST_NODES: usize = 4;

/// Returns the sockets.
pub(crate) fn section(facts: &Facts, concern: &Concern) -> Section {
    let Some(look) = facts.look() else { return Section::default() };
    // Sockets are gone with their processes.
    if look.reason == Reason::End && !has_some(look) {
        return Section::default();
    }
    let networks = concerned(look, concern);
    if networks.iter().all(|network| shown(network).is_empty()) {
        return Section::default();
    }
    let rows = networks.into_iter().flat_map(|network| rows(look, network)).collect();
    Section { title: "Sockets".into(), rows, least: 6, rank: Rank::Sockets }
}

fn has_some(look: &Look) -> bool {
    look.networks.iter().any(|network| !shown(network).is_empty())
}

/// Returns the networks of the nodes concerned, else those with sockets.
fn concerned<'a>(look: &'a Look, concern: &Concern) -> Vec<&'a Network> {
    let networks = concern.nodes.iter().filter_map(|node| look.network(node));
    let mut networks: Vec<&Network> = networks.take(MOST_NODES).collect();
    for network in look.networks.iter().filter(|network| !shown(network).is_empty()) {
        if networks.len() < MOST_NODES && !networks.iter().any(|other| other.node == network.node) {
            networks.push(network);
        }
    }
    networks
}

/// Returns the sockets of a network: those that wait for something first.
fn shown(network: &Network) -> Vec<&Socket> {
    let mut sockets: Vec<&Socket> =
        network.sockets.iter().filter(|socket| files::is_of_network(socket)).collect();
    sockets.sort_by_key(|socket| match socket.state {
        SocketState::SynSent | SocketState::SynReceived => 0,
        SocketState::Listen => 1,
        _ if socket.drops.unwrap_or(0) > 0 || socket.received > 0 => 2,
        SocketState::TimeWait => 4,
        _ => 3,
    });
    sockets
}

fn rows(look: &Look, network: &Network) -> Vec<String> {
    let node = if network.node.is_empty() { "(test)" } else { &network.node };
    let sockets = shown(network);
    if sockets.is_empty() {
        return vec![format!("  {node:8} (none)")];
    }
    let mut rows: Vec<String> =
        sockets.iter().take(MOST).map(|socket| row(look, node, socket)).collect();
    if sockets.len() > MOST {
        rows.push(format!("  {node:8} ... {} more", sockets.len() - MOST));
    }
    rows
}

fn row(look: &Look, node: &str, socket: &Socket) -> String {
    let (protocol, state) = (socket.protocol.word(), socket.state.word());
    let ends = files::ends(socket);
    let ends = ends.strip_prefix(protocol).unwrap_or(&ends).trim_start();
    let mut row = format!("  {node:8} {protocol:4} {state:10} {ends}");
    let queues = files::queues(socket);
    if !queues.is_empty() {
        row += &format!("   {queues}");
    }
    if socket.is_v6_only == Some(true) && socket.state == SocketState::Listen {
        row += "   IPv6 only";
    }
    match files::owner(look, socket) {
        Some(process) if !process.is_body => {
            row += &format!("   pid {} {}", process.pid, process.name);
        }
        _ => {}
    }
    row
}
