//! Sockets between runner, server and init: `AF_UNIX`/`SOCK_SEQPACKET`, whose messages
//! arrive whole or not at all, and which carry file descriptors (unix(7)).

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType,
};

use super::fds::adopt;

/// The most descriptors that travel with one message.
pub(crate) const MAX_FDS: usize = 8;

/// A message as it came in.
#[derive(Debug)]
pub(crate) struct Message {
    /// The length of its bytes; 0 means that the other side has closed.
    pub(crate) length: usize,
    /// The descriptors that came with it; fewer than were sent if this process may hold no
    /// more of them.
    pub(crate) fds: Vec<OwnedFd>,
}

/// Two connected sockets.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let (family, kind) = (AddressFamily::Unix, SockType::SeqPacket);
    Ok(nix::sys::socket::socketpair(family, kind, None, SockFlag::SOCK_CLOEXEC)?)
}

/// Sends one message, with `fds`; never raises SIGPIPE.
pub(crate) fn send(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let raw: Vec<RawFd> = fds.iter().map(std::os::fd::AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let control: &[ControlMessage<'_>] = if raw.is_empty() { &[] } else { &rights };
    loop {
        let sent = nix::sys::socket::sendmsg::<()>(
            socket.as_raw_fd(),
            &[IoSlice::new(bytes)],
            control,
            MsgFlags::MSG_NOSIGNAL,
            None,
        );
        match sent {
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Receives one message into `buffer`; waits for it.
pub(crate) fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Message> {
    let mut space = nix::cmsg_space!([RawFd; MAX_FDS]);
    loop {
        let mut slices = [IoSliceMut::new(buffer)];
        let received = nix::sys::socket::recvmsg::<()>(
            socket.as_raw_fd(),
            &mut slices,
            Some(&mut space),
            MsgFlags::MSG_CMSG_CLOEXEC,
        );
        let message = match received {
            Ok(message) => message,
            Err(Errno::EINTR) => continue,
            Err(errno) => return Err(errno.into()),
        };
        if message.flags.contains(MsgFlags::MSG_TRUNC) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut fds = Vec::new();
        for control in message.cmsgs()? {
            if let ControlMessageOwned::ScmRights(raw) = control {
                fds.extend(raw.into_iter().map(adopt));
            }
        }
        return Ok(Message { length: message.bytes, fds });
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn descriptors_travel_with_a_message() {
        let (one, other) = pair().unwrap();
        let file = crate::sys::fds::memory_file(b"content").unwrap();
        send(one.as_fd(), b"hello", &[file.as_fd()]).unwrap();
        let mut buffer = [0; 16];
        let message = receive(other.as_fd(), &mut buffer).unwrap();
        assert_eq!(&buffer[..message.length], b"hello");
        assert_eq!(crate::sys::fds::read_memory_file(&message.fds[0]).unwrap(), b"content");
        drop(one);
        assert_eq!(receive(other.as_fd(), &mut buffer).unwrap().length, 0);
    }
}
