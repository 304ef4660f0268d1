//! Netlink sockets (netlink(7)) without a crate for their messages: also the isolation uses them.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};

use nix::errno::Errno;

use crate::sys::fds::adopt;

/// `NETLINK_SOCK_DIAG` of `linux/netlink.h`.
pub(crate) const SOCK_DIAG: i32 = libc::NETLINK_SOCK_DIAG;

/// Opens a socket in the calling thread's network namespace.
pub(crate) fn open(protocol: i32) -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: touches no memory.
    let socket = unsafe { libc::socket(libc::AF_NETLINK, kind, protocol) };
    Ok(adopt(Errno::result(socket)?))
}

/// Makes room for a datagram of this length, up to the limit of the machine (socket(7),
/// `SO_SNDBUF`).
#[cfg(feature = "lab")]
pub(crate) fn reserve(socket: BorrowedFd<'_>, length: usize) -> io::Result<()> {
    Ok(nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::SndBuf, &length)?)
}

/// Sends one datagram to the kernel.
pub(crate) fn send(socket: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<()> {
    // SAFETY: the kernel reads as many bytes as the slice has.
    let sent = unsafe { libc::send(socket.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), 0) };
    Errno::result(sent)?;
    Ok(())
}

/// Receives one datagram, and returns its length, which is that of the buffer or more if the
/// datagram was cut. Never waits: the kernel answers during [`send`] and during this call.
pub(crate) fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
    let start = buffer.as_mut_ptr().cast();
    loop {
        // SAFETY: the kernel writes at most as many bytes as the buffer has.
        let length = unsafe { libc::recv(socket.as_raw_fd(), start, buffer.len(), flags) };
        match Errno::result(length) {
            Ok(length) => return usize::try_from(length).map_err(io::Error::other),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}
