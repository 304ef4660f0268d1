//! A refused connection, after the sockets of the test were closed. Pure.

use crate::evidence::facts::network::{AttemptKind, Network};
use crate::explain::cause::Cause;
use crate::explain::scene::{Scene, is_loopback, on_node};
use crate::explain::target::Target;

/// Returns the number of TCP sockets of a network that were closed and had no connection. Those
/// that have listened are among them.
pub(super) fn count(network: &Network) -> u64 {
    let attempts = network.attempts.iter().flatten();
    let closed = attempts.filter(|one| one.kind == AttemptKind::Closed);
    closed.map(|one| one.count.max(1)).sum()
}

/// Explains the refusal of a known address by what is known of closed sockets.
pub(super) fn cause(scene: &Scene<'_>, network: &Network, target: &Target<'_>) -> Cause {
    let (to, here) = (target.to, on_node(&network.node));
    let cause = Cause::likely(format!("nothing {here} listened on {to} when the connection came"))
        .shown_by(target.proof.clone())
        .on(&network.node);
    let closed = network.attempts.iter().flatten().filter(|one| one.kind == AttemptKind::Closed);
    let local: Vec<_> = closed.filter_map(|one| Some(one.from?.ip())).collect();
    let cause = match local.iter().find(|ip| is_loopback(**ip) && !is_loopback(to.ip())) {
        Some(ip) => cause
            .shown_by(format!(
                "a TCP socket {here} with the address {ip} was closed at the end: if it has \
                 listened, no other node could reach it"
            ))
            .try_to(format!("let the server bind 0.0.0.0:{0} or {to}", to.port())),
        None if local.is_empty() => cause
            .shown_by(super::started(scene, &network.node, "listens on"))
            .try_to(format!("start what is to serve {to} before the connection")),
        None => cause
            .shown_by(format!(
                "{} TCP sockets {here} that had no connection are closed: one may have listened, \
                 on another port or too late",
                local.len()
            ))
            .try_to("compare address and port of the server with those of the connection"),
    };
    cause.shown_by("the sockets were closed before the failure was known")
}
