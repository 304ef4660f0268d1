//! A netfilter socket: batches of changes, which are carried out as a whole, lists and requests
//! (`linux/netfilter/nfnetlink.h`).

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use crate::netlink::message::{HEADER, framed, raw};
use crate::sys::net::netlink;

/// `NETLINK_NETFILTER`
const NETFILTER: i32 = 12;
/// `NLM_F_REQUEST`, `NLM_F_ACK`, `NLM_F_DUMP`
pub(crate) const REQUEST: u16 = 0x1;
#[cfg(any(feature = "lab", feature = "doctor"))]
pub(crate) const ACK: u16 = 0x4;
const DUMP: u16 = 0x300;
/// `NLM_F_DUMP_INTR`: the list has changed while it was sent.
const INTERRUPTED: u16 = 0x10;
/// `NLMSG_ERROR`, `NLMSG_DONE`
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// The length of an `nfgenmsg`, which all bodies begin with: family, version, and a number.
pub(crate) const HEAD: usize = 4;

/// The most attempts for a list that changes while it is sent.
const ATTEMPTS: usize = 16;

/// A netfilter socket of the network that it was opened in, which any thread can use.
#[derive(Debug)]
pub(crate) struct Nft {
    socket: OwnedFd,
    /// Number of the last message.
    number: u32,
    buffer: Vec<u8>,
}

/// An answer to the message with the number.
struct Answer<'a> {
    number: u32,
    flags: u16,
    content: Content<'a>,
}

enum Content<'a> {
    /// Acknowledgement, or end of a list.
    End,
    Refusal(io::Error),
    /// Body of an object.
    Object(&'a [u8]),
}

impl Nft {
    /// Opens a socket in the calling thread's network namespace.
    pub(crate) fn connect() -> io::Result<Self> {
        let socket = netlink::open(NETFILTER)?;
        Ok(Self { socket, number: 0, buffer: vec![0; 64 << 10] })
    }

    /// Lists objects: the bodies of the answers, which begin with an `nfgenmsg`.
    pub(crate) fn dump(&mut self, kind: u16, body: &[u8]) -> io::Result<Vec<Vec<u8>>> {
        let mut found = Vec::new();
        for _ in 0..ATTEMPTS {
            let number = self.next();
            netlink::send(self.socket.as_fd(), &framed(kind, REQUEST | DUMP, number, body))?;
            found.clear();
            if self.whole_list(number, &mut found)? {
                break;
            }
        }
        Ok(found)
    }

    /// Sends one request, and waits for its acknowledgement.
    #[cfg(feature = "lab")]
    pub(crate) fn request(&mut self, kind: u16, body: &[u8]) -> io::Result<()> {
        self.request_with(kind, 0, body)
    }

    /// Sends a request for a new object, as [`request`](Self::request).
    #[cfg(feature = "lab")]
    pub(crate) fn request_new(&mut self, kind: u16, body: &[u8]) -> io::Result<()> {
        /// `NLM_F_CREATE`, `NLM_F_EXCL`
        const NEW: u16 = 0x400 | 0x200;
        self.request_with(kind, NEW, body)
    }

    #[cfg(feature = "lab")]
    fn request_with(&mut self, kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
        let number = self.next();
        netlink::send(self.socket.as_fd(), &framed(kind, REQUEST | ACK | flags, number, body))?;
        self.acknowledged(number, number).map_err(|(_, error)| error)
    }

    /// Sends messages, of which `bytes_of` makes bytes for the number of the first one. The last
    /// one has the number that follows by `count`, and asks for an acknowledgement. An error comes
    /// with the index of its message.
    #[cfg(any(feature = "lab", feature = "doctor"))]
    pub(crate) fn send_all(
        &mut self,
        count: u32,
        bytes_of: impl FnOnce(u32) -> Vec<u8>,
    ) -> Result<(), (usize, io::Error)> {
        let first = self.next();
        self.number = first.wrapping_add(count);
        let bytes = bytes_of(first);
        // The kernel takes only what fits into the buffer of the socket. If that cannot grow, the
        // next call says so.
        #[cfg(feature = "lab")]
        netlink::reserve(self.socket.as_fd(), bytes.len()).ok();
        netlink::send(self.socket.as_fd(), &bytes).map_err(|error| (0, error))?;
        self.acknowledged(first, first.wrapping_add(count))
    }

    fn next(&mut self) -> u32 {
        self.number = self.number.wrapping_add(1);
        self.number
    }

    /// Receives until the message `last` is acknowledged or one from `first` on is refused.
    #[cfg(any(feature = "lab", feature = "doctor"))]
    fn acknowledged(&mut self, first: u32, last: u32) -> Result<(), (usize, io::Error)> {
        loop {
            let datagram = self.receive().map_err(|error| (0, error))?;
            for answer in answers(datagram) {
                let index = answer.number.wrapping_sub(first) as usize;
                match answer.content {
                    // Of an earlier request.
                    _ if index > last.wrapping_sub(first) as usize => {}
                    Content::Refusal(error) => return Err((index, error)),
                    Content::End if answer.number == last => return Ok(()),
                    Content::End | Content::Object(_) => {}
                }
            }
        }
    }

    /// Receives a list. Returns false if the list changed meanwhile.
    fn whole_list(&mut self, number: u32, found: &mut Vec<Vec<u8>>) -> io::Result<bool> {
        let mut is_whole = true;
        loop {
            for answer in answers(self.receive()?) {
                if answer.number != number {
                    continue;
                }
                is_whole &= answer.flags & INTERRUPTED == 0;
                match answer.content {
                    Content::Refusal(error) => return Err(error),
                    Content::End => return Ok(is_whole),
                    Content::Object(body) => found.push(body.to_vec()),
                }
            }
        }
    }

    fn receive(&mut self) -> io::Result<&[u8]> {
        let length = netlink::receive(self.socket.as_fd(), &mut self.buffer)?;
        self.buffer.get(..length).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

fn answers(datagram: &[u8]) -> impl Iterator<Item = Answer<'_>> {
    raw(datagram).into_iter().map(|message| {
        let half = |at: usize| u16::from_ne_bytes([message[at], message[at + 1]]);
        let number = u32::from_ne_bytes([message[8], message[9], message[10], message[11]]);
        let body = &message[HEADER..];
        let code = body.first_chunk().map_or(0, |code| i32::from_ne_bytes(*code));
        let content = match half(4) {
            ERROR | DONE if code < 0 => {
                Content::Refusal(io::Error::from_raw_os_error(code.saturating_neg()))
            }
            ERROR | DONE => Content::End,
            _ => Content::Object(body),
        };
        Answer { number, flags: half(6), content }
    })
}
