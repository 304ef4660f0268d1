//! Messages of one byte with three descriptors, between the processes of a floor.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd as _, OwnedFd};

use crate::floor::calls::check;

/// Length of three descriptors, in bytes.
const LENGTH: libc::c_uint = 12;

/// Aligned buffer for one header and three descriptors (cmsg(3)).
type Control = [u64; 4];

pub(crate) fn sockets() -> io::Result<[OwnedFd; 2]> {
    let mut ends = [0; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    // SAFETY: the kernel writes two numbers.
    check(unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()) })?;
    // SAFETY: the descriptors are new and have no other owner.
    Ok(ends.map(|end| unsafe { OwnedFd::from_raw_fd(end) }))
}

/// Sends three descriptors, for [`receive`].
pub(crate) fn send(socket: &OwnedFd, fds: [&OwnedFd; 3]) -> io::Result<()> {
    with_message(|message| {
        // SAFETY: the message has room for a header.
        let header = unsafe { libc::CMSG_FIRSTHDR(message) };
        // SAFETY: computes a number.
        let length = unsafe { libc::CMSG_LEN(LENGTH) };
        // SAFETY: zeros are a header.
        let mut value: libc::cmsghdr = unsafe { std::mem::zeroed() };
        (value.cmsg_level, value.cmsg_type) = (libc::SOL_SOCKET, libc::SCM_RIGHTS);
        value.cmsg_len = length as _;
        // SAFETY: the header is in the buffer, which is aligned.
        unsafe { header.write(value) };
        // SAFETY: the buffer has room for the data after the header.
        let numbers: *mut [i32; 3] = unsafe { libc::CMSG_DATA(header) }.cast();
        // SAFETY: the data has the length of the header.
        unsafe { numbers.write_unaligned(fds.map(AsRawFd::as_raw_fd)) };
        // SAFETY: all that the message points to lives through the call.
        match unsafe { libc::sendmsg(socket.as_raw_fd(), message, libc::MSG_NOSIGNAL) } {
            1 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    })
}

/// Receives the descriptors of the next message, or `None` at the end of the stream.
pub(crate) fn receive(socket: &OwnedFd) -> io::Result<Option<[OwnedFd; 3]>> {
    with_message(|message| {
        // SAFETY: all that the message points to lives through the call.
        match unsafe { libc::recvmsg(socket.as_raw_fd(), message, libc::MSG_CMSG_CLOEXEC) } {
            0 => return Ok(None),
            1 => {}
            _ => return Err(io::Error::last_os_error()),
        }
        // SAFETY: the kernel has filled the message in.
        let header = unsafe { libc::CMSG_FIRSTHDR(message) };
        // SAFETY: computes a number.
        let whole = unsafe { libc::CMSG_LEN(LENGTH) };
        // SAFETY: null or a header in the buffer.
        let length = unsafe { header.as_ref() }.map(|header| header.cmsg_len as libc::c_uint);
        if length != Some(whole) {
            return Err(io::Error::other("descriptors were lost"));
        }
        // SAFETY: the header is followed by its data.
        let numbers: *const [i32; 3] = unsafe { libc::CMSG_DATA(header) }.cast();
        // SAFETY: the length was checked above.
        let numbers = unsafe { numbers.read_unaligned() };
        // SAFETY: the descriptors are new and have no other owner.
        Ok(Some(numbers.map(|number| unsafe { OwnedFd::from_raw_fd(number) })))
    })
}

/// Calls `work` with a message of one byte and a buffer for descriptors.
fn with_message<T>(work: impl FnOnce(&mut libc::msghdr) -> T) -> T {
    let (mut byte, mut control) = (0_u8, Control::default());
    let mut data = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    // SAFETY: all zeros are an empty message.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    (message.msg_iov, message.msg_iovlen) = (&raw mut data, 1);
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of::<Control>() as _;
    work(&mut message)
}
