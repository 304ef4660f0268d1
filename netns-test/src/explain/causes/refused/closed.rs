//! A refused connection: what had been there, or was started, and is no server. Pure.

use std::net::SocketAddr;

use crate::evidence::facts::event::{Event, EventKind};
use crate::evidence::facts::network::{AttemptKind, Network};
use crate::explain::cause::Cause;
use crate::explain::scene::{Scene, on_node};
use crate::explain::sockets::{is_loopback, plain};
use crate::explain::target::Target;

/// Returns the addresses of TCP sockets of a network that were closed and had no connection. Those
/// that have listened are among them.
pub(super) fn all(network: &Network) -> Vec<SocketAddr> {
    let attempts = || network.attempts.iter().flatten();
    let closed = attempts().filter(|one| one.kind == AttemptKind::Closed);
    // The socket of a connection that was refused is closed, too.
    let is_refused = |port: u16| {
        attempts()
            .filter(|one| one.kind == AttemptKind::Reset)
            .any(|one| one.to.is_some_and(|to| to.port() == port))
    };
    let found = closed.filter_map(|one| one.from);
    found.filter(|local| local.port() != 0 && !is_refused(local.port())).collect()
}

/// First port that the kernel chooses by default. What has such a port is rarely a server.
const CHOSEN: u16 = 32_768;

/// Returns a sentence about the closed socket that comes nearest to what was sought, if one may
/// have listened; and whether it would have accepted that.
pub(super) fn near(network: &Network, to: SocketAddr) -> Option<(String, bool)> {
    let closed = all(network);
    let accepts = |local: &&SocketAddr| {
        let ip = plain(local.ip());
        local.port() == to.port() && (ip.is_unspecified() || ip == plain(to.ip()))
    };
    let here = on_node(&network.node);
    if let Some(local) = closed.iter().find(accepts) {
        return Some((
            format!(
                "a TCP socket on {local} {here} is closed now: it may have listened too late, or \
                 not long enough"
            ),
            true,
        ));
    }
    let same = closed.iter().find(|local| local.port() == to.port());
    let local = same.or_else(|| closed.iter().find(|local| local.port() < CHOSEN))?;
    let why = match () {
        () if local.port() != to.port() => format!("which is another port than {}", to.port()),
        () if is_loopback(local.ip()) => "which no other node reaches".to_owned(),
        () => format!("and not {}", to.ip()),
    };
    Some((format!("a TCP socket {here} that is closed now had {local}, {why}"), false))
}

/// Explains the refusal of a known address by what is known of closed sockets.
pub(super) fn cause(scene: &Scene<'_>, network: &Network, target: &Target<'_>) -> Cause {
    let to = target.server;
    let here = on_node(&network.node);
    let cause = Cause::likely(format!("nothing {here} listened on {to} when the connection came"))
        .shown_by(target.proof.clone())
        .on(&network.node);
    let cause = match near(network, to) {
        Some((text, true)) => {
            cause.shown_by(text).try_to("let it listen before the connection, and keep it open")
        }
        Some((text, false)) => cause.shown_by(text).try_to(format!(
            "compare that with the connection; a server on 0.0.0.0:{} would accept it",
            to.port()
        )),
        None => cause
            .shown_by(started(scene, &network.node, "listens on"))
            .try_to(format!("start what is to serve {to} before the connection")),
    };
    cause.shown_by("the sockets were closed before the failure was known")
}

/// Returns what was started on a node, and is no server.
pub(super) fn started(scene: &Scene<'_>, node: &str, what: &str) -> String {
    let is_there = |event: &Event| event.node == node;
    let Some((_, event)) = scene.events(EventKind::Spawn).filter(|(_, one)| is_there(one)).last()
    else {
        return format!(
            "no program was started {}, and no socket of the test {what} it",
            on_node(node)
        );
    };
    let is_its = |one: &Event| is_there(one) && one.detail("pid") == event.detail("pid");
    let mut ends = scene.events(EventKind::Exit).filter(|(_, one)| one.at >= event.at);
    match ends.find(|(_, one)| is_its(one)) {
        Some((_, end)) => {
            let status = end.detail("status").unwrap_or("has ended");
            format!("{} was started there, and {status}", event.text)
        }
        None => format!("{} was started there, and {what} no such address", event.text),
    }
}
