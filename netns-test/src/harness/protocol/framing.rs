//! Framing: messages of any length over a `SOCK_SEQPACKET` socket, in parts. Used for init's
//! report to the runner, the runner's attributes, and init's message to the body.
//!
//! A memfd would be simpler, but a runner with a low `RLIMIT_FSIZE` could not write it.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use crate::harness::protocol::messages;
use crate::harness::protocol::messages::Message;
use crate::harness::protocol::retry::retry_shortage;
use crate::sys::fds;
use crate::sys::fds::Until;
use crate::sys::net::socket;

/// Sends `bytes`. While the socket is full, calls `pause` and tries again. Retries a shortage of
/// memory.
pub(crate) fn send(
    control: &OwnedFd,
    bytes: &[u8],
    mut pause: impl FnMut() -> io::Result<()>,
) -> io::Result<()> {
    let (first, last) = bytes.split_at(bytes.len() / messages::PART * messages::PART);
    let parts = first.chunks(messages::PART).map(|part| Message::Part(part.to_vec()));
    send_each(control, parts.chain([Message::Last(last.to_vec())]), &mut pause)
}

/// Sends the evidence, which comes before the report. As [`send`].
pub(crate) fn send_evidence(
    control: &OwnedFd,
    bytes: &[u8],
    mut pause: impl FnMut() -> io::Result<()>,
) -> io::Result<()> {
    let parts = bytes.chunks(messages::PART).map(|part| Message::Evidence(part.to_vec()));
    send_each(control, parts, &mut pause)
}

/// Sends a text about a test that still runs, if there is room for it.
pub(crate) fn send_so_far(control: &OwnedFd, text: &[u8]) -> io::Result<()> {
    let text = &text[..text.len().min(messages::PART)];
    socket::try_send(control.as_fd(), &Message::SoFar(text.to_vec()).encode())
}

fn send_each(
    control: &OwnedFd,
    messages: impl Iterator<Item = Message>,
    pause: &mut impl FnMut() -> io::Result<()>,
) -> io::Result<()> {
    for message in messages {
        let message = message.encode();
        let send = || retry_shortage(|| socket::try_send(control.as_fd(), &message).map_err(full));
        while let Err(error) = send() {
            if error.kind() != FULL {
                return Err(error);
            }
            pause()?;
        }
    }
    Ok(())
}

/// Kind of the error of a full socket. It is not a shortage, though its errno (`EAGAIN`) is the
/// same.
pub(crate) const FULL: io::ErrorKind = io::ErrorKind::StorageFull;

pub(crate) fn full(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::WouldBlock { FULL.into() } else { error }
}

/// Returns whether the error means that the other end is closed.
pub(crate) fn is_hang_up(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset, NotConnected};
    matches!(error.kind(), BrokenPipe | ConnectionRefused | ConnectionReset | NotConnected)
}

/// Waits until the socket is writable. For [`send`].
///
/// # Errors
///
/// `BrokenPipe` if `also` hangs up.
pub(crate) fn wait_for_room(control: &OwnedFd, also: BorrowedFd<'_>) -> io::Result<()> {
    let ready = fds::wait(&[Until::Writable(control.as_fd()), Until::HungUp(also)], None)?;
    if ready[1].hung_up { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
}

/// Receives a message of [`send`]. Blocks.
pub(crate) fn receive(control: &OwnedFd) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        match receive_message(control)? {
            Message::Part(part) => bytes.extend(part),
            Message::Last(part) if bytes.is_empty() => return Ok(part),
            Message::Last(part) => return Ok([bytes, part].concat()),
            Message::Gone(_) | Message::Evidence(_) | Message::SoFar(_) => {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
    }
}

/// As [`receive`], but leaves the last part on the socket, which shows the sender that the message
/// was not read as a whole. [`socket::discard`] takes it off.
pub(crate) fn receive_but_leave_last(control: &OwnedFd) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        let mut buffer = vec![0; length_of_next(control)?];
        let peeked = socket::peek(control.as_fd(), &mut buffer)?;
        match decoded(&buffer[..peeked.length])? {
            Message::Part(part) => bytes.extend(part),
            Message::Last(part) => return Ok([bytes, part].concat()),
            Message::Gone(_) | Message::Evidence(_) | Message::SoFar(_) => {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
        socket::discard(control.as_fd())?;
    }
}

/// Receives one part.
///
/// # Errors
///
/// `UnexpectedEof` if the other end is closed.
pub(crate) fn receive_message(control: &OwnedFd) -> io::Result<Message> {
    // A buffer for the longest part would cost a body, which has a copy of it, more than the call.
    let mut buffer = vec![0; length_of_next(control)?];
    let received = socket::receive(control.as_fd(), &mut buffer)?;
    decoded(&buffer[..received.length])
}

fn decoded(bytes: &[u8]) -> io::Result<Message> {
    if bytes.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Message::decode(bytes).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn length_of_next(control: &OwnedFd) -> io::Result<usize> {
    match socket::length_of_next(control.as_fd()) {
        // The kernel reports it once, ahead of the messages that were sent before.
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
            socket::length_of_next(control.as_fd())
        }
        other => other,
    }
}
