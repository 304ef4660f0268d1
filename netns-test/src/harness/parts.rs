//! Long messages over a test's own socket, in parts: the report to the runner, and the
//! runner's surroundings to the body.
//!
//! A file in memory would be simpler, but a runner whose file sizes are limited could not
//! write it.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use super::wire::{self, Message};
use crate::sys::socket;

/// Room for one message.
pub(super) const BUFFER: usize = wire::PART + 64;

/// Sends `bytes` and that they are complete; waits while the other side does not read.
pub(super) fn send(control: &OwnedFd, bytes: &[u8]) -> io::Result<()> {
    let parts = bytes.chunks(wire::PART).map(|part| Message::Part(part.to_vec()));
    for message in parts.chain([Message::Complete]) {
        socket::send(control.as_fd(), &message.encode(), &[])?;
    }
    Ok(())
}

/// Receives what [`send`] sends; waits for it.
pub(super) fn receive(control: &OwnedFd) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        match receive_message(control, &mut buffer)? {
            Message::Part(part) => bytes.extend(part),
            Message::Complete => return Ok(bytes),
            Message::Gone(_) => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// Receives one message; the end of the connection is an error.
pub(super) fn receive_message(control: &OwnedFd, buffer: &mut [u8]) -> io::Result<Message> {
    let received = socket::receive(control.as_fd(), buffer)?;
    if received.length == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Message::decode(&buffer[..received.length]).ok_or_else(|| io::ErrorKind::InvalidData.into())
}
