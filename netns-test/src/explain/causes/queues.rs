//! Queues that were full: the receive buffer of a UDP socket, the accept queue of a listener. Pure.

use crate::evidence::facts::network::{Network, Protocol, Socket, SocketState};
use crate::explain::cause::{Cause, Certainty};
use crate::explain::scene::{Scene, node_name};
use crate::explain::target::Target;
use crate::explain::trouble::Trouble;

pub(crate) fn causes(scene: &Scene<'_>, targets: &[Target<'_>]) -> Vec<Cause> {
    let is_about_silence = matches!(
        scene.trouble,
        Trouble::TimedOut | Trouble::WouldBlock | Trouble::TimeLimit | Trouble::Other
    );
    if !is_about_silence {
        return Vec::new();
    }
    let accept = accept_queue(scene, targets);
    let datagrams = receive_buffer(scene);
    [accept, datagrams].into_iter().flatten().collect()
}

/// Finds a listener with a full queue.
fn accept_queue(scene: &Scene<'_>, targets: &[Target<'_>]) -> Option<Cause> {
    // The kernel refuses a connection when there are more than the limit.
    let is_full = |socket: &&Socket| {
        socket.protocol == Protocol::Tcp
            && socket.state == SocketState::Listen
            && socket.received > socket.unsent
    };
    let mut all = scene
        .networks
        .iter()
        .filter_map(|network| Some((network, network.sockets.iter().find(is_full)?)));
    let (network, socket) = all.next()?;
    let (local, node) = (socket.local?, node_name(&network.node));
    let is_target = |target: &Target<'_>| {
        target.is_sure && target.node == Some(&network.node) && target.server.port() == local.port()
    };
    let is_sure = targets.iter().any(is_target) && all.next().is_none();
    let who = scene.holder(socket.inode).unwrap_or_else(|| "what listens".to_owned());
    let counted = network.counter("TcpExt.ListenOverflows");
    let mut cause = Cause::new(
        Certainty::if_sure(is_sure),
        format!("the accept queue of {local} on {node} is full: {who} does not accept"),
    )
    .shown_by(format!(
        "{} connections wait to be accepted, of at most {}",
        socket.received,
        u64::from(socket.unsent) + 1
    ));
    if counted > 0 {
        cause = cause.shown_by(format!("{node} has counted TcpExt.ListenOverflows {counted}"));
    }
    Some(
        cause
            .try_to("accept connections while others are made, or listen with a longer backlog")
            .socket(socket.inode)
            .on(&network.node),
    )
}

/// Finds a UDP socket that has dropped datagrams.
fn receive_buffer(scene: &Scene<'_>) -> Option<Cause> {
    let drops = |socket: &Socket| match socket.protocol {
        Protocol::Udp => socket.drops.unwrap_or(0),
        _ => 0,
    };
    let sockets = scene.networks.iter().flat_map(|network| {
        let dropped = network.sockets.iter().filter(|socket| drops(socket) > 0);
        dropped.map(move |socket| (network, socket))
    });
    match sockets.max_by_key(|(_, socket)| drops(socket)) {
        Some((network, socket)) => Some(full(scene, network, socket, drops(socket))),
        None => closed_buffer(scene),
    }
}

/// Explains drops of a socket that is still open. Whether the test needed them is not known.
fn full(scene: &Scene<'_>, network: &Network, socket: &Socket, drops: u64) -> Cause {
    let node = node_name(&network.node);
    let local = socket.local.map_or_else(String::new, |local| format!(" {local}"));
    let who = scene.holder(socket.inode).unwrap_or_else(|| "a socket".to_owned());
    let counted = network.counter("Udp.RcvbufErrors") + network.counter("Udp6RcvbufErrors");
    let unread = match socket.received {
        0 => "it has been read empty since".to_owned(),
        bytes => format!(
            "datagrams in it are unread, {bytes} bytes with the kernel's own: {who} does not read, \
             or too slowly"
        ),
    };
    Cause::likely(format!(
        "the receive buffer of udp{local} on {node} was full: {drops} datagrams lost"
    ))
    .shown_by(format!("the socket of {who} has dropped {drops}; Udp.RcvbufErrors is {counted}"))
    .shown_by(unread)
    .try_to("read while others send, send less at once, or raise SO_RCVBUF")
    .socket(socket.inode)
    .on(&network.node)
}

/// Explains drops of sockets that are closed, by the counters.
fn closed_buffer(scene: &Scene<'_>) -> Option<Cause> {
    let errors = |network: &Network| {
        network.counter("Udp.RcvbufErrors") + network.counter("Udp6RcvbufErrors")
    };
    let network =
        scene.networks.iter().filter(|one| errors(one) > 0).max_by_key(|one| errors(one))?;
    let (node, count) = (node_name(&network.node), errors(network));
    Some(
        Cause::likely(format!("a UDP receive buffer on {node} was full: {count} datagrams lost"))
            .shown_by(format!("{node} has counted Udp.RcvbufErrors {count}; the socket is closed"))
            .try_to("read while others send, send less at once, or raise SO_RCVBUF")
            .on(&network.node),
    )
}

#[cfg(test)]
mod tests {
    use crate::evidence::facts::network::AttemptKind;
    use crate::explain::cause::Certainty::{Certain, Likely};
    use crate::explain::sample::Sample;

    #[test]
    fn a_full_accept_queue_is_found() {
        let mut sample = Sample::pair();
        let listener = sample.socket("server", 1, "0.0.0.0:80", "");
        (listener.received, listener.unsent) = (1, 1);
        let mut sample = sample.panics("Os { code: 110, kind: TimedOut, message: \"\" }");
        sample.does_not_say("accept queue");
        sample.network("server").sockets[0].received = 2;
        sample.says(Likely, "the accept queue of 0.0.0.0:80 on server is full");
        sample.attempt("client", AttemptKind::Syn, "10.0.0.1:41234", "10.0.0.2:80");
        sample.says(Certain, "the accept queue of 0.0.0.0:80 on server is full");
        sample.network("client").attempts.as_mut().unwrap()[0].to = "10.0.0.2:81".parse().ok();
        sample.says(Likely, "the accept queue");
    }

    #[test]
    fn dropped_datagrams_are_found() {
        let mut sample = Sample::pair();
        let socket = sample.datagrams("server", 1, "0.0.0.0:53");
        (socket.drops, socket.received) = (Some(0), 4096);
        let mut sample = sample.panics("assertion `left == right` failed\n left: 53\n right: 100");
        sample.does_not_say("receive buffer");
        sample.network("server").sockets[0].drops = Some(47);
        let cause = sample.says(Likely, "udp 0.0.0.0:53 on server was full: 47 datagrams lost");
        assert!(cause.proof[1].contains("unread, 4096 bytes with the kernel's own"), "{cause:?}");
        sample.network("server").sockets.clear();
        sample.count("server", "Udp.RcvbufErrors", 47);
        sample.says(Likely, "a UDP receive buffer on server was full");
        let refused = "Os { code: 111, kind: ConnectionRefused, message: \"\" }";
        sample.panics(refused).does_not_say("receive buffer");
    }
}
