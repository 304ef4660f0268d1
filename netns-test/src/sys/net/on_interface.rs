//! IPv4 sockets that belong to one interface (`SO_BINDTODEVICE` of socket(7)), on all its
//! addresses: what comes in by another one does not reach them.

use std::ffi::OsString;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, UdpSocket};
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{self, AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, sockopt};

use crate::sys::net::datagram;

/// Received datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrived {
    pub(crate) length: usize,
    pub(crate) from: SocketAddrV4,
    /// Address of this node that an answer comes from: for a multicast, that of the interface.
    pub(crate) to: Ipv4Addr,
}

/// Opens a UDP socket on a port of an interface. Calls do not block.
pub(crate) fn udp(interface: &str, port: u16) -> io::Result<UdpSocket> {
    let socket = open(interface, SockType::Datagram)?;
    socket::setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
    bind(&socket, port)?;
    Ok(socket.into())
}

/// Listens on a TCP port of an interface. Calls do not block.
pub(crate) fn tcp(interface: &str, port: u16) -> io::Result<TcpListener> {
    let socket = open(interface, SockType::Stream)?;
    socket::setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    bind(&socket, port)?;
    socket::listen(&socket, Backlog::new(128)?)?;
    Ok(socket.into())
}

/// Receives the next datagram.
pub(crate) fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<Arrived> {
    let all = datagram::receive(socket, buffer)?;
    let (SocketAddr::V4(from), IpAddr::V4(to)) = (all.from, all.to) else {
        return Err(Errno::EAFNOSUPPORT.into());
    };
    Ok(Arrived { length: all.length, from, to })
}

/// Sends a datagram from this address of the node.
pub(crate) fn send(
    socket: &UdpSocket,
    bytes: &[u8],
    from: Ipv4Addr,
    to: SocketAddrV4,
) -> io::Result<()> {
    datagram::send(socket, bytes, from.into(), to.into())
}

fn open(interface: &str, kind: SockType) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket::socket(AddressFamily::Inet, kind, flags, None)?;
    socket::setsockopt(&socket, sockopt::BindToDevice, &OsString::from(interface))?;
    Ok(socket)
}

fn bind(socket: &OwnedFd, port: u16) -> io::Result<()> {
    let all = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port);
    Ok(socket::bind(socket.as_raw_fd(), &SockaddrIn::from(all))?)
}
