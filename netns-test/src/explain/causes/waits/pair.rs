//! Two sides that wait for each other. Pure.

use crate::evidence::facts::network::{Network, Protocol, Socket, SocketState};
use crate::explain::cause::{Cause, Certainty};
use crate::explain::scene::{Scene, node_name, process_name};
use crate::explain::wait::{Kind, Wait, shown};

/// Returns what the two ends of a connection have received, if that is known.
pub(super) fn received(scene: &Scene<'_>, ends: &[(&Network, &Socket); 2]) -> Option<String> {
    let [one, other] = ends;
    let (came, went) = (one.1.came?, other.1.came?);
    let [one, other] = [one, other].map(|(network, socket)| side(scene, network, socket));
    (came + went > 0).then(|| format!("{one} has received {came} bytes in all, {other} {went}"))
}

/// Returns how one end of a connection is called: its program, or its node.
pub(super) fn side(scene: &Scene<'_>, network: &Network, socket: &Socket) -> String {
    let holders = scene.holders(socket.inode);
    match holders.iter().find(|process| !process.is_body) {
        Some(program) => format!("{} on {}", process_name(program), node_name(&network.node)),
        None if network.node.is_empty() => {
            socket.local.map_or_else(|| "one end".to_owned(), |local| format!("the end at {local}"))
        }
        None => network.node.clone(),
    }
}

/// Finds two threads that read on the two ends of one connection, with nothing on the way.
///
/// It is certain if the test's own thread is one of them. Threads of a connection that rests look
/// the same.
pub(super) fn cause(scene: &Scene<'_>, waits: &[Wait<'_>]) -> Option<Cause> {
    let test = scene.test_thread().map(|thread| thread.tid);
    let mut reading: Vec<&Wait<'_>> =
        waits.iter().filter(|wait| matches!(wait.kind, Kind::Receive | Kind::Poll)).collect();
    reading.sort_by_key(|wait| Some(wait.thread.tid) != test);
    for one in &reading {
        let Some((network, socket)) = one.socket else { continue };
        let Some((other_network, peer)) = scene.peer(socket) else { continue };
        let is_open = |state| matches!(state, SocketState::Established);
        let is_quiet = [socket, peer].iter().all(|one| {
            one.received == 0
                && one.unsent == 0
                && is_open(one.state)
                && one.protocol == Protocol::Tcp
        });
        let reads_peer =
            |wait: &&&Wait<'_>| wait.socket.is_some_and(|(_, socket)| socket.inode == peer.inode);
        let Some(other) = reading.iter().find(reads_peer).filter(|_| is_quiet) else { continue };
        let is_sure = Some(one.thread.tid) == test
            && one.kind == Kind::Receive
            && other.kind == Kind::Receive;
        let sides = match (network.node.as_str(), other_network.node.as_str()) {
            (one, other) if one == other => "both sides of a connection wait".to_owned(),
            (one, other) => format!("{} and {} wait", node_name(one), node_name(other)),
        };
        let came = [socket, peer].map(|one| one.came);
        let what = match came {
            [None | Some(0), None | Some(0)] => "neither has sent",
            _ => "all that was sent is read",
        };
        let ends = [(network, socket), (other_network, peer)];
        return Some(
            Cause::new(
                Certainty::if_sure(is_sure),
                format!("{sides} for each other: both read, and {what}"),
            )
            .shown_by(format!("{} is {}", one.who(scene), one.place()))
            .shown_by(format!("{} is {}", other.who(scene), other.place()))
            .shown_by(format!("the queues of {} are empty at both ends", shown(socket)))
            .shown_by_all(received(scene, &ends))
            .try_to("let one side send first, or flush what it has written to a buffer")
            .socket(socket.inode)
            .socket(peer.inode)
            .on(&network.node)
            .on(&other_network.node),
        );
    }
    None
}
