//! Sends frames to interfaces by a packet socket, several with one call (sendmmsg(2)).

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::time::{Duration, Instant};

use nix::errno::Errno;

use crate::sys::fds::{Until, wait};
use crate::sys::net::packet::ring::HEADER;
use crate::sys::net::packet::{PacketSockets, address};

/// A frame to send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outgoing<'f> {
    /// Index of the interface.
    pub(crate) interface: u32,
    /// `struct virtio_net_hdr`.
    pub(crate) header: [u8; HEADER],
    pub(crate) bytes: &'f [u8],
}

/// Largest number of frames of one call.
pub(crate) const MOST: usize = 32;

/// Time to wait for room in the send buffer of the socket. There is none while a queueing
/// discipline behind a bridge holds the frames.
const ROOM: Duration = Duration::from_secs(1);

impl PacketSockets {
    /// Sends `count` frames, at most [`MOST`], in order. Reports the outcome of each by its number.
    ///
    /// # Panics
    ///
    /// If there are more.
    pub(crate) fn send<'f>(
        &self,
        count: usize,
        frame: impl Fn(usize) -> Outgoing<'f>,
        mut report: impl FnMut(usize, io::Result<()>),
    ) {
        assert!(count <= MOST, "at most {MOST} frames in a call");
        let mut heads = [[0; HEADER]; MOST];
        let mut addresses = [address(0, 0); MOST];
        // SAFETY: zero bytes are valid `iovec`s.
        let mut parts: [[libc::iovec; 2]; MOST] = unsafe { std::mem::zeroed() };
        // SAFETY: zero bytes are valid `mmsghdr`s.
        let mut messages: [libc::mmsghdr; MOST] = unsafe { std::mem::zeroed() };
        for at in 0..count {
            let Outgoing { interface, header, bytes } = frame(at);
            heads[at] = header;
            addresses[at] = address(interface as libc::c_int, ethertype(bytes));
            let head = libc::iovec { iov_base: heads[at].as_mut_ptr().cast(), iov_len: HEADER };
            let body = bytes.as_ptr().cast_mut().cast();
            parts[at] = [head, libc::iovec { iov_base: body, iov_len: bytes.len() }];
            let message = &mut messages[at].msg_hdr;
            message.msg_name = (&raw mut addresses[at]).cast();
            message.msg_namelen = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
            message.msg_iov = parts[at].as_mut_ptr();
            message.msg_iovlen = 2;
        }
        self.send_all(&mut messages[..count], &mut report);
    }

    /// Sends messages that point to live memory of the stated lengths.
    fn send_all(
        &self,
        messages: &mut [libc::mmsghdr],
        report: &mut impl FnMut(usize, io::Result<()>),
    ) {
        let (mut at, mut deadline) = (0, None);
        while at < messages.len() {
            let rest = &mut messages[at..];
            let (start, length) = (rest.as_mut_ptr(), rest.len() as libc::c_uint);
            // SAFETY: the messages point to live buffers; of them the kernel writes `msg_len` only.
            let sent = unsafe {
                libc::sendmmsg(self.long.0.as_raw_fd(), start, length, libc::MSG_DONTWAIT)
            };
            match Errno::result(sent) {
                Ok(sent) if sent > 0 => {
                    let sent = at + sent as usize;
                    (at..sent).for_each(|one| report(one, Ok(())));
                    (at, deadline) = (sent, None);
                }
                Err(Errno::EAGAIN | Errno::ENOBUFS | Errno::EINTR)
                    if self.await_room(&mut deadline) => {}
                other => {
                    let error = other.map_or_else(io::Error::from, |_| Errno::EIO.into());
                    report(at, Err(error));
                    (at, deadline) = (at + 1, None);
                }
            }
        }
    }

    /// Waits until there is room in the send buffer. Returns `false` if the time for one frame is
    /// over.
    fn await_room(&self, deadline: &mut Option<Instant>) -> bool {
        let deadline = *deadline.get_or_insert_with(|| Instant::now() + ROOM);
        let left = deadline.saturating_duration_since(Instant::now());
        // After ENOBUFS there may be room at once.
        let pause = left.min(Duration::from_millis(1));
        let is_there = wait(&[Until::Writable(self.long.0.as_fd())], Some(pause));
        !left.is_zero() && is_there.is_ok()
    }
}

/// Returns the EtherType of a frame, in network order.
fn ethertype(bytes: &[u8]) -> u16 {
    bytes.get(12..14).map_or(0, |field| u16::from_ne_bytes([field[0], field[1]]))
}
