//! A refused connection, and sockets that were closed before the state was read. Pure.

use std::net::SocketAddr;

use crate::evidence::facts::network::{AttemptKind, Network};
use crate::explain::cause::Cause;
use crate::explain::scene::{Scene, is_loopback, on_node, plain};
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

/// Returns sentences about closed sockets that may have listened, the one that comes nearest to
/// what was sought first; and whether it would have accepted that.
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
                "a TCP socket on {local} {here} is closed: if it has listened, then too late, or \
                 not long enough"
            ),
            true,
        ));
    }
    let port = closed.iter().find(|local| local.port() == to.port());
    let local = port.or_else(|| closed.first())?;
    let why = match () {
        () if local.port() != to.port() => format!("which is another port than {}", to.port()),
        () if is_loopback(local.ip()) => "which no other node reaches".to_owned(),
        () => format!("and not {}", to.ip()),
    };
    Some((format!("a TCP socket {here} that is closed had {local}, {why}"), false))
}

/// Explains the refusal of a known address by what is known of closed sockets.
pub(super) fn cause(scene: &Scene<'_>, network: &Network, target: &Target<'_>) -> Cause {
    let to = SocketAddr::new(plain(target.to.ip()), target.to.port());
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
            .shown_by(super::started(scene, &network.node, "listens on"))
            .try_to(format!("start what is to serve {to} before the connection")),
    };
    cause.shown_by("the sockets were closed before the failure was known")
}
