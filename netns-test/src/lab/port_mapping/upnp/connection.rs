//! A connection of a client.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddrV4, TcpStream};
use std::os::fd::{AsFd as _, BorrowedFd};

use crate::lab::port_mapping::desk::Desk;
use crate::lab::port_mapping::upnp::http::{self, Progress, Request};
use crate::lab::port_mapping::upnp::{control, description};
use crate::sys::fds::Until;

/// Connection, with what has been read and is to be written.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    from: SocketAddrV4,
    read: Vec<u8>,
    unsent: Vec<u8>,
    /// True if it ends when all is written.
    is_over: bool,
    /// True if the client has got "100 Continue" for its request.
    may_continue: bool,
}

impl Connection {
    /// Takes a connection, whose calls do not block from now on.
    pub(crate) fn new(stream: TcpStream, from: SocketAddrV4) -> std::io::Result<Self> {
        stream.set_nonblocking(true)?;
        let (read, unsent) = (Vec::new(), Vec::new());
        Ok(Self { stream, from, read, unsent, is_over: false, may_continue: false })
    }

    /// Returns what to wait for.
    pub(crate) fn awaited(&self) -> Until<'_> {
        let fd: BorrowedFd<'_> = self.stream.as_fd();
        if self.unsent.is_empty() { Until::Readable(fd) } else { Until::Writable(fd) }
    }

    /// Reads, answers and writes what it can without waiting. Returns false at the end.
    pub(crate) fn go_on(&mut self, desk: &mut Desk<'_>) -> bool {
        let is_open = self.is_over || self.receive();
        while self.unsent.is_empty() && !self.is_over && self.answer(desk) {
            if !self.send() {
                return false;
            }
        }
        self.send() && is_open && !(self.is_over && self.unsent.is_empty())
    }

    /// Answers the next request. Returns whether there was one.
    fn answer(&mut self, desk: &mut Desk<'_>) -> bool {
        match http::parse(&self.read) {
            Progress::Part { expects_continue } => {
                let is_new = expects_continue && !self.may_continue && !desk.state.is_silent();
                if is_new {
                    self.may_continue = true;
                    self.unsent.extend(b"HTTP/1.1 100 Continue\r\n\r\n");
                }
                is_new
            }
            Progress::Bad(status) => {
                self.is_over = true;
                self.unsent = http::response(status, "", None);
                true
            }
            Progress::Whole(request, length) => {
                self.read.drain(..length);
                self.may_continue = false;
                self.is_over = !request.keeps_open;
                let response = respond(desk, &request, self.from);
                if desk.state.is_silent() {
                    self.is_over = false;
                } else {
                    self.unsent = response;
                }
                true
            }
        }
    }

    /// Reads what has come. Returns false at the end of the stream.
    fn receive(&mut self) -> bool {
        let mut buffer = [0; 8192];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return false,
                Ok(count) => self.read.extend(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
    }

    /// Writes what can be written. Returns false after an error.
    fn send(&mut self) -> bool {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
        true
    }
}

fn respond(desk: &mut Desk<'_>, request: &Request, from: SocketAddrV4) -> Vec<u8> {
    let node = desk.state.node.as_ref().map(|node| node.name.clone()).unwrap_or_default();
    let (status, text) = match request.method.as_str() {
        "GET" | "HEAD" => match description::document(&request.path, &node) {
            Some(text) => (200, text),
            None => (404, String::new()),
        },
        "POST" | "M-POST" => {
            let done = control::control(desk, request, from);
            done.unwrap_or_else(|| (404, String::new()))
        }
        // There are no events.
        "SUBSCRIBE" | "UNSUBSCRIBE" => (501, String::new()),
        _ => (405, String::new()),
    };
    http::response(status, &text, Some(request))
}
