//! Whether packets that a link has stopped are those of an operation that failed. Pure.

use std::net::SocketAddr;

use crate::evidence::facts::link::{Packet, Stopped, Way};
use crate::explain::scene::Scene;
use crate::explain::sockets::plain;
use crate::explain::target::Target;

/// Relation of what a direction has stopped to a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    /// Some is of the failed operation.
    Own,
    /// All is of other flows.
    Foreign,
    Unknown,
}

/// Returns the flow of a target of which a direction has stopped packets.
pub(super) fn of_target<'a>(
    scene: &Scene<'_>,
    target: &Target<'_>,
    way: &'a Way,
) -> Option<&'a Stopped> {
    way.flows.iter().rev().find(|flow| is_own(scene, target, &flow.packet))
}

/// Returns the relation of all that a direction has stopped.
pub(super) fn relation(scene: &Scene<'_>, target: &Target<'_>, way: &Way) -> Relation {
    if of_target(scene, target, way).is_some() {
        return Relation::Own;
    }
    let mut packets = way.flows.iter().map(|flow| &flow.packet);
    let is_known = way.others == 0 && !way.flows.is_empty();
    if is_known && packets.all(|packet| is_foreign(scene, target, packet)) {
        Relation::Foreign
    } else {
        Relation::Unknown
    }
}

/// Returns what was stopped of a flow: `3 lost of tcp 10.0.0.1:4123 -> 10.0.0.2:80, and none has
/// passed`.
pub(super) fn shown(flow: &Stopped) -> String {
    let Packet { protocol, from, to } = &flow.packet;
    let ends = from.zip(*to).map(|(from, to)| format!(" {from} -> {to}")).unwrap_or_default();
    let stopped = flow.stopped();
    let stopped = if stopped.is_empty() { "some held".to_owned() } else { stopped.join(", ") };
    let passed = match (flow.passed, flow.in_a_row) {
        (0, _) if flow.is_whole => "and none has passed",
        (0, _) => "and none has passed since the first of these",
        (_, 0) => "and the last one has passed",
        _ => "and the last one has not passed",
    };
    format!("{stopped} of {protocol}{ends}, {passed}")
}

/// Returns whether an end is meant by another one, which may have no address.
pub(super) fn is_same(end: Option<SocketAddr>, other: SocketAddr) -> bool {
    end.is_some_and(|end| {
        let is_meant = other.ip().is_unspecified() || plain(end.ip()) == plain(other.ip());
        is_meant && end.port() == other.port()
    })
}

/// Returns whether a packet is one of the failed operation, or an answer to it.
fn is_own(scene: &Scene<'_>, target: &Target<'_>, packet: &Packet) -> bool {
    let is_near = |end: Option<SocketAddr>| match target.local {
        Some(local) => is_same(end, local),
        None => {
            let owner = end.and_then(|end| scene.owner(plain(end.ip()), None));
            owner.is_some() && owner == target.from
        }
    };
    let is_it = |near, far| is_near(near) && is_same(far, target.to);
    packet.protocol == target.protocol.word()
        && (is_it(packet.from, packet.to) || is_it(packet.to, packet.from))
}

/// Returns whether a packet is certainly not of the failed operation. One that a router may have
/// translated has other ends.
fn is_foreign(scene: &Scene<'_>, target: &Target<'_>, packet: &Packet) -> bool {
    let is_host = |name: &str| {
        let node = scene.facts.lab().and_then(|lab| lab.node(name));
        node.is_some_and(|node| node.kind != "router")
    };
    let is_of_host = |end: Option<SocketAddr>| {
        end.and_then(|end| scene.owner(plain(end.ip()), None)).is_some_and(is_host)
    };
    target.node.is_some_and(is_host)
        && is_of_host(packet.from)
        && is_of_host(packet.to)
        && !is_own(scene, target, packet)
}
