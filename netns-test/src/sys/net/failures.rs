//! Sockets that receive copies of the errors that a network reports to its own connections: TCP
//! resets, ICMP errors, the end of TCP connections, and the
//! packets of an interface.
//!
//! They are raw sockets (raw(7)), and one of `sock_diag(7)`. The kernel copies a packet to them
//! while it delivers it, so they change nothing. Unlike a packet socket (packet(7)), they can be
//! closed without a wait for all processors.

use std::io;
use std::mem::{size_of, size_of_val};
use std::net::IpAddr;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::errno::Errno;

use crate::sys::fds::adopt;
use crate::sys::process::progress;

/// Family of IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

/// Returns a socket that receives the TCP segments with a RST that this network receives.
pub(crate) fn resets(family: Family) -> io::Result<OwnedFd> {
    /// `TH_RST` in byte 13 of the TCP header (RFC 9293).
    const RESET: (u32, u32) = (13, 0x04);
    let socket = open(family, libc::IPPROTO_TCP)?;
    let filter: &[libc::sock_filter] = match family {
        // An IPv4 raw socket has the IP header, whose length is in its first byte.
        Family::V4 => &[
            step(libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH, 0, 0),
            step(libc::BPF_LD | libc::BPF_B | libc::BPF_IND, RESET.0, 0),
            step(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, RESET.1, 1),
            step(libc::BPF_RET | libc::BPF_K, HEADERS, 0),
            step(libc::BPF_RET | libc::BPF_K, 0, 0),
        ],
        Family::V6 => &[
            step(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, RESET.0, 0),
            step(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, RESET.1, 1),
            step(libc::BPF_RET | libc::BPF_K, HEADERS, 0),
            step(libc::BPF_RET | libc::BPF_K, 0, 0),
        ],
    };
    attach(&socket, filter)?;
    add_times(&socket);
    Ok(socket)
}

/// Bytes of a packet that are kept: its headers.
const HEADERS: u32 = 128;

/// Returns a socket that receives the ICMP errors that this network receives (RFC 792, RFC 4443).
pub(crate) fn icmp_errors(family: Family) -> io::Result<OwnedFd> {
    match family {
        Family::V4 => {
            /// Option `ICMP_FILTER` of raw(7).
            const FILTER: libc::c_int = 1;
            let socket = open(family, libc::IPPROTO_ICMP)?;
            // Destination unreachable, time exceeded, parameter problem: a bit that is set blocks.
            let blocked: u32 = !(1 << 3 | 1 << 11 | 1 << 12);
            set(&socket, (libc::SOL_RAW, FILTER), &blocked)?;
            add_times(&socket);
            Ok(socket)
        }
        Family::V6 => {
            /// Option `ICMPV6_FILTER` of RFC 3542.
            const FILTER: libc::c_int = 1;
            let socket = open(family, libc::IPPROTO_ICMPV6)?;
            // Types 1 to 4: destination unreachable, packet too big, time exceeded, parameter
            // problem.
            let mut blocked = [u32::MAX; 8];
            blocked[0] = !0b1_1110;
            set(&socket, (libc::SOL_ICMPV6, FILTER), &blocked)?;
            add_times(&socket);
            Ok(socket)
        }
    }
}

/// Returns a socket that receives a message about each TCP socket of this network that is closed
/// without having received a segment: it was never answered (`sock_diag(7)`).
pub(crate) fn unanswered() -> io::Result<OwnedFd> {
    /// Groups `SKNLGRP_INET_TCP_DESTROY` and `SKNLGRP_INET6_TCP_DESTROY`.
    const GROUPS: u32 = 1 << 0 | 1 << 2;
    let flags = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: it takes numbers.
    let socket = unsafe { libc::socket(libc::AF_NETLINK, flags, libc::NETLINK_SOCK_DIAG) };
    let socket = adopt(Errno::result(socket)?);
    attach(&socket, &UNANSWERED)?;
    // SAFETY: zero bytes are a valid address.
    let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
    address.nl_family = libc::AF_NETLINK as libc::sa_family_t;
    address.nl_groups = GROUPS;
    let length = size_of_val(&address) as libc::socklen_t;
    // SAFETY: the kernel reads an address of the length that is stated.
    let result = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
    Errno::result(result)?;
    Ok(socket)
}

