//! A connection of a client by TCP: messages, each after its length (RFC 7766).

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd as _;
use std::sync::Arc;

use crate::lab::dns::serve::socket::Bound;
use crate::sys::fds::Until;

/// Connection, with what has been read and is to be written.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Number that no other connection has.
    pub(crate) number: u64,
    stream: TcpStream,
    pub(crate) from: SocketAddr,
    pub(crate) bound: Arc<Bound>,
    read: Vec<u8>,
    unsent: Vec<u8>,
    /// Number of answers that follow later.
    pub(crate) awaited: usize,
    /// True when the client has ended its side.
    is_over: bool,
}

impl Connection {
    /// Takes a connection, whose calls do not block from now on.
    pub(crate) fn new(
        number: u64,
        (stream, from): (TcpStream, SocketAddr),
        bound: &Arc<Bound>,
    ) -> std::io::Result<Self> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let (read, unsent, bound) = (Vec::new(), Vec::new(), Arc::clone(bound));
        Ok(Self { number, stream, from, bound, read, unsent, awaited: 0, is_over: false })
    }

    /// Returns what to wait for.
    pub(crate) fn until(&self) -> Until<'_> {
        let fd = self.stream.as_fd();
        match (self.unsent.is_empty(), self.is_over) {
            (false, _) => Until::Writable(fd),
            (true, false) => Until::Readable(fd),
            (true, true) => Until::HungUp(fd),
        }
    }

    /// Reads what is there. Returns false if the connection is broken.
    pub(crate) fn receive(&mut self) -> bool {
        let mut buffer = [0; 16_384];
        while !self.is_over {
            match self.stream.read(&mut buffer) {
                Ok(0) => self.is_over = true,
                Ok(length) => self.read.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        true
    }

    /// Takes the next whole message.
    pub(crate) fn message(&mut self) -> Option<Vec<u8>> {
        let length = u16::from_be_bytes(self.read.get(..2)?.try_into().ok()?);
        let end = 2 + usize::from(length);
        let message = self.read.get(2..end)?.to_vec();
        self.read.drain(..end);
        Some(message)
    }

    /// Adds an answer.
    pub(crate) fn put(&mut self, message: &[u8]) {
        let Ok(length) = u16::try_from(message.len()) else { return };
        self.unsent.extend(length.to_be_bytes());
        self.unsent.extend_from_slice(message);
    }

    /// Writes what has room. Returns false at the end of the connection.
    pub(crate) fn send(&mut self) -> bool {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(length) => drop(self.unsent.drain(..length)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        !self.is_over || self.awaited > 0
    }
}
