//! What the threads of a test wait for. Pure.

use crate::evidence::facts::network::{Network, Protocol, Socket};
use crate::evidence::facts::process::{Process, Thread};
use crate::explain::scene::{Scene, node_name, process_name};

/// A thread that waits in a system call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait<'a> {
    pub(crate) process: &'a Process,
    pub(crate) thread: &'a Thread,
    /// Node of the thread; none if it is not known.
    pub(crate) node: Option<&'a str>,
    pub(crate) call: &'a str,
    pub(crate) kind: Kind,
    /// The socket that the call is about, and its network.
    pub(crate) socket: Option<(&'a Network, &'a Socket)>,
}

/// Kind of a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Accept,
    Receive,
    Send,
    Connect,
    /// For one of several files.
    Poll,
    /// For a lock, a channel or a thread.
    Lock,
    Sleep,
    /// For the end of a process.
    Child,
    Other,
}

/// Returns the threads that wait, those of the test's own process first.
pub(crate) fn waits<'a>(scene: &Scene<'a>) -> Vec<Wait<'a>> {
    let threads = scene
        .processes
        .iter()
        .flat_map(|process| process.threads.iter().map(move |thread| (process, thread)));
    let mut found: Vec<Wait<'a>> =
        threads.filter_map(|(process, thread)| wait(scene, process, thread)).collect();
    found.sort_by_key(|wait| !wait.process.is_body);
    found
}

fn wait<'a>(scene: &Scene<'a>, process: &'a Process, thread: &'a Thread) -> Option<Wait<'a>> {
    let call = thread.call.as_ref()?;
    let name = call.name.as_str();
    let sockets = call.descriptors.iter().filter_map(|number| {
        let descriptor = process.descriptors.iter().find(|one| one.number == *number)?;
        let inode = descriptor.socket()?;
        let has = |network: &'a Network| {
            Some((network, network.sockets.iter().find(|socket| socket.inode == inode)?))
        };
        scene.networks.iter().find_map(has)
    });
    let mut sockets: Vec<(&Network, &Socket)> = sockets.collect();
    let kind = match name {
        "accept" | "accept4" => Kind::Accept,
        "recvfrom" | "recvmsg" | "recvmmsg" | "read" | "readv" => Kind::Receive,
        "sendto" | "sendmsg" | "sendmmsg" | "write" | "writev" => Kind::Send,
        "connect" => Kind::Connect,
        "epoll_wait" | "epoll_pwait" | "epoll_pwait2" | "poll" | "ppoll" | "select"
        | "_newselect" | "pselect6" => Kind::Poll,
        "futex" | "futex_waitv" => Kind::Lock,
        "nanosleep" | "clock_nanosleep" => Kind::Sleep,
        "wait4" | "waitid" | "waitpid" => Kind::Child,
        _ => Kind::Other,
    };
    // A runtime also polls what wakes it.
    if kind == Kind::Poll && call.descriptors.len() > 1 {
        sockets.retain(|(_, socket)| socket.protocol != Protocol::Unix);
        sockets.dedup_by_key(|(_, socket)| socket.inode);
        sockets.truncate(if sockets.len() == 1 { 1 } else { 0 });
    }
    let socket = sockets.first().copied();
    Some(Wait { process, thread, node: scene.node_of(thread), call: name, kind, socket })
}

impl Wait<'_> {
    /// Returns whether the thread is blocked by something other than the work of other threads.
    pub(crate) const fn is_outside(&self) -> bool {
        !matches!(self.kind, Kind::Lock | Kind::Poll | Kind::Other)
    }

    /// Returns who waits: `the test`, `a thread of server`, `app (process 7)`.
    pub(crate) fn who(&self, scene: &Scene<'_>) -> String {
        let is_test = scene.test_thread().is_some_and(|test| test.tid == self.thread.tid);
        match self.node {
            _ if !self.process.is_body => process_name(self.process),
            _ if is_test => "the test".to_owned(),
            Some("") | None => format!("the thread {}", self.thread.name),
            Some(node) => format!("a thread of {}", node_name(node)),
        }
    }

    /// Returns where it waits: `in accept4 on tcp 10.0.0.2:80`.
    pub(crate) fn place(&self) -> String {
        let on = self.socket.map(|(_, socket)| format!(" on {}", shown(socket)));
        format!("in {}{}", self.call, on.unwrap_or_default())
    }
}

/// Returns how a socket is called in texts: `tcp 10.0.0.1:41234 -> 10.0.0.2:80`.
pub(crate) fn shown(socket: &Socket) -> String {
    let protocol = socket.protocol.word();
    match (socket.local, socket.remote) {
        (Some(local), Some(remote)) => format!("{protocol} {local} -> {remote}"),
        (Some(local), None) => format!("{protocol} {local}"),
        _ if socket.path.is_empty() => format!("a {protocol} socket"),
        _ => format!("{protocol} {}", socket.path),
    }
}
