//! Nothing came: what was sent, and where it is. Pure.

use crate::evidence::facts::network::{AttemptKind, Network, Protocol, Socket, SocketState};
use crate::explain::cause::{Cause, Certainty};
use crate::explain::causes::waits::decisive::{decisive, stillness};
use crate::explain::scene::{Scene, node_name};
use crate::explain::trouble::Trouble;
use crate::explain::wait::{Kind, Wait, shown, waits};

/// Counters of datagrams that were sent, and of those to a port that is not bound.
const SENT: [&str; 2] = ["Udp.OutDatagrams", "Udp6OutDatagrams"];
const NO_PORT: [&str; 2] = ["Udp.NoPorts", "Udp6NoPorts"];

pub(super) fn causes(scene: &Scene<'_>, waits: &[Wait<'_>]) -> Vec<Cause> {
    let found = match decisive(scene, waits) {
        Some((wait, is_own)) => of_wait(scene, wait, is_own),
        None => None,
    };
    let found = found.or_else(|| unread(scene)).or_else(|| of_node(scene));
    found.into_iter().collect()
}

/// Explains what a thread waits for in vain.
fn of_wait(scene: &Scene<'_>, wait: &Wait<'_>, is_own: bool) -> Option<Cause> {
    let (network, socket) = wait.socket?;
    let cause = match (wait.kind, socket.protocol) {
        (Kind::Accept, Protocol::Tcp) => no_connection(scene, network, socket, is_own),
        (Kind::Receive | Kind::Poll, Protocol::Udp) => no_datagram(scene, network, socket, is_own),
        _ => return None,
    }?;
    let cause = cause.shown_by(format!("{} is {}", wait.who(scene), wait.place()));
    Some(cause.shown_by_all(stillness(scene)).socket(socket.inode).on(&network.node))
}

/// Explains a wait for a connection.
fn no_connection(
    scene: &Scene<'_>,
    network: &Network,
    socket: &Socket,
    is_own: bool,
) -> Option<Cause> {
    let (local, node) = (socket.local?, node_name(&network.node));
    if socket.received > 0 {
        return None;
    }
    let tried: u64 = scene.networks.iter().map(|one| one.counter("Tcp.ActiveOpens")).sum();
    let is_known = scene.networks.iter().all(|network| network.gaps.is_empty());
    if tried == 0 && is_known {
        let text = format!("nothing has connected to {local} on {node}: no node has tried to");
        return Some(
            Cause::new(Certainty::if_sure(is_own && scene.trouble == Trouble::TimeLimit), text)
                .shown_by("Tcp.ActiveOpens is 0 on all nodes")
                .try_to("start the client, or connect before the wait"),
        );
    }
    let text = format!("no connection is left to accept on {local} of {node}");
    let elsewhere = scene.nodes().find_map(|other| {
        let refused = other.attempts.iter().flatten().next()?;
        // The remote end is that which has sent the RST.
        let to = match refused.kind {
            AttemptKind::Reset => refused.from,
            _ => refused.to.or(refused.from),
        };
        Some(format!("{} has tried {}", node_name(&other.node), to?))
    });
    let opened = network.counter("Tcp.PassiveOpens");
    Some(
        Cause::likely(text)
            .shown_by(format!(
                "{tried} connections were tried in all; {node} has accepted {opened}"
            ))
            .shown_by_all(elsewhere)
            .try_to("compare the number of connections, their port and node with what is awaited"),
    )
}

/// Explains a wait for a datagram.
fn no_datagram(
    scene: &Scene<'_>,
    network: &Network,
    socket: &Socket,
    is_own: bool,
) -> Option<Cause> {
    let (local, node) = (socket.local?, node_name(&network.node));
    if socket.received > 0 {
        return None;
    }
    if let Some(cause) = not_sent(scene, is_own, &format!("to {local} on {node}")) {
        return Some(cause);
    }
    if let Some((other, count)) = no_port(scene) {
        return Some(
            Cause::likely(format!(
                "datagrams went to a port of {other} that is not bound, not to {local}"
            ))
            .shown_by(format!("{other} has counted Udp.NoPorts {count}"))
            .try_to("compare address and port of the sender with what is bound"),
        );
    }
    None
}

