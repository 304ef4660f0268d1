//! The sockets of the network that the calling thread is in.

use std::os::fd::{AsFd as _, OwnedFd};

use crate::evidence::facts::network::{Network, Protocol, Socket, SocketState};
use crate::examine::gaps::{FILE, gap};
use crate::examine::networks::tables;
use crate::netlink::sock_diag::dump::dump;
use crate::netlink::sock_diag::proc_files;
use crate::netlink::sock_diag::request::{INFO, MEMORY};
use crate::netlink::sock_diag::socket::{self as kernel, ALL_STATES, LISTENING};
use crate::sys::fds;
use crate::sys::fds::limited;
use crate::sys::net::netlink;

/// Most sockets of one network, and of one kind that `/proc` lists.
const MOST: usize = 1_000;

/// Reads sockets, network after network.
pub(super) struct Sockets<'a> {
    proc: &'a OwnedFd,
    /// Whether the kernel answers `sock_diag(7)` for TCP and for UDP. One without the module is not
    /// asked again.
    answers: [bool; 2],
}

impl<'a> Sockets<'a> {
    pub(super) fn new(proc: &'a OwnedFd) -> Self {
        Self { proc, answers: [true; 2] }
    }

    pub(super) fn read(&mut self, network: &mut Network) {
        let socket = netlink::open(netlink::SOCK_DIAG).ok();
        let protocols = [(kernel::Protocol::Tcp, "tcp"), (kernel::Protocol::Udp, "udp")];
        for (at, (protocol, file)) in protocols.into_iter().enumerate() {
            let asked = socket.as_ref().filter(|_| self.answers[at]);
            let found =
                asked.map(|socket| dump(socket.as_fd(), protocol, (ALL_STATES, MEMORY | INFO)));
            match found {
                Some(Ok(found)) => network.sockets.extend(found.iter().map(converted)),
                _ => {
                    self.answers[at] = false;
                    self.of_files(file, protocol, None, network);
                }
            }
        }
        self.of_files("raw", kernel::Protocol::Udp, Some(Protocol::Raw), network);
        self.of_files("icmp", kernel::Protocol::Udp, Some(Protocol::Icmp), network);
        for (file, parse) in [
            ("unix", tables::unix as fn(&str) -> Vec<Socket>),
            ("netlink", tables::netlink),
            ("packet", tables::packet),
        ] {
            if let Some(text) = self.text(file, network) {
                network.sockets.extend(parse(&text).into_iter().take(MOST));
            }
        }
        // The examiner's own.
        let own = socket.and_then(|socket| fds::inode_of(socket.as_fd()).ok());
        network.sockets.retain(|one| Some(one.inode) != own);
        limit(network);
    }

    /// Reads the two files of a protocol, of IPv4 and IPv6, which have the columns of `kind`.
    fn of_files(
        &self,
        file: &str,
        kind: kernel::Protocol,
        protocol: Option<Protocol>,
        network: &mut Network,
    ) {
        for file in [file.to_owned(), format!("{file}6")] {
            let Some(text) = self.text(&file, network) else { continue };
            let found = text.lines().filter_map(|line| proc_files::parse(kind, line));
            let found = found.map(|one| {
                let converted = converted(&one);
                Socket { protocol: protocol.unwrap_or(converted.protocol), ..converted }
            });
            network.sockets.extend(found);
        }
    }

    /// Reads a file; none if the kernel has no such protocol.
    fn text(&self, file: &str, network: &mut Network) -> Option<String> {
        let path = format!("thread-self/net/{file}");
        match limited::read_text_in(self.proc, &path, FILE) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                network.gaps.push(gap(&format!("/proc/net/{file}"), &error));
                None
            }
        }
    }
}

fn converted(one: &kernel::Socket) -> Socket {
    let is_listener = one.protocol == kernel::Protocol::Tcp && one.state == LISTENING;
    let is_bound = |end: &std::net::SocketAddr| end.port() != 0 || !end.ip().is_unspecified();
    let state = state(one.protocol, one.state);
    // The kernel counts a FIN that was received, and a SYN that was sent, as a byte.
    let fin = u32::from(matches!(
        state,
        SocketState::CloseWait | SocketState::LastAck | SocketState::Closing
    ));
    let syn = u32::from(matches!(state, SocketState::SynSent | SocketState::SynReceived));
    Socket {
        protocol: match one.protocol {
            kernel::Protocol::Tcp => Protocol::Tcp,
            kernel::Protocol::Udp => Protocol::Udp,
        },
        local: Some(one.local),
        remote: Some(one.remote).filter(is_bound),
        state,
        inode: one.inode.into(),
        uid: one.uid,
        received: one.unread.saturating_sub(fin),
        unsent: one.backlog.filter(|_| is_listener).unwrap_or(one.unsent.saturating_sub(syn)),
        drops: one.drops,
        is_v6_only: one.is_ipv6_only,
        retransmits: one.retransmits,
        device: one.interface.unwrap_or(0),
        path: String::new(),
        // A FIN that was received counts as a byte.
        came: one.came.map(|came| came.saturating_sub(fin.into())),
    }
}

/// Reads the numbers of the kernel's `include/net/tcp_states.h`.
fn state(protocol: kernel::Protocol, number: u8) -> SocketState {
    match number {
        1 => SocketState::Established,
        2 => SocketState::SynSent,
        3 | 12 if protocol == kernel::Protocol::Tcp => SocketState::SynReceived,
        4 => SocketState::FinWait1,
        5 => SocketState::FinWait2,
        6 => SocketState::TimeWait,
        8 => SocketState::CloseWait,
        9 => SocketState::LastAck,
        10 => SocketState::Listen,
        11 => SocketState::Closing,
        _ => SocketState::Close,
    }
}

/// Leaves out what reports least, if there are too many sockets.
fn limit(network: &mut Network) {
    let left = network.sockets.len().saturating_sub(MOST);
    if left == 0 {
        return;
    }
    network.sockets.sort_by_key(|one| match one.state {
        SocketState::Listen => 0,
        SocketState::TimeWait => 3,
        _ if one.protocol == Protocol::Unix => 2,
        _ => 1,
    });
    network.sockets.truncate(MOST);
    network.gaps.push(format!("{left} more sockets were left out"));
}
