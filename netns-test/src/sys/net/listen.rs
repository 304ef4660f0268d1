//! Sockets of a server on a port of one family, on all addresses or on one. Calls do not block.
//! Datagrams are received with the address that was asked.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::sys::socket::{
    self, AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, sockopt,
};

/// Bytes of datagrams that wait, which the kernel limits.
const BUFFER: usize = 4 << 20;

/// Opens a UDP socket.
pub(crate) fn udp(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = open(address, SockType::Datagram)?;
    // As much as the machine allows: many clients may send at once.
    socket::setsockopt(&socket, sockopt::RcvBuf, &BUFFER)?;
    match address {
        SocketAddr::V4(_) => socket::setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?,
        SocketAddr::V6(_) => socket::setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?,
    }
    socket::bind(socket.as_raw_fd(), &SockaddrStorage::from(address))?;
    Ok(socket.into())
}

/// Listens for TCP connections.
pub(crate) fn tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = open(address, SockType::Stream)?;
    socket::setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    socket::bind(socket.as_raw_fd(), &SockaddrStorage::from(address))?;
    socket::listen(&socket, Backlog::new(1_024)?)?;
    Ok(socket.into())
}

fn open(address: SocketAddr, kind: SockType) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::Inet,
        SocketAddr::V6(_) => AddressFamily::Inet6,
    };
    let socket = socket::socket(family, kind, flags, None)?;
    if address.is_ipv6() {
        socket::setsockopt(&socket, sockopt::Ipv6V6Only, &true)?;
    }
    Ok(socket)
}
