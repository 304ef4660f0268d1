//! ICMP echo requests by unprivileged sockets (icmp(7), "ping sockets"), and the ICMP errors of the
//! nodes on the path (`IP_RECVERR` of ip(7)).

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{
    self, AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockProtocol, SockType,
    SockaddrStorage, sockopt,
};

use crate::sys::fds;
use crate::sys::fds::Until;

/// Socket for echo requests to one address, in the network of the thread that opened it.
#[derive(Debug)]
pub(crate) struct Echo {
    socket: OwnedFd,
    to: IpAddr,
    /// Whether the socket sends UDP to a closed port instead, where ECONNREFUSED is the answer. It
    /// does if the sysctl `net.ipv4.ping_group_range` does not allow the caller ping sockets.
    by_udp: bool,
    /// Number of requests for which there was no route.
    unroutable: Cell<u64>,
}

/// Answer to a request, or an error about it.
#[derive(Debug)]
pub(crate) enum Heard {
    Answer,
    /// A node on the path dropped the packet because its time to live was over.
    Hop(IpAddr),
    /// A node on the path, or this node's kernel (`by` is none), could not forward the packet.
    Refusal {
        by: Option<IpAddr>,
        error: io::Error,
    },
}

/// First port to which traceroute(8) sends.
const PORT: u16 = 33434;

/// Default time to live of the kernel (`net.ipv4.ip_default_ttl`).
const FAR: u8 = 64;

/// Origins of an error (`struct sock_extended_err` of linux/errqueue.h).
const FROM_ICMP: u8 = libc::SO_EE_ORIGIN_ICMP;
const FROM_ICMPV6: u8 = libc::SO_EE_ORIGIN_ICMP6;

/// Origins with the types `ICMP_TIME_EXCEEDED` and `ICMPV6_TIME_EXCEED`.
const TIME_IS_OVER: [(u8, u8); 2] = [(FROM_ICMP, 11), (FROM_ICMPV6, 3)];

impl Echo {
    pub(crate) fn open(to: IpAddr) -> io::Result<Self> {
        let (family, icmp) = match to {
            IpAddr::V4(_) => (AddressFamily::Inet, SockProtocol::Icmp),
            IpAddr::V6(_) => (AddressFamily::Inet6, SockProtocol::IcmpV6),
        };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let open = |protocol| socket::socket(family, SockType::Datagram, flags, protocol);
        let (socket, by_udp) = match open(Some(icmp)) {
            Err(Errno::EACCES | Errno::EPERM | Errno::EPROTONOSUPPORT) => (open(None)?, true),
            other => (other?, false),
        };
        match to {
            IpAddr::V4(_) => socket::setsockopt(&socket, sockopt::Ipv4RecvErr, &true)?,
            IpAddr::V6(_) => socket::setsockopt(&socket, sockopt::Ipv6RecvErr, &true)?,
        }
        Ok(Self { socket, to, by_udp, unroutable: Cell::new(0) })
    }

    /// Sends a request with a time to live of `hops`. Returns the error of a request that could not
    /// leave this node.
    pub(crate) fn send(&self, hops: Option<u8>) -> io::Result<Option<io::Error>> {
        let hops = i32::from(hops.unwrap_or(FAR));
        match self.to {
            IpAddr::V4(_) => socket::setsockopt(&self.socket, sockopt::Ipv4Ttl, &hops)?,
            IpAddr::V6(_) => socket::setsockopt(&self.socket, sockopt::Ipv6Ttl, &hops)?,
        }
        let port = if self.by_udp { PORT } else { 0 };
        let to = SockaddrStorage::from(SocketAddr::new(self.to, port));
        // Type, code, checksum, identifier, number. The kernel sets checksum and identifier.
        let request =
            if self.to.is_ipv4() { [8, 0, 0, 0, 0, 0, 0, 1] } else { [128, 0, 0, 0, 0, 0, 0, 1] };
        let send = || {
            let fd = self.socket.as_raw_fd();
            let sent = socket::sendto(fd, &request, &to, MsgFlags::MSG_NOSIGNAL);
            if sent == Err(Errno::ENETUNREACH) {
                self.unroutable.set(self.unroutable.get() + 1);
            }
            sent
        };
        // The first error can belong to an earlier request. The kernel reports it once.
        match send().or_else(|_| send()) {
            Ok(_) => Ok(None),
            Err(errno) => Ok(Some(errno.into())),
        }
    }

    /// Returns the number of requests for which there was no route.
    pub(crate) fn unroutable(&self) -> u64 {
        self.unroutable.get()
    }

    /// Receives an answer or error, and waits at most `most` for it.
    pub(crate) fn hear(&self, most: Duration) -> io::Result<Option<Heard>> {
        if let Some(heard) = self.next()? {
            return Ok(Some(heard));
        }
        fds::wait(&[Until::Readable(self.socket.as_fd())], Some(most))?;
        self.next()
    }

    fn next(&self) -> io::Result<Option<Heard>> {
        if let Some(heard) = self.refusal()? {
            return Ok(Some(heard));
        }
        let mut answer = [0; 64];
        match socket::recv(self.socket.as_raw_fd(), &mut answer, MsgFlags::MSG_DONTWAIT) {
            Ok(_) => Ok(Some(Heard::Answer)),
            // An error of an earlier request is in the error queue, too.
            Err(_) => self.refusal(),
        }
    }

    /// Returns the next error in the socket's error queue.
    fn refusal(&self) -> io::Result<Option<Heard>> {
        let mut bytes = [0; 64];
        let mut slices = [io::IoSliceMut::new(&mut bytes)];
        let mut control = vec![0; 512];
        let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
        let fd = self.socket.as_raw_fd();
        let message = match socket::recvmsg::<()>(fd, &mut slices, Some(&mut control), flags) {
            Ok(message) => message,
            Err(Errno::EAGAIN | Errno::EINTR) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        };
        for part in message.cmsgs()? {
            let (error, by) = match part {
                ControlMessageOwned::Ipv4RecvErr(error, by) => (error, by.map(v4)),
                ControlMessageOwned::Ipv6RecvErr(error, by) => (error, by.map(v6)),
                _ => continue,
            };
            return Ok(Some(self.meaning(&error, by)));
        }
        Ok(None)
    }

    fn meaning(&self, error: &libc::sock_extended_err, by: Option<IpAddr>) -> Heard {
        let is_from_network = [FROM_ICMP, FROM_ICMPV6].contains(&error.ee_origin);
        let by = by.filter(|_| is_from_network);
        let errno = error.ee_errno as i32;
        match by {
            Some(by) if TIME_IS_OVER.contains(&(error.ee_origin, error.ee_type)) => Heard::Hop(by),
            Some(by) if self.by_udp && by == self.to && errno == libc::ECONNREFUSED => {
                Heard::Answer
            }
            _ => Heard::Refusal { by, error: io::Error::from_raw_os_error(errno) },
        }
    }
}

fn v4(address: libc::sockaddr_in) -> IpAddr {
    Ipv4Addr::from(address.sin_addr.s_addr.to_ne_bytes()).into()
}

fn v6(address: libc::sockaddr_in6) -> IpAddr {
    Ipv6Addr::from(address.sin6_addr.s6_addr).into()
}
