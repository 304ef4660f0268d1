//! Messages of any length over a socket, in parts: the report to the runner, the runner's
//! surroundings and init's word to the body.
//!
//! A file in memory would be simpler, but a runner whose file sizes are limited could not
//! write it.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use crate::harness::protocol::messages;
use crate::harness::protocol::messages::Message;
use crate::harness::protocol::retry::insist;
use crate::sys::fds;
use crate::sys::fds::Until;
use crate::sys::net::socket;

/// Sends `bytes`. While the other side does not read, calls
/// `pause` and tries again; waits a shortage of memory out.
pub(crate) fn send(
    control: &OwnedFd,
    bytes: &[u8],
    mut pause: impl FnMut() -> io::Result<()>,
) -> io::Result<()> {
    let (first, last) = bytes.split_at(bytes.len() / messages::PART * messages::PART);
    let parts = first.chunks(messages::PART).map(|part| Message::Part(part.to_vec()));
    for message in parts.chain([Message::Last(last.to_vec())]) {
        let message = message.encode();
        let send = || insist(|| socket::try_send(control.as_fd(), &message).map_err(full));
        while let Err(error) = send() {
            if error.kind() != FULL {
                return Err(error);
            }
            pause()?;
        }
    }
    Ok(())
}

/// The other side has not read what was sent before: no shortage, though the kernel gives
/// both the same number.
pub(crate) const FULL: io::ErrorKind = io::ErrorKind::StorageFull;

pub(crate) fn full(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::WouldBlock { FULL.into() } else { error }
}

/// Whether the other side has gone.
pub(crate) fn is_hang_up(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset, NotConnected};
    matches!(error.kind(), BrokenPipe | ConnectionRefused | ConnectionReset | NotConnected)
}

/// For [`send`]: waits until there is room, or for the end of what `also` names.
pub(crate) fn wait_for_room(control: &OwnedFd, also: BorrowedFd<'_>) -> io::Result<()> {
    let ready = fds::wait(&[Until::Writable(control.as_fd()), Until::HungUp(also)], None)?;
    if ready[1].hung_up { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
}

/// Receives what [`send`] sends; waits for it.
pub(crate) fn receive(control: &OwnedFd) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        match receive_message(control)? {
            Message::Part(part) => bytes.extend(part),
            Message::Last(part) if bytes.is_empty() => return Ok(part),
            Message::Last(part) => return Ok([bytes, part].concat()),
            Message::Gone(_) => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// Receives one message; the end of the connection is an error.
pub(crate) fn receive_message(control: &OwnedFd) -> io::Result<Message> {
    // A buffer for the longest one would cost a body, which has a copy of everything, more than to
    // look first.
    let mut buffer = vec![0; length_of_next(control)?];
    let received = socket::receive(control.as_fd(), &mut buffer)?;
    if received.length == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Message::decode(&buffer[..received.length]).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn length_of_next(control: &OwnedFd) -> io::Result<usize> {
    match socket::length_of_next(control.as_fd()) {
        // The kernel tells it once, before what was sent earlier.
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
            socket::length_of_next(control.as_fd())
        }
        other => other,
    }
}
