//! A refused connection to an address that is not known. Pure.

use crate::evidence::facts::network::{Network, Protocol, Socket};
use crate::explain::cause::Cause;
use crate::explain::causes::earlier;
use crate::explain::listener::shown;
use crate::explain::scene::{Scene, node_name, on_node};
use crate::explain::sockets::{is_loopback, is_server};

/// Facts that are known without the address.
struct Known<'a> {
    /// Sockets of the node that has refused, or of all nodes.
    servers: Vec<(&'a Network, &'a Socket)>,
    /// Node that has refused.
    node: Option<String>,
    proof: String,
}

pub(super) fn cause(scene: &Scene<'_>) -> Option<Cause> {
    let refuser = refuser(scene);
    let node = refuser.as_ref().map(|(node, _)| node.clone());
    let networks = scene.nodes().filter(|one| node.as_ref().is_none_or(|node| one.node == *node));
    let servers = networks.flat_map(|network| {
        let all = network.sockets.iter().filter(|one| is_server(one));
        all.map(move |socket| (network, socket))
    });
    let proof = refuser.map_or_else(|| "the error names no address".to_owned(), |(_, proof)| proof);
    let known = Known { servers: servers.collect(), node, proof };
    ended(scene, &known)
        .or_else(|| limited(scene, &known))
        .or_else(|| nothing(scene, &known))
        .or_else(|| other_address(scene, &known))
        .or_else(|| gone(scene, &known))
}

/// Says what the counters show, if the sockets were closed before the state was read.
fn gone(scene: &Scene<'_>, known: &Known<'_>) -> Option<Cause> {
    let node = known.node.as_ref().filter(|_| !scene.has_sockets)?;
    let here = on_node(node);
    Some(
        Cause::likely(format!("nothing {here} listened at the address of the connection"))
            .shown_by(known.proof.clone())
            .shown_by("the sockets were closed before the failure was known")
            .try_to("start the server before the connection, and wait until it listens")
            .on(node),
    )
}

/// Explains it by a program that has ended.
fn ended(scene: &Scene<'_>, known: &Known<'_>) -> Option<Cause> {
    let (cause, ended) = earlier::ended_program(scene, known.node.as_deref(), None)?;
    Some(
        Cause::likely(format!("nothing listens at the address, and {ended}"))
            .shown_by(known.proof.clone())
            .shown_by_all(cause.proof)
            .try_to("look at why it ended")
            .event(*cause.events.first()?),
    )
}

/// Explains it by a socket that other nodes do not reach.
fn limited(scene: &Scene<'_>, known: &Known<'_>) -> Option<Cause> {
    let is_limited = |socket: &Socket| socket.local.is_some_and(|local| is_loopback(local.ip()));
    let mut servers = known.servers.iter().filter(|_| is_lab(scene));
    let (network, found) = servers.find(|(_, one)| is_limited(one))?;
    let who = scene.holder(found.inode).unwrap_or_else(|| "a socket".to_owned());
    let (node, local) = (node_name(&network.node), found.local?);
    let port = local.port();
    Some(
        Cause::likely(format!("{who} on {node} listens on {local} only"))
            .shown_by(known.proof.clone())
            .shown_by(format!("no other node reaches {local}"))
            .try_to(format!("let {who} bind 0.0.0.0:{port} or [::]:{port}"))
            .socket(found.inode)
            .on(&network.node),
    )
}

/// Explains it by the absence of any server.
fn nothing(scene: &Scene<'_>, known: &Known<'_>) -> Option<Cause> {
    let any = scene.networks.iter().any(|network| network.sockets.iter().any(is_server));
    if any || scene.networks.is_empty() || !scene.has_sockets {
        return None;
    }
    let place = if is_lab(scene) { "on any node" } else { "in the test's network" };
    Some(
        Cause::likely(format!("nothing listens {place}"))
            .shown_by("no TCP socket listens, and no UDP socket waits for datagrams")
            .shown_by(known.proof.clone())
            .try_to("start the server before the connection, and wait until it listens"),
    )
}

/// Lists what listens: the connection was to none of it.
fn other_address(scene: &Scene<'_>, known: &Known<'_>) -> Option<Cause> {
    let mut all = known.servers.iter().filter(|(_, one)| one.protocol == Protocol::Tcp);
    let (network, found) = all.next()?;
    let (local, node) = (found.local?, node_name(&network.node));
    let list = shown(found, local);
    let who = scene.holder(found.inode).unwrap_or_else(|| "a socket".to_owned());
    let others: Vec<String> =
        all.filter_map(|(_, other)| Some(shown(other, other.local?))).take(4).collect();
    let text = if others.is_empty() {
        format!("the connection was to another address than {list}, on which {node} listens")
    } else {
        let others = others.join(", ");
        format!("the connection was to none of {list}, {others}, on which {node} listens")
    };
    let family = if local.is_ipv4() { "IPv4" } else { "IPv6" };
    let port = local.port();
    Some(
        Cause::likely(text)
            .shown_by(known.proof.clone())
            .shown_by(format!("{who} listens on {list}, and accepts {family} at port {port}"))
            .try_to("compare node, port and family of the connection with the list of sockets")
            .socket(found.inode)
            .on(&network.node),
    )
}

fn is_lab(scene: &Scene<'_>) -> bool {
    scene.facts.lab().is_some_and(|lab| lab.nodes.len() > 1)
}

/// Returns the only node that has refused anything, by its counters.
fn refuser(scene: &Scene<'_>) -> Option<(String, String)> {
    let counted = |network: &Network| {
        let names = ["Tcp.OutRsts", "Udp.NoPorts"];
        let found = names.iter().find(|name| network.counter(name) > 0)?;
        let count = network.counter(found);
        Some((
            network.node.clone(),
            format!("{} has counted {found} {count}", node_name(&network.node)),
        ))
    };
    let mut all = scene.networks.iter().filter_map(counted);
    let first = all.next()?;
    all.next().is_none().then_some(first)
}
