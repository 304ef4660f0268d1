//! A netlink socket for requests and changes, read without waiting.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};

use nix::errno::Errno;

use crate::sys::net::route::answers::{Change, Refusal};
use crate::sys::net::route::requests::Requests;
use crate::sys::net::route::{answers, message};

/// `NETLINK_EXT_ACK` of linux/netlink.h.
const EXTENDED: libc::c_int = 11;

/// The groups of messages about interfaces and about routes of IPv6 (`RTMGRP_LINK` and
/// `RTMGRP_IPV6_ROUTE` of linux/rtnetlink.h).
const CHANGES: u32 = 0x1 | 0x400;

/// A connection to the network namespace that it was opened in.
#[derive(Debug)]
pub(crate) struct Socket(OwnedFd);

impl Socket {
    /// Connects to the calling thread's network namespace.
    pub(crate) fn open() -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: makes a descriptor.
        let fd = unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE) };
        Ok(Self(crate::sys::fds::adopt(Errno::result(fd)?)))
    }

    /// Connects as [`open`](Self::open) does. Refusals have the kernel's text, and changes are
    /// received.
    pub(crate) fn open_to_changes() -> io::Result<Self> {
        let socket = Self::open()?;
        let on: libc::c_int = 1;
        // SAFETY: the kernel reads one number, of the length that is given. Before Linux 4.12 it
        // knows no such option, and there are no words.
        unsafe {
            libc::setsockopt(
                socket.0.as_raw_fd(),
                libc::SOL_NETLINK,
                EXTENDED,
                (&raw const on).cast(),
                size_of::<libc::c_int>() as libc::socklen_t,
            )
        };
        // SAFETY: zero bytes are a valid `sockaddr_nl`.
        let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
        address.nl_family = libc::AF_NETLINK as libc::sa_family_t;
        address.nl_groups = CHANGES;
        let length = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
        // SAFETY: the kernel reads one `sockaddr_nl`.
        let bound =
            unsafe { libc::bind(socket.0.as_raw_fd(), (&raw const address).cast(), length) };
        Errno::result(bound)?;
        Ok(socket)
    }

    /// Sends all requests, and returns the first refusal. Passes changes that are received
    /// meanwhile to `note`.
    pub(crate) fn ask(
        &self,
        requests: &Requests,
        mut note: impl FnMut(Change),
    ) -> io::Result<Result<(), Refusal>> {
        let (fd, bytes) = (self.0.as_raw_fd(), requests.bytes());
        // SAFETY: the kernel reads as many bytes as the slice has.
        let sent = unsafe { libc::send(fd, bytes.as_ptr().cast(), bytes.len(), 0) };
        Errno::result(sent)?;
        let mut refusal = None;
        self.receive(|message| match answers::refusal_in(message) {
            Some(found) => {
                refusal.get_or_insert(found);
            }
            None => answers::change_in(message).into_iter().for_each(&mut note),
        })?;
        Ok(refusal.map_or(Ok(()), Err))
    }

    /// Passes the changes that have been received to `note`.
    pub(crate) fn changes(&self, mut note: impl FnMut(Change)) -> io::Result<()> {
        self.receive(|message| answers::change_in(message).into_iter().for_each(&mut note))
    }

    /// Returns the descriptor, which is readable when there is a change.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        std::os::fd::AsFd::as_fd(&self.0)
    }

    /// Calls `with` for each message that has been received.
    fn receive(&self, mut with: impl FnMut(&[u8])) -> io::Result<()> {
        let mut buffer = [0_u8; 8192];
        loop {
            let (room, length) = (buffer.as_mut_ptr().cast(), buffer.len());
            // SAFETY: the kernel writes at most as many bytes as the buffer has.
            let got = unsafe { libc::recv(self.0.as_raw_fd(), room, length, 0) };
            let got = match Errno::result(got) {
                Ok(got) => usize::try_from(got).map_err(io::Error::other)?,
                Err(Errno::EAGAIN) => return Ok(()),
                // Changes were lost; an answer to a request is not.
                Err(Errno::EINTR | Errno::ENOBUFS) => continue,
                Err(errno) => return Err(errno.into()),
            };
            let mut bytes = buffer.get(..got).unwrap_or_default();
            while let Some(message) = message::next(&mut bytes) {
                with(message);
            }
        }
    }
}