/// Explains that no datagram was sent at all.
fn not_sent(scene: &Scene<'_>, is_own: bool, to: &str) -> Option<Cause> {
    let sent: u64 = scene
        .networks
        .iter()
        .map(|network| SENT.iter().map(|name| network.counter(name)).sum::<u64>())
        .sum();
    let is_known = scene.networks.iter().all(|network| network.gaps.is_empty());
    (sent == 0 && is_known && !scene.networks.is_empty()).then(|| {
        let is_sure = is_own && scene.trouble == Trouble::TimeLimit;
        Cause::new(
            Certainty::if_sure(is_sure),
            format!("nothing was sent {to}: no node has sent a datagram"),
        )
        .shown_by("Udp.OutDatagrams is 0 on all nodes")
        .try_to("let the other side send; start it, if it is a program")
    })
}

fn no_port<'a>(scene: &Scene<'a>) -> Option<(&'a str, u64)> {
    let count = |network: &Network| NO_PORT.iter().map(|name| network.counter(name)).sum::<u64>();
    let found = scene.networks.iter().find(|network| count(network) > 0)?;
    Some((node_name(&found.node), count(found)))
}

/// Finds a connection whose one end has data that is not read.
fn unread(scene: &Scene<'_>) -> Option<Cause> {
    let mut all = scene.networks.iter().flat_map(|network| {
        let waiting = network.sockets.iter().filter(|socket| {
            socket.protocol == Protocol::Tcp
                && matches!(socket.state, SocketState::Established | SocketState::CloseWait)
                && socket.received > 0
        });
        waiting.map(move |socket| (network, socket))
    });
    let (network, socket) = all.next()?;
    let (node, remote) = (node_name(&network.node), socket.remote?);
    let reader = scene.holder(socket.inode);
    let who = reader.clone().unwrap_or_else(|| node.to_owned());
    let is_read = waits(scene).iter().any(|wait| {
        wait.kind == Kind::Receive && wait.socket.is_some_and(|(_, one)| one.inode == socket.inode)
    });
    if is_read {
        return None;
    }
    Some(
        Cause::likely(format!(
            "{who} on {node} does not read {} bytes from {remote}",
            socket.received
        ))
        .shown_by(format!("{} has {} unread bytes", shown(socket), socket.received))
        .shown_by(match reader {
            Some(_) => "no thread waits in a read of it".to_owned(),
            None => "no process has accepted it, or has it open".to_owned(),
        })
        .try_to(format!("let {node} accept the connection and read from it"))
        .socket(socket.inode)
        .on(&network.node),
    )
}

/// Explains an operation with a time limit of its own, by what the networks have counted.
fn of_node(scene: &Scene<'_>) -> Option<Cause> {
    if scene.trouble != Trouble::WouldBlock {
        return None;
    }
    let sockets = || {
        scene
            .networks
            .iter()
            .flat_map(|network| network.sockets.iter().map(move |socket| (network, socket)))
    };
    let has_tcp = sockets().any(|(_, one)| {
        one.protocol == Protocol::Tcp && matches!(one.state, SocketState::Established)
    });
    if !has_tcp {
        if let Some((_, socket)) = sockets().find(|(_, one)| one.protocol == Protocol::Udp) {
            let to = socket.local.map_or_else(String::new, |local| format!("to {local}"));
            let found = not_sent(scene, false, &to);
            return Some(found?.socket(socket.inode));
        }
        if let Some((node, count)) = no_port(scene) {
            return Some(
                Cause::likely(format!("datagrams went to a port of {node} that is not bound"))
                    .shown_by(format!("{node} has counted Udp.NoPorts {count}"))
                    .try_to("compare address and port of the sender with what is bound"),
            );
        }
        return None;
    }
    let quiet = sockets().find(|(_, one)| {
        let is_quiet = |one: &Socket| one.received == 0 && one.unsent == 0;
        one.protocol == Protocol::Tcp
            && one.state == SocketState::Established
            && is_quiet(one)
            && scene.peer(one).is_some_and(|(_, peer)| is_quiet(peer))
    });
    let (network, socket) = quiet?;
    let (other, peer) = scene.peer(socket)?;
    let (one, two) = (node_name(&network.node), node_name(&other.node));
    Some(
        Cause::likely(format!(
            "nothing was sent on the connection of {one} and {two} while one waited"
        ))
        .shown_by(format!("the queues of {} are empty at both ends", shown(socket)))
        .try_to("let one side send first, or flush what it has written to a buffer")
        .socket(socket.inode)
        .socket(peer.inode)
        .on(&network.node)
        .on(&other.node),
    )
}
