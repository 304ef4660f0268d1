//! Nothing came: what was sent, and where it is. Pure.

use crate::evidence::facts::network::{AttemptKind, Network, Protocol, Socket, SocketState};
use crate::explain::cause::{Cause, Certainty};
use crate::explain::causes::waits::decisive::{decisive, stillness};
use crate::explain::causes::waits::pair::{received, side};
use crate::explain::scene::{Scene, node_name, on_node};
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
        (Kind::Receive | Kind::Poll, Protocol::Tcp) if socket.state != SocketState::Listen => {
            quiet(scene, Some(socket))
        }
        (Kind::Accept | Kind::Poll, Protocol::Tcp) => no_connection(scene, network, socket, is_own),
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
        let (here, who) = (on_node(&network.node), tried_by(scene));
        let text = format!("nothing has connected to {local} {here}: {who} has tried to");
        return Some(
            Cause::new(Certainty::if_sure(is_own && scene.trouble == Trouble::TimeLimit), text)
                .shown_by(format!("Tcp.ActiveOpens is 0{}", on_all(scene)))
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
    let local = socket.local?;
    if socket.received > 0 {
        return None;
    }
    if let Some(cause) = not_sent(scene, is_own, &format!("to {local} {}", on_node(&network.node)))
    {
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
            format!("nothing was sent {to}: {} has sent a datagram", tried_by(scene)),
        )
        .shown_by(format!("Udp.OutDatagrams is 0{}", on_all(scene)))
        .try_to("let the other side send; start it, if it is a program")
    })
}

/// Returns who has not tried anything.
fn tried_by(scene: &Scene<'_>) -> &'static str {
    if scene.facts.lab().is_some() { "no node" } else { "nothing" }
}

/// Returns where a counter has been read.
fn on_all(scene: &Scene<'_>) -> &'static str {
    if scene.facts.lab().is_some() { " on all nodes" } else { "" }
}

fn no_port<'a>(scene: &Scene<'a>) -> Option<(&'a str, u64)> {
    let count = |network: &Network| NO_PORT.iter().map(|name| network.counter(name)).sum::<u64>();
    let found = scene.networks.iter().find(|network| count(network) > 0)?;
    Some((node_name(&found.node), count(found)))
}

/// Finds a socket with data that is not read: of a connection, or one that takes datagrams.
fn unread(scene: &Scene<'_>) -> Option<Cause> {
    let mut all = scene.networks.iter().flat_map(|network| {
        let waiting = network.sockets.iter().filter(|socket| {
            let is_connected =
                matches!(socket.state, SocketState::Established | SocketState::CloseWait);
            let may_wait = socket.protocol == Protocol::Tcp && is_connected
                || socket.protocol == Protocol::Udp;
            may_wait && socket.received > 0
        });
        waiting.map(move |socket| (network, socket))
    });
    let (network, socket) = all.next()?;
    let node = node_name(&network.node);
    let reader = scene.holder(socket.inode);
    let who = reader.clone().unwrap_or_else(|| node.to_owned());
    let is_read = waits(scene).iter().any(|wait| {
        wait.kind == Kind::Receive && wait.socket.is_some_and(|(_, one)| one.inode == socket.inode)
    });
    if is_read {
        return None;
    }
    let (text, unread) = match socket.remote.filter(|_| socket.protocol == Protocol::Tcp) {
        Some(remote) => (
            format!("{who} on {node} does not read {} bytes from {remote}", socket.received),
            format!("{} has {} unread bytes", shown(socket), socket.received),
        ),
        None => (
            format!(
                "{who} on {node} does not read the datagrams that have come to {}",
                shown(socket)
            ),
            format!("unread ones take {} bytes of the kernel's memory", socket.received),
        ),
    };
    Some(
        Cause::likely(text)
            .shown_by(unread)
            .shown_by(match reader {
                Some(_) => "no thread waits in a read of it".to_owned(),
                None => "no process has accepted it, or has it open".to_owned(),
            })
            .try_to(match socket.protocol {
                Protocol::Tcp => format!("let {node} accept the connection and read from it"),
                _ => format!("let {who} on {node} read from it"),
            })
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
    quiet(scene, None)
}

/// Explains a connection on which nothing is on its way: which side has received what, and has not
/// answered.
fn quiet(scene: &Scene<'_>, awaited: Option<&Socket>) -> Option<Cause> {
    let is_quiet = |one: &Socket| one.received == 0 && one.unsent == 0;
    let all = scene
        .networks
        .iter()
        .flat_map(|network| network.sockets.iter().map(move |socket| (network, socket)));
    let mut found = all.filter_map(|(network, socket)| {
        let is_it = socket.protocol == Protocol::Tcp
            && socket.state == SocketState::Established
            && is_quiet(socket)
            && awaited.is_none_or(|awaited| awaited.inode == socket.inode);
        let (other, peer) = scene.peer(socket).filter(|(_, peer)| is_it && is_quiet(peer))?;
        Some([(network, socket), (other, peer)])
    });
    // Both ends of one connection are found, or one that is awaited.
    let first = found.next()?;
    let is_only = found.all(|[(_, socket), _]| socket.inode == first[1].1.inode);
    // The end that waits comes first: on the node that has failed, or the one with less.
    let came = |end: &(&Network, &Socket)| end.1.came.unwrap_or(0);
    let is_turned = match scene.node {
        _ if awaited.is_some() => false,
        Some(node) if first[0].0.node != first[1].0.node => first[1].0.node == node,
        _ => came(&first[0]) > came(&first[1]),
    };
    let ends = if is_turned { [first[1], first[0]] } else { first };
    let [waits, silent] = ends.map(|(network, socket)| side(scene, network, socket));
    let (got, given) = (came(&ends[0]), came(&ends[1]));
    let text = match (got, given) {
        (0, 0) => {
            format!(
                "nothing was sent on the connection of {waits} and {silent} while one of them waited"
            )
        }
        (0, _) => format!("{silent} has read {given} bytes from {waits}, and has not answered"),
        (_, 0) => format!("{waits} has read {got} bytes from {silent}, and has sent nothing to it"),
        _ => format!("neither of {waits} and {silent} sends: each has read all that it received"),
    };
    let advice = match (got, given) {
        (0, 1..) => format!(
            "look at what {silent} waits for: the end of the request, or a flush of its answer"
        ),
        _ => "let one side send first, or flush what it has written to a buffer".to_owned(),
    };
    let mut cause = Cause::likely(text)
        .shown_by(format!("the queues of {} are empty at both ends", shown(ends[0].1)))
        .shown_by_all(received(scene, &ends));
    if !is_only && awaited.is_none() {
        cause = cause.shown_by("there are other connections, and the error does not name one");
    }
    let cause = cause.try_to(advice);
    Some(
        ends.iter()
            .fold(cause, |cause, (network, socket)| cause.socket(socket.inode).on(&network.node)),
    )
}
