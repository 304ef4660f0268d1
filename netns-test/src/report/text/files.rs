//! The open files of processes in words. Pure.

use crate::evidence::facts::Look;
use crate::evidence::facts::network::{Network, Protocol, Socket, SocketState};
use crate::evidence::facts::process::Process;

/// Returns what a descriptor of a process is: `udp 10.0.0.1:53`, `pipe`, a path.
pub(crate) fn descriptor(look: &Look, process: &Process, number: i32) -> String {
    let Some(found) = process.descriptors.iter().find(|one| one.number == number) else {
        return String::new();
    };
    if let Some(inode) = found.socket() {
        let socket = socket_of(look, inode);
        return socket.map_or_else(|| "a socket".into(), |(_, socket)| ends(socket));
    }
    let target = found.target.as_str();
    let of_kernel = target.strip_prefix("anon_inode:").map(|name| name.trim_matches(['[', ']']));
    let of_kernel = of_kernel.or_else(|| target.starts_with("pipe:").then_some("pipe"));
    of_kernel.unwrap_or(target).to_owned()
}

/// Returns whether a descriptor is one by which an async runtime wakes its own threads: an eventfd,
/// a timer, another epoll instance, or an end of an unnamed pair of UNIX sockets, as tokio has for
/// signals.
pub(crate) fn wakes(look: &Look, process: &Process, number: i32) -> bool {
    let Some(found) = process.descriptors.iter().find(|one| one.number == number) else {
        return false;
    };
    if let Some(socket) = found.socket().and_then(|inode| socket_of(look, inode)) {
        let is_of_signals = process.descriptors.iter().filter(|one| one.socket() == found.socket());
        return socket.1.protocol == Protocol::Unix
            && socket.1.path.is_empty()
            && is_of_signals.count() > 1;
    }
    let kinds = ["[eventfd", "[eventpoll]", "[timerfd]", "[signalfd]"];
    kinds.iter().any(|kind| {
        found.target.strip_prefix("anon_inode:").is_some_and(|target| target.starts_with(kind))
    })
}

/// Returns a socket as `tcp 10.0.0.1:4000 -> 10.0.0.2:80`.
pub(crate) fn ends(socket: &Socket) -> String {
    let mut text = socket.protocol.word().to_owned();
    if let Some(local) = socket.local {
        text += &format!(" {local}");
    }
    if let Some(remote) = socket.remote.filter(|remote| remote.port() != 0) {
        text += &format!(" -> {remote}");
    }
    if !socket.path.is_empty() {
        text += &format!(" {}", socket.path);
    }
    text
}

/// Returns the socket with this inode, and its network.
fn socket_of(look: &Look, inode: u64) -> Option<(&Network, &Socket)> {
    let networks = look.networks.iter();
    let mut sockets = networks.flat_map(|one| one.sockets.iter().map(move |socket| (one, socket)));
    sockets.find(|(_, socket)| socket.inode == inode && inode != 0)
}

/// Returns the process that has a socket open: the test's own last.
pub(crate) fn owner<'a>(look: &'a Look, socket: &Socket) -> Option<&'a Process> {
    let has = |process: &&Process| {
        process.descriptors.iter().any(|one| one.socket() == Some(socket.inode))
    };
    let mut owners = look.processes.iter().filter(has);
    owners.clone().find(|process| !process.is_body).or_else(|| owners.next())
}

/// Returns whether a socket concerns a network: others are how the test's own processes talk.
pub(crate) fn is_of_network(socket: &Socket) -> bool {
    !matches!(socket.protocol, Protocol::Unix | Protocol::Netlink | Protocol::Packet)
}

fn is_of_datagrams(socket: &Socket) -> bool {
    matches!(socket.protocol, Protocol::Udp | Protocol::Raw | Protocol::Icmp)
}

/// Returns the state of a socket's queues.
pub(crate) fn queues(socket: &Socket) -> String {
    if socket.state == SocketState::Listen {
        return format!("queue {}/{}", socket.received, socket.unsent);
    }
    let mut parts = Vec::new();
    // Of datagrams the kernel reports the memory that they take, with its own headers.
    let memory = if is_of_datagrams(socket) { " of memory" } else { "" };
    if socket.received > 0 {
        parts.push(format!("{} bytes{memory} unread", socket.received));
    }
    if socket.unsent > 0 {
        parts.push(format!("{} bytes{memory} unsent", socket.unsent));
    }
    if let Some(drops) = socket.drops.filter(|drops| *drops > 0) {
        parts.push(format!("{drops} dropped"));
    }
    if socket.retransmits > 0 {
        parts.push(format!("{} retransmissions", socket.retransmits));
    }
    parts.join(", ")
}
