//! A socket that listens, or is bound and waits for datagrams. Pure.

use std::net::SocketAddr;

use crate::evidence::facts::network::Socket;
use crate::explain::scene::Scene;
use crate::explain::sockets::is_loopback;

/// Returns how a listening socket is called in texts.
pub(crate) fn shown(socket: &Socket, local: SocketAddr) -> String {
    let is_limited = is_loopback(local.ip()) || socket.is_v6_only == Some(true);
    if is_limited { format!("{local} only") } else { local.to_string() }
}

/// Returns the first filter that has rejected a packet.
pub(crate) fn rejects<'a>(scene: &Scene<'a>) -> Option<&'a str> {
    let mut filters = scene.networks.iter().flat_map(|network| &network.filters);
    filters.find(|filter| filter.verdict.contains("reject")).map(|filter| filter.text.as_str())
}
