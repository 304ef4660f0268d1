//! Dumps of sockets over a netlink socket, which determines the network.

use std::io;
use std::io::ErrorKind::WouldBlock;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::netlink::sock_diag::answer::{Answer, End};
use crate::netlink::sock_diag::request;
use crate::netlink::sock_diag::socket::{Protocol, Socket};
use crate::sys::errno;
use crate::sys::net::netlink::{receive, send};

/// First size of the buffer: the most that the kernel sends at once, unless one object is larger.
const BUFFER: usize = 32 << 10;

/// The most attempts for a list that changes while it is sent, or for a larger buffer.
const ATTEMPTS: usize = 8;

/// The number of the next request.
static NUMBER: AtomicU32 = AtomicU32::new(1);

/// Lists the sockets of a protocol in these states, with these extensions, a bit each. They are
/// those of the network namespace in which `socket` was opened (`NETLINK_SOCK_DIAG`), not of the
/// calling thread's. No other thread may use the socket meanwhile.
///
/// # Errors
///
/// ENOENT or EOPNOTSUPP from a kernel without the module for it.
pub(crate) fn dump(
    socket: BorrowedFd<'_>,
    protocol: Protocol,
    (states, extensions): (u32, u8),
) -> io::Result<Vec<Socket>> {
    let mut buffer = vec![0; BUFFER];
    let mut found = Vec::new();
    // A dump that was left in the middle goes on here. Until its end the kernel refuses another.
    while receive(socket, &mut buffer).is_ok() {}
    for request in request::dumps(protocol, states, extensions) {
        let mut attempts = 0;
        found.extend(loop {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let mut answer = Answer::to(number, protocol);
            let is_cut = exchange(socket, &request.numbered(number), &mut answer, &mut buffer)?;
            attempts += 1;
            let is_last = attempts == ATTEMPTS;
            if is_cut && is_last {
                return Err(io::Error::from_raw_os_error(errno::EMSGSIZE));
            }
            // A table that changes all the time is listed as it was seen.
            if !is_cut && (answer.is_whole || is_last) {
                break answer.sockets;
            }
        });
    }
    Ok(found)
}

/// Sends a request and receives its answer. Returns whether a datagram did not fit: the buffer is
/// large enough for it then.
fn exchange(
    socket: BorrowedFd<'_>,
    request: &[u8],
    answer: &mut Answer,
    buffer: &mut Vec<u8>,
) -> io::Result<bool> {
    send(socket, request)?;
    let mut largest = 0;
    while answer.end.is_none() {
        let length = match receive(socket, buffer) {
            Ok(length) => length,
            // The end was in the part that did not fit.
            Err(error) if error.kind() == WouldBlock && largest > buffer.len() => break,
            Err(error) => return Err(error),
        };
        largest = largest.max(length);
        answer.take(&buffer[..length.min(buffer.len())]);
    }
    if let Some(End::Refused(errno)) = answer.end {
        return Err(io::Error::from_raw_os_error(errno));
    }
    let is_cut = largest > buffer.len();
    buffer.resize(largest.max(buffer.len()), 0);
    Ok(is_cut)
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener};
    use std::os::fd::{AsFd as _, OwnedFd};

    use super::*;
    use crate::netlink::sock_diag::request::MEMORY;
    use crate::netlink::sock_diag::socket::{ALL_STATES, LISTENING};
    use crate::sys::net::netlink;

    /// A listener, its address, and a socket to list it.
    fn listener() -> (TcpListener, SocketAddr, OwnedFd) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address, netlink::open(netlink::SOCK_DIAG).unwrap())
    }

    #[test]
    fn a_buffer_that_is_too_small_grows() {
        let (_listener, address, socket) = listener();
        let requests = request::dumps(Protocol::Tcp, 1 << LISTENING, MEMORY);
        let mut buffer = vec![0; 64];
        // Other sockets of the machine come and go, so it may grow more than once.
        let found = (1..100).find_map(|number| {
            let mut answer = Answer::to(number, Protocol::Tcp);
            let message = requests[0].numbered(number);
            let size = buffer.len();
            let is_cut = exchange(socket.as_fd(), &message, &mut answer, &mut buffer).unwrap();
            assert_eq!(is_cut, buffer.len() > size);
            (!is_cut).then_some((number, answer.sockets))
        });
        let (number, sockets) = found.unwrap();
        assert!(number > 1);
        assert!(sockets.iter().any(|socket| socket.local == address));
    }

    #[test]
    fn an_exchange_that_was_left_in_the_middle_does_no_harm() {
        let (_listener, address, socket) = listener();
        for states in [ALL_STATES, 1 << LISTENING] {
            for request in request::dumps(Protocol::Tcp, ALL_STATES, MEMORY) {
                send(socket.as_fd(), &request.numbered(0)).unwrap();
            }
            let found = dump(socket.as_fd(), Protocol::Tcp, (states, MEMORY)).unwrap();
            let own = found.iter().filter(|socket| socket.local == address);
            assert_eq!(own.count(), 1, "{states:#x}");
        }
    }
}
