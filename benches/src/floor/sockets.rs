//! The floor of a snapshot: dumps of sockets by `sock_diag(7)`, and the files of `/proc` for the
//! same.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use crate::floor::calls::check;

/// `inet_diag_req` with all states, and with listeners only; `inet_diag_req_v2` for UDP.
const ALL: u32 = 0x1ffe;
const LISTENERS: u32 = 1 << 10;

/// `TCPDIAG_GETSOCK`, `SOCK_DIAG_BY_FAMILY`, `IPPROTO_UDP`.
const TCP_BY_PROTOCOL: u16 = 18;
const BY_FAMILY: u16 = 20;
const UDP: u8 = 17;

/// Sockets to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listed {
    All,
    /// Listeners of TCP, and all of UDP.
    Services,
}

/// Opens a socket for dumps in the calling thread's network.
pub(crate) fn open() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: makes a descriptor.
    let fd = check(unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_SOCK_DIAG) })?;
    // SAFETY: the descriptor is new and has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Dumps sockets, and returns their number.
pub(crate) fn dump(socket: &OwnedFd, listed: Listed, buffer: &mut [u8]) -> io::Result<usize> {
    let states = if listed == Listed::All { ALL } else { LISTENERS }.to_ne_bytes();
    let tcp = [&[2, 0, 0, 0x40], &[0; 48][..], &states, &[0; 4]].concat();
    let of_udp = |family| [&[family, UDP, 0x40, 0], &ALL.to_ne_bytes()[..], &[0; 48]].concat();
    let requests = [(TCP_BY_PROTOCOL, tcp), (BY_FAMILY, of_udp(2)), (BY_FAMILY, of_udp(10))];
    requests.iter().try_fold(0, |count, (kind, body)| {
        let length = u32::try_from(16 + body.len()).expect("it is short").to_ne_bytes();
        let flags = u16::try_from(libc::NLM_F_REQUEST | libc::NLM_F_DUMP).expect("16 bits");
        let head = [&length[..], &kind.to_ne_bytes(), &flags.to_ne_bytes(), &[0; 8]];
        Ok(count + exchange(socket, &[&head.concat(), &body[..]].concat(), buffer)?)
    })
}

/// Reads the files of the calling thread's network, and returns their length.
pub(crate) fn read_files() -> io::Result<usize> {
    ["tcp", "tcp6", "udp", "udp6"].iter().try_fold(0, |length, name| {
        Ok(length + fs::read(format!("/proc/thread-self/net/{name}"))?.len())
    })
}

/// Sends a request, and returns the number of messages before its end.
fn exchange(socket: &OwnedFd, request: &[u8], buffer: &mut [u8]) -> io::Result<usize> {
    let fd = socket.as_raw_fd();
    // SAFETY: the kernel reads this many bytes, which live through the call.
    let sent = unsafe { libc::send(fd, request.as_ptr().cast(), request.len(), 0) };
    if sent == -1 {
        return Err(io::Error::last_os_error());
    }
    let mut count = 0;
    loop {
        // SAFETY: the kernel writes at most the length of the buffer.
        let length = unsafe { libc::recv(fd, buffer.as_mut_ptr().cast(), buffer.len(), 0) };
        let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
        let mut rest = &buffer[..length];
        while let Some([a, b, c, d, e, f, ..]) = rest.first_chunk::<16>() {
            match i32::from(u16::from_ne_bytes([*e, *f])) {
                libc::NLMSG_DONE => return Ok(count),
                libc::NLMSG_ERROR => return Err(io::Error::other("sock_diag is refused")),
                _ => count += 1,
            }
            let length = u32::from_ne_bytes([*a, *b, *c, *d]).next_multiple_of(4);
            rest = usize::try_from(length).ok().and_then(|at| rest.get(at..)).unwrap_or_default();
        }
    }
}