/// Returns a socket that receives each packet of an interface, from its IP header on (packet(7)).
pub(crate) fn packets(index: u32) -> io::Result<OwnedFd> {
    let every = (libc::ETH_P_ALL as u16).to_be();
    let flags = libc::SOCK_DGRAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: it takes numbers. With protocol 0 it receives nothing before it is bound.
    let socket = unsafe { libc::socket(libc::AF_PACKET, flags, 0) };
    let socket = adopt(Errno::result(socket)?);
    // SAFETY: zero bytes are a valid address.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as libc::sa_family_t;
    address.sll_protocol = every;
    address.sll_ifindex = index as libc::c_int;
    let length = size_of_val(&address) as libc::socklen_t;
    // SAFETY: the kernel reads an address of the length that is stated.
    let result = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
    Errno::result(result)?;
    Ok(socket)
}

/// Accepts messages whose attribute `INET_DIAG_INFO` says that no segment was received.
const UNANSWERED: [libc::sock_filter; 9] = {
    /// Bytes of `nlmsghdr` and `inet_diag_msg`, which come before the attributes.
    const FIRST: u32 = 16 + 72;
    const INET_DIAG_INFO: u32 = 2;
    /// `tcpi_segs_in` in `tcp_info`, after the header of the attribute.
    const RECEIVED: u32 = 4 + 140;
    [
        step(libc::BPF_LD | libc::BPF_IMM, FIRST, 0),
        step(libc::BPF_LDX | libc::BPF_IMM, INET_DIAG_INFO, 0),
        // The place of the attribute; 0 without it.
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, ATTRIBUTE, 0),
        jump(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, (3, 0)),
        step(libc::BPF_MISC | libc::BPF_TAX, 0, 0),
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_IND, RECEIVED, 0),
        jump(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, (0, 1)),
        step(libc::BPF_RET | libc::BPF_K, u32::MAX, 0),
        step(libc::BPF_RET | libc::BPF_K, 0, 0),
    ]
};

/// `SKF_AD_OFF + SKF_AD_NLATTR`: finds the attribute X from place A on.
const ATTRIBUTE: u32 = (-0x1000_i32 + 12) as u32;

/// A step of a filter, which skips `if_not` steps if a test fails.
const fn step(code: u32, operand: u32, if_not: u8) -> libc::sock_filter {
    jump(code, operand, (0, if_not))
}

const fn jump(code: u32, operand: u32, (if_so, if_not): (u8, u8)) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt: if_so, jf: if_not, k: operand }
}

fn open(family: Family, protocol: libc::c_int) -> io::Result<OwnedFd> {
    let family = match family {
        Family::V4 => libc::AF_INET,
        Family::V6 => libc::AF_INET6,
    };
    let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: it takes numbers.
    Ok(adopt(Errno::result(unsafe { libc::socket(family, kind, protocol) })?))
}

fn attach(socket: &OwnedFd, filter: &[libc::sock_filter]) -> io::Result<()> {
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    set(socket, (libc::SOL_SOCKET, libc::SO_ATTACH_FILTER), &program)
}

/// Makes the kernel note when each packet arrives. Without that the times are unknown.
fn add_times(socket: &OwnedFd) {
    let on: libc::c_int = 1;
    drop(set(socket, (libc::SOL_SOCKET, libc::SO_TIMESTAMPNS), &on));
}

