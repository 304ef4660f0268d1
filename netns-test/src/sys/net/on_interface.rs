//! IPv4 sockets that belong to one interface (`SO_BINDTODEVICE` of socket(7)), on all its
//! addresses: what comes in by another one does not reach them.

use std::ffi::OsString;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, UdpSocket};
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    self, AddressFamily, Backlog, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag,
    SockType, SockaddrIn, sockopt,
};

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
    let mut space = nix::cmsg_space!(libc::in_pktinfo);
    let mut parts = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_DONTWAIT;
    let message =
        socket::recvmsg::<SockaddrIn>(socket.as_raw_fd(), &mut parts, Some(&mut space), flags)?;
    let from = message.address.ok_or(Errno::EAFNOSUPPORT)?;
    let to = message.cmsgs()?.find_map(|one| match one {
        ControlMessageOwned::Ipv4PacketInfo(info) => Some(info.ipi_spec_dst.s_addr),
        _ => None,
    });
    let to = Ipv4Addr::from(to.ok_or(Errno::ENODATA)?.to_ne_bytes());
    Ok(Arrived { length: message.bytes, from: SocketAddrV4::new(from.ip(), from.port()), to })
}

/// Sends a datagram from this address of the node.
pub(crate) fn send(
    socket: &UdpSocket,
    bytes: &[u8],
    from: Ipv4Addr,
    to: SocketAddrV4,
) -> io::Result<()> {
    let address = |ip: Ipv4Addr| libc::in_addr { s_addr: u32::from_ne_bytes(ip.octets()) };
    let any = address(Ipv4Addr::UNSPECIFIED);
    let info = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: address(from), ipi_addr: any };
    let control = [ControlMessage::Ipv4PacketInfo(&info)];
    let (parts, to) = ([IoSlice::new(bytes)], SockaddrIn::from(to));
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    socket::sendmsg(socket.as_raw_fd(), &parts, &control, flags, Some(&to))?;
    Ok(())
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
