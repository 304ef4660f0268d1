//! Sockets between runner, server and init: `AF_UNIX`/`SOCK_SEQPACKET`. Messages arrive whole or
//! not at all, and can carry file descriptors (unix(7)).

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd, RawFd};

use nix::errno::Errno;

use crate::sys::fds::adopt;

/// Largest number of descriptors in one message.
const MOST_FDS: usize = 16;

/// Received message.
#[derive(Debug)]
pub(crate) struct Message {
    /// Length in bytes; 0 means that the peer has closed its end.
    pub(crate) length: usize,
    /// Received descriptors: fewer than were sent if this process reaches its limit of open files.
    pub(crate) fds: Vec<OwnedFd>,
}

/// Creates two connected sockets.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let (kind, mut fds) = (libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC, [-1; 2]);
    // SAFETY: the kernel writes two numbers to the array.
    Errno::result(unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, fds.as_mut_ptr()) })?;
    Ok((adopt(fds[0]), adopt(fds[1])))
}

/// Sends one message with descriptors. Never raises SIGPIPE.
///
/// # Panics
///
/// Panics if there are more than 16 descriptors.
pub(crate) fn send(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    send_with(socket, bytes, fds, 0)
}

/// Sends as [`send`] does, but returns an error (EAGAIN) where that would wait for the peer to
/// read.
pub(crate) fn try_send_fds(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    fds: &[BorrowedFd<'_>],
) -> io::Result<()> {
    send_with(socket, bytes, fds, libc::MSG_DONTWAIT)
}

fn send_with(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    fds: &[BorrowedFd<'_>],
    flags: libc::c_int,
) -> io::Result<()> {
    let flags = flags | libc::MSG_NOSIGNAL;
    let mut control = Control([0; 128]);
    let mut slice =
        libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // SAFETY: zero bytes are a valid `msghdr`.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &raw mut slice;
    header.msg_iovlen = 1;
    if !fds.is_empty() {
        put(fds, &mut control, &mut header);
    }
    loop {
        // SAFETY: the header points to live buffers of the sizes that it states; the kernel reads.
        let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const header, flags) };
        match Errno::result(sent) {
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Attaches descriptors to a message.
fn put(fds: &[BorrowedFd<'_>], control: &mut Control, header: &mut libc::msghdr) {
    assert!(fds.len() <= MOST_FDS, "at most 16 descriptors in a message");
    let bytes = size_of_val(fds) as libc::c_uint;
    header.msg_control = (&raw mut control.0).cast();
    // SAFETY: computes a length.
    header.msg_controllen = unsafe { libc::CMSG_SPACE(bytes) } as _;
    // SAFETY: the header describes the control buffer.
    let part = unsafe { libc::CMSG_FIRSTHDR(&raw const *header) };
    // SAFETY: the buffer has room for one part of this length, and is aligned for it.
    let part = unsafe { &mut *part };
    (part.cmsg_level, part.cmsg_type) = (libc::SOL_SOCKET, libc::SCM_RIGHTS);
    // SAFETY: computes a length.
    part.cmsg_len = unsafe { libc::CMSG_LEN(bytes) } as _;
    // SAFETY: points to what follows this header.
    let data = unsafe { libc::CMSG_DATA(part) }.cast::<RawFd>();
    for (place, fd) in fds.iter().enumerate() {
        // SAFETY: within the part, by its length.
        let at = unsafe { data.add(place) };
        // SAFETY: as above; the data need not be aligned.
        unsafe { at.write_unaligned(fd.as_raw_fd()) };
    }
}

/// Ends the connection for both sides.
pub(crate) fn hang_up(socket: BorrowedFd<'_>) {
    // SAFETY: touches no memory.
    unsafe { libc::shutdown(socket.as_raw_fd(), libc::SHUT_RDWR) };
}

/// Makes the peer see an end, after which it may still send.
pub(crate) fn end_sending(socket: BorrowedFd<'_>) {
    // SAFETY: touches no memory.
    unsafe { libc::shutdown(socket.as_raw_fd(), libc::SHUT_WR) };
}

/// Sends bytes without descriptors. Returns an error (EAGAIN) where that would wait for the peer.
pub(crate) fn try_send(socket: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<()> {
    let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
    // SAFETY: the kernel reads as many bytes as the slice has.
    let sent = unsafe { libc::send(socket.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), flags) };
    Errno::result(sent)?;
    Ok(())
}

/// Waits for a message, and returns its length.
pub(crate) fn length_of_next(socket: BorrowedFd<'_>) -> io::Result<usize> {
    look(socket, libc::MSG_PEEK | libc::MSG_TRUNC)
}

/// Receives a message without its bytes, for its length (`MSG_TRUNC`). It uses recvmsg(2), as for
/// the message itself, so that a seccomp filter on another call does not lead to a wrong diagnosis.
fn look(socket: BorrowedFd<'_>, flags: libc::c_int) -> io::Result<usize> {
    // SAFETY: zero bytes are a valid `msghdr`, with room for nothing.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: no byte is written but the header's.
        let length = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, flags) };
        match Errno::result(length) {
            Ok(length) => return usize::try_from(length).map_err(io::Error::other),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Returns whether the peer has read everything that was sent to it (unix(7), `SIOCOUTQ`).
pub(crate) fn all_was_read(socket: BorrowedFd<'_>) -> bool {
    let mut unread: libc::c_int = 0;
    // SAFETY: the kernel writes one number. TIOCOUTQ is SIOCOUTQ.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut unread) };
    Errno::result(result).is_ok() && unread == 0
}

/// Returns whether the peer has ended without reading what was sent to it. The kernel reports that
/// once.
pub(crate) fn was_not_read(socket: BorrowedFd<'_>) -> bool {
    let mut error: libc::c_int = 0;
    let mut length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the kernel writes one number, of the length that is given.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ERROR,
            (&raw mut error).cast(),
            &raw mut length,
        )
    };
    Errno::result(result).is_ok() && error == libc::ECONNRESET
}

/// Control buffer for [`MOST_FDS`] descriptors, with the alignment of its headers.
#[repr(C, align(8))]
struct Control([u8; 128]);

/// Waits for one message, and receives it into `buffer`.
///
/// `nix` is not used here: it returns no descriptors if the kernel could not deliver all of them.
pub(crate) fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Message> {
    receive_with(socket, buffer, 0)
}

/// Receives as [`receive`] does, but leaves the message in the queue.
pub(crate) fn peek(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Message> {
    receive_with(socket, buffer, libc::MSG_PEEK)
}

/// Removes a message from the queue, after [`peek`].
pub(crate) fn discard(socket: BorrowedFd<'_>) -> io::Result<()> {
    look(socket, libc::MSG_DONTWAIT).map(drop)
}

fn receive_with(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    flags: libc::c_int,
) -> io::Result<Message> {
    let mut control = Control([0; 128]);
    let mut slice = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: zero bytes are a valid `msghdr`.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &raw mut slice;
    header.msg_iovlen = 1;
    header.msg_control = (&raw mut control.0).cast();
    header.msg_controllen = control.0.len() as _;
    // A peer that closes without having read everything resets the connection. The kernel reports
    // that once, before the data that was sent earlier.
    let mut reset = false;
    let length = loop {
        // SAFETY: the header points to live buffers of the sizes that it states.
        let received = unsafe {
            libc::recvmsg(socket.as_raw_fd(), &raw mut header, libc::MSG_CMSG_CLOEXEC | flags)
        };
        match Errno::result(received) {
            Ok(length) => break length,
            Err(Errno::EINTR) => {}
            Err(Errno::ECONNRESET) if !reset => reset = true,
            Err(errno) => return Err(errno.into()),
        }
    };
    let fds = descriptors(&header);
    if header.msg_flags & libc::MSG_TRUNC != 0 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(Message { length: usize::try_from(length).map_err(io::Error::other)?, fds })
}

/// Returns the descriptors of a message, after `recvmsg` has filled `header`.
fn descriptors(header: &libc::msghdr) -> Vec<OwnedFd> {
    let mut fds = Vec::new();
    // SAFETY: the header describes the control buffer as the kernel left it.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(header) };
    // SAFETY: null, or a header within the control buffer.
    while let Some(part) = unsafe { next.as_ref() } {
        if (part.cmsg_level, part.cmsg_type) == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
            // SAFETY: points to what follows this header.
            let data = unsafe { libc::CMSG_DATA(part) }.cast::<RawFd>();
            for place in 0..MOST_FDS {
                let bytes = (place + 1) * size_of::<RawFd>();
                // SAFETY: computes a length.
                let needed = unsafe { libc::CMSG_LEN(bytes as _) };
                if part.cmsg_len < needed as _ {
                    break;
                }
                // SAFETY: within the part, by its length.
                let at = unsafe { data.add(place) };
                // SAFETY: as above; the data need not be aligned.
                fds.push(adopt(unsafe { at.read_unaligned() }));
            }
        }
        // SAFETY: as for the first; null at the end.
        next = unsafe { libc::CMSG_NXTHDR(header, part) };
    }
    fds
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn the_last_words_of_a_side_that_has_not_listened_arrive() {
        let (one, other) = pair().unwrap();
        send(one.as_fd(), b"never read", &[]).unwrap();
        send(other.as_fd(), b"last words", &[]).unwrap();
        drop(other);
        let mut buffer = [0; 16];
        let message = receive(one.as_fd(), &mut buffer).unwrap();
        assert_eq!(&buffer[..message.length], b"last words");
        assert_eq!(receive(one.as_fd(), &mut buffer).unwrap().length, 0);
    }

    #[test]
    fn what_was_not_read_is_known() {
        let (one, other) = pair().unwrap();
        assert!(all_was_read(one.as_fd()));
        send(one.as_fd(), b"never read", &[]).unwrap();
        assert!(!all_was_read(one.as_fd()));
        assert!(!was_not_read(one.as_fd()));
        drop(other);
        assert!(was_not_read(one.as_fd()));
        let (one, other) = pair().unwrap();
        send(one.as_fd(), b"read", &[]).unwrap();
        assert_eq!(receive(other.as_fd(), &mut [0; 16]).unwrap().length, 4);
        assert!(all_was_read(one.as_fd()));
        drop(other);
        assert!(!was_not_read(one.as_fd()));
        // A look does not take it away.
        let (one, other) = pair().unwrap();
        send(one.as_fd(), b"seen", &[one.as_fd()]).unwrap();
        for _ in 0..2 {
            let message = peek(other.as_fd(), &mut [0; 16]).unwrap();
            assert_eq!((message.length, message.fds.len()), (4, 1));
        }
        discard(other.as_fd()).unwrap();
        assert!(discard(other.as_fd()).is_err());
        drop(other);
        assert!(!was_not_read(one.as_fd()));
    }

    #[test]
    fn descriptors_travel_with_a_message() {
        let (one, other) = pair().unwrap();
        let (read, write) = crate::sys::fds::pipe().unwrap();
        send(one.as_fd(), b"hello", &[read.as_fd(), write.as_fd()]).unwrap();
        let mut buffer = [0; 16];
        let message = receive(other.as_fd(), &mut buffer).unwrap();
        assert_eq!(&buffer[..message.length], b"hello");
        let identities =
            message.fds.iter().map(|fd| crate::sys::fds::identity(fd.as_fd()).unwrap());
        let own = crate::sys::fds::identity(read.as_fd()).unwrap();
        assert_eq!(identities.collect::<Vec<_>>(), [own, own]);
        drop(one);
        assert_eq!(receive(other.as_fd(), &mut buffer).unwrap().length, 0);
    }
}
