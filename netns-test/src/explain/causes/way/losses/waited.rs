//! Packets of the socket that a test waits on at its time limit. Pure.
//!
//! What the test waits for is known then. A datagram that was lost on its way to the socket would
//! have ended the wait. Bytes of a connection that were lost are sent again until they are
//! acknowledged: if no acknowledgement was lost, those that are still sent again have not arrived.

use std::net::SocketAddr;

use crate::evidence::facts::link::{Stopped, Way};
use crate::evidence::facts::network::{Network, Protocol, Socket, SocketState};
use crate::evidence::facts::topology::LabFacts;
use crate::explain::cause::{Cause, Certainty};
use crate::explain::causes::waits::decisive::decisive;
use crate::explain::causes::way::losses::flows::is_same;
use crate::explain::causes::way::losses::segment::between;
use crate::explain::causes::way::losses::text::explain;
use crate::explain::scene::Scene;
use crate::explain::sockets::plain;
use crate::explain::trouble::Trouble;
use crate::explain::wait::{Kind, waits};

pub(super) fn causes(scene: &Scene<'_>, lab: &LabFacts) -> Vec<Cause> {
    if scene.trouble != Trouble::TimeLimit {
        return Vec::new();
    }
    let waits = waits(scene);
    let Some((wait, is_own)) = decisive(scene, &waits) else { return Vec::new() };
    let Some((network, socket)) = wait.socket.filter(|_| wait.kind == Kind::Receive) else {
        return Vec::new();
    };
    let found = match (socket.protocol, socket.remote) {
        (Protocol::Udp, _) => datagram(scene, lab, network, socket),
        (Protocol::Tcp, Some(remote)) if socket.state != SocketState::Listen => {
            bytes(scene, lab, socket, remote)
        }
        _ => None,
    };
    let of = |Missed { way, flow, is_proven }: Missed<'_>| {
        explain(lab, (way, Some(flow)), Certainty::if_sure(is_own && is_proven))
    };
    let cause = found.and_then(of);
    let who = format!("{} is {}", wait.who(scene), wait.place());
    let cause = cause.map(|cause| cause.shown_by(who).socket(socket.inode).on(&network.node));
    cause.into_iter().collect()
}

/// Something that has not come.
struct Missed<'a> {
    way: &'a Way,
    flow: &'a Stopped,
    /// Whether it would have ended the wait.
    is_proven: bool,
}

/// Returns the flows of which links of the lab have stopped packets.
fn stopped<'a>(
    scene: &Scene<'a>,
    lab: &LabFacts,
    protocol: Protocol,
) -> impl Iterator<Item = (&'a Way, &'a Stopped)> {
    let number = lab.number;
    let ways = scene.ways.iter().filter(move |way| way.lab == number);
    let all = ways.flat_map(|way| way.flows.iter().map(move |flow| (way, flow)));
    all.filter(move |(_, flow)| flow.packet.protocol == protocol.word())
}

/// Finds datagrams that were lost on their way to a socket.
fn datagram<'a>(
    scene: &Scene<'a>,
    lab: &LabFacts,
    network: &Network,
    socket: &Socket,
) -> Option<Missed<'a>> {
    let local = socket.local?;
    let is_for = |flow: &Stopped| {
        let to = flow.packet.to;
        let owner = to.and_then(|to| scene.owner(plain(to.ip()), None));
        is_same(to, local)
            && owner == Some(network.node.as_str())
            && socket.remote.is_none_or(|remote| is_same(flow.packet.from, remote))
    };
    let is_missing = |flow: &Stopped| flow.dropped() > 0 || flow.held > 0;
    let all = stopped(scene, lab, Protocol::Udp);
    let all = all.filter(|(_, flow)| is_for(flow) && is_missing(flow));
    let (way, flow) = all.max_by_key(|(_, flow)| flow.dropped())?;
    let is_proven = socket.received == 0
        && scene.networks.iter().all(|network| network.filters.is_empty())
        && leads_to(scene, lab, (way, flow), network);
    Some(Missed { way, flow, is_proven })
}

/// Returns whether the path of a flow passes a direction of a link, and ends at a network.
fn leads_to(
    scene: &Scene<'_>,
    lab: &LabFacts,
    (way, flow): (&Way, &Stopped),
    network: &Network,
) -> bool {
    let Some((from, to)) = flow.packet.from.zip(flow.packet.to) else { return false };
    let (source, target) = (plain(from.ip()), plain(to.ip()));
    let map = scene.map();
    let path = scene.owner(source, None).and_then(|node| map.walk(node, Some(source), target));
    path.is_some_and(|path| {
        let passes = path.hops.windows(2).any(|pair| {
            let ((node, out), (next, _)) = (pair[0], pair[1]);
            let ways = out.and_then(|out| between(lab, (node, &out.name), next));
            ways.is_some_and(|ways| ways.contains(&(way.link as usize, way.is_back)))
        });
        path.is_exact && path.end == Ok(network.node.as_str()) && passes
    })
}

/// Finds bytes of a connection that were lost, in either direction.
fn bytes<'a>(
    scene: &Scene<'a>,
    lab: &LabFacts,
    socket: &Socket,
    remote: SocketAddr,
) -> Option<Missed<'a>> {
    let local = socket.local?;
    let peer = scene.peer(socket).map(|(_, peer)| peer);
    // What is to come, then what the test has asked for.
    let ways = [(peer, [remote, local]), (Some(socket), [local, remote])];
    ways.into_iter().find_map(|(sender, [from, to])| {
        let of = |flow: &Stopped, [from, to]: [SocketAddr; 2]| {
            is_same(flow.packet.from, from) && is_same(flow.packet.to, to)
        };
        let resent = |sender: &&Socket| sender.unsent > 0 && sender.retransmits > 0;
        sender.filter(resent)?;
        let all = || stopped(scene, lab, Protocol::Tcp);
        let mut lost = all().filter(|(_, flow)| flow.in_a_row > 0 && of(flow, [from, to]));
        let (way, flow) = lost.next()?;
        let is_listed = scene.ways.iter().all(|way| way.others == 0);
        let is_proven = is_listed && !all().any(|(_, flow)| of(flow, [to, from]));
        Some(Missed { way, flow, is_proven })
    })
}