fn set<T>(
    socket: &OwnedFd,
    (level, option): (libc::c_int, libc::c_int),
    value: &T,
) -> io::Result<()> {
    let length = size_of::<T>() as libc::socklen_t;
    let value = (&raw const *value).cast();
    // SAFETY: the kernel reads a value of the length that is stated, and for a filter the steps
    // that it points to.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, value, length) };
    Errno::result(result)?;
    Ok(())
}

/// A packet or message that was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) bytes: Vec<u8>,
    /// Address that it came from.
    pub(crate) from: Option<IpAddr>,
    /// Time of its arrival, of the monotonic clock, if it is known.
    pub(crate) at: Option<Duration>,
}

/// Receives the next packet or message, if there is one.
pub(crate) fn receive(socket: BorrowedFd<'_>) -> io::Result<Option<Received>> {
    let mut buffer = [0_u8; 2048];
    let mut control = [0_u64; 16];
    // SAFETY: zero bytes are a valid address.
    let mut address: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
    loop {
        let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        // SAFETY: zero bytes are a valid header.
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        header.msg_name = (&raw mut address).cast();
        header.msg_namelen = size_of_val(&address) as libc::socklen_t;
        header.msg_iov = &raw mut part;
        header.msg_iovlen = 1;
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = size_of_val(&control) as _;
        // SAFETY: the kernel writes no more than the sizes of the buffers, which are live.
        let result = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, 0) };
        return match Errno::result(result) {
            Ok(count) => {
                let bytes = buffer[..usize::try_from(count).unwrap_or(0)].to_vec();
                let at = time(&header).and_then(monotonic);
                Ok(Some(Received { bytes, from: ip_of(&address), at }))
            }
            Err(Errno::EAGAIN) => Ok(None),
            Err(Errno::EINTR) => continue,
            Err(errno) => Err(errno.into()),
        };
    }
}

/// Returns the time of arrival that the kernel has added, by the clock of the day.
fn time(header: &libc::msghdr) -> Option<Duration> {
    // SAFETY: recvmsg(2) has filled the header, and its control buffer is live.
    let first = unsafe { libc::CMSG_FIRSTHDR(header) };
    // SAFETY: it is null, or a whole header in the control buffer, which is aligned for it.
    let first = unsafe { first.as_ref() }?;
    // SAFETY: it takes a number.
    let length = unsafe { libc::CMSG_LEN(size_of::<libc::timespec>() as libc::c_uint) };
    let is_time = (first.cmsg_level, first.cmsg_type) == (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS);
    if !is_time || (first.cmsg_len as usize) < length as usize {
        return None;
    }
    // SAFETY: the header is in the control buffer, and its data behind it.
    let data = unsafe { libc::CMSG_DATA(first) };
    // SAFETY: the length of the data was checked, and any bytes are a valid time.
    let time: libc::timespec = unsafe { data.cast::<libc::timespec>().read_unaligned() };
    let seconds = u64::try_from(time.tv_sec).ok()?;
    Some(Duration::new(seconds, u32::try_from(time.tv_nsec).ok()?))
}

/// Returns a time of the past, by the clock of the day, as one of the monotonic clock. If this
/// thread is interrupted between the two clocks, it is too early.
fn monotonic(time: Duration) -> Option<Duration> {
    let now = progress::now();
    let today = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    now.checked_sub(today.checked_sub(time)?)
}

/// Returns the address of a raw socket's packet; none for a netlink message.
fn ip_of(address: &libc::sockaddr_storage) -> Option<IpAddr> {
    let place = &raw const *address;
    match libc::c_int::from(address.ss_family) {
        libc::AF_INET => {
            // SAFETY: the storage holds an address of this family, and is aligned for it.
            let address: &libc::sockaddr_in = unsafe { &*place.cast() };
            Some(IpAddr::V4(u32::from_be(address.sin_addr.s_addr).into()))
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let address: &libc::sockaddr_in6 = unsafe { &*place.cast() };
            Some(IpAddr::V6(address.sin6_addr.s6_addr.into()))
        }
        _ => None,
    }
}
