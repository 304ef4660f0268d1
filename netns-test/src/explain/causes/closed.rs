//! A connection that was closed or reset by the other end. Pure.

use crate::evidence::facts::network::{Network, SocketState};
use crate::explain::cause::{Cause, Certainty};
use crate::explain::causes::earlier;
use crate::explain::scene::{Scene, node_name};
use crate::explain::target::Target;
use crate::explain::trouble::Trouble;

/// Counter of connections that were closed while data was unread (RFC 2525, section 2.17), and of
/// those that were closed while data arrived, or with a linger time of 0.
const UNREAD: &str = "TcpExt.TCPAbortOnClose";
const ABORTED: &str = "TcpExt.TCPAbortOnData";

pub(crate) fn causes(scene: &Scene<'_>, _targets: &[Target<'_>]) -> Vec<Cause> {
    if scene.trouble != Trouble::Reset {
        return Vec::new();
    }
    reset(scene).or_else(|| ended(scene)).into_iter().collect()
}

/// Finds the node that has reset a connection, by its counters.
fn reset(scene: &Scene<'_>) -> Option<Cause> {
    let resets = |network: &&Network| {
        network.counter("Tcp.OutRsts") + network.counter(UNREAD) + network.counter(ABORTED) > 0
    };
    let all: Vec<&Network> = scene.networks.iter().filter(resets).collect();
    let is_end = scene.message.contains("fill whole buffer") || scene.message.contains("Eof");
    if is_end {
        return None;
    }
    let unread = |network: &&&Network| network.counter(UNREAD) > 0;
    let network = *all.iter().find(unread).or(all.first())?;
    let node = node_name(&network.node);
    let (sent, unread) = (network.counter("Tcp.OutRsts"), network.counter(UNREAD));
    let aborted = network.counter(ABORTED);
    if unread == 0 && aborted == 0 {
        return Some(
            Cause::likely(format!("{node} has reset the connection"))
                .shown_by(format!("{node} has counted Tcp.OutRsts {sent}"))
                .try_to(format!("look at what closes connections on {node}, or ends there"))
                .on(&network.node),
        );
    }
    let filters = scene.networks.iter().any(|network| !network.filters.is_empty());
    // Each RST that was sent is one of these.
    let is_sure = all.len() == 1 && sent == unread && aborted == 0 && !filters;
    let (text, counter) = if unread > 0 {
        (format!("{node} closed the connection with unread data, which resets it"), UNREAD)
    } else {
        (format!("{node} closed the connection while data was still sent to it"), ABORTED)
    };
    Some(
        Cause::new(Certainty::if_sure(is_sure), text)
            .shown_by(format!(
                "{node} has counted {counter} {} and Tcp.OutRsts {sent}",
                unread.max(aborted)
            ))
            .try_to(format!(
                "let {node} read to the end before it closes, or shut down its side first"
            ))
            .on(&network.node),
    )
}

/// Finds an end of file: the program at the other end has ended, or has closed.
fn ended(scene: &Scene<'_>) -> Option<Cause> {
    if let Some((cause, what)) = earlier::ended_program(scene, None, None) {
        let cause = Cause { text: format!("the other end is gone: {what}"), ..cause };
        return Some(Cause { certainty: Certainty::Likely, ..cause });
    }
    let is_closed = |state: SocketState| matches!(state, SocketState::CloseWait);
    let mut all = scene.networks.iter().flat_map(|network| {
        let sockets = network.sockets.iter().filter(|socket| is_closed(socket.state));
        sockets.map(move |socket| (network, socket))
    });
    let (network, socket) = all.next()?;
    let (remote, here) = (socket.remote?, node_name(&network.node));
    let peer = scene.owner(remote.ip(), Some(&network.node)).unwrap_or_default();
    Some(
        Cause::likely(format!("{} has closed the connection", node_name(peer)))
            .shown_by(format!("the socket of {here} to {remote} is in CLOSE-WAIT: a FIN has come"))
            .try_to(format!("look at what {} does after it has sent", node_name(peer)))
            .socket(socket.inode)
            .on(&network.node)
            .on(peer),
    )
}

#[cfg(test)]
mod tests {
    use crate::explain::cause::Certainty::{Certain, Likely};
    use crate::explain::sample::Sample;

    const RESET: &str = "Os { code: 104, kind: ConnectionReset, message: \"\" }";

    #[test]
    fn a_close_with_unread_data_is_found() {
        let mut sample = Sample::pair().panics(RESET);
        sample.does_not_say("unread");
        sample.count("server", "Tcp.OutRsts", 1);
        sample.says(Likely, "server has reset the connection");
        sample.count("server", super::UNREAD, 1);
        sample.says(Certain, "server closed the connection with unread data");
        // A RST of another node may have been the one.
        sample.count("client", "Tcp.OutRsts", 1);
        sample.says(Likely, "server closed the connection with unread data");
        let end = "failed to fill whole buffer";
        sample.panics(end).does_not_say("unread");
    }

    #[test]
    fn a_closed_connection_is_found() {
        use crate::evidence::facts::network::SocketState;
        let mut sample = Sample::pair().panics("Kind(UnexpectedEof)");
        sample.socket("client", 1, "10.0.0.1:41234", "10.0.0.2:80");
        sample.does_not_say("closed");
        sample.network("client").sockets[0].state = SocketState::CloseWait;
        sample.says(Likely, "server has closed the connection");
        sample.program("server", "killed by SIGSEGV", "boom");
        sample.says(Likely, "the other end is gone: app (process 7) was killed by SIGSEGV");
    }
}
