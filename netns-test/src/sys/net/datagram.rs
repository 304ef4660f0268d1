//! Datagrams to one of several addresses of a node, and answers from the address that was asked.
//! Calls do not block. The sockets have the option `IP_PKTINFO` or `IPV6_RECVPKTINFO`.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;

use nix::errno::Errno;
use nix::sys::socket::{self, ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage};

/// Received datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrived {
    pub(crate) length: usize,
    pub(crate) from: SocketAddr,
    /// Address of this node to which it was sent.
    pub(crate) to: IpAddr,
}

/// Receives the next datagram.
pub(crate) fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<Arrived> {
    let mut space = nix::cmsg_space!(libc::in_pktinfo, libc::in6_pktinfo);
    let mut parts = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_DONTWAIT;
    let message = socket::recvmsg::<SockaddrStorage>(
        socket.as_raw_fd(),
        &mut parts,
        Some(&mut space),
        flags,
    )?;
    let from = message.address.as_ref().and_then(address_of).ok_or(Errno::EAFNOSUPPORT)?;
    let to = message.cmsgs()?.find_map(|one| match one {
        ControlMessageOwned::Ipv4PacketInfo(info) => {
            Some(IpAddr::from(info.ipi_spec_dst.s_addr.to_ne_bytes()))
        }
        ControlMessageOwned::Ipv6PacketInfo(info) => Some(IpAddr::from(info.ipi6_addr.s6_addr)),
        _ => None,
    });
    Ok(Arrived { length: message.bytes, from, to: to.ok_or(Errno::ENODATA)? })
}

/// Sends a datagram from this address of the node.
pub(crate) fn send(
    socket: &UdpSocket,
    bytes: &[u8],
    from: IpAddr,
    to: SocketAddr,
) -> io::Result<()> {
    match from {
        IpAddr::V4(from) => send_ipv4(socket, bytes, from, to),
        IpAddr::V6(from) => send_ipv6(socket, bytes, from, to),
    }
}

fn send_ipv4(socket: &UdpSocket, bytes: &[u8], from: Ipv4Addr, to: SocketAddr) -> io::Result<()> {
    let address = |ip: Ipv4Addr| libc::in_addr { s_addr: u32::from_ne_bytes(ip.octets()) };
    let any = address(Ipv4Addr::UNSPECIFIED);
    let info = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: address(from), ipi_addr: any };
    send_with(socket, bytes, ControlMessage::Ipv4PacketInfo(&info), to)
}

fn send_ipv6(socket: &UdpSocket, bytes: &[u8], from: Ipv6Addr, to: SocketAddr) -> io::Result<()> {
    let address = libc::in6_addr { s6_addr: from.octets() };
    let info = libc::in6_pktinfo { ipi6_ifindex: 0, ipi6_addr: address };
    send_with(socket, bytes, ControlMessage::Ipv6PacketInfo(&info), to)
}

fn send_with(
    socket: &UdpSocket,
    bytes: &[u8],
    control: ControlMessage<'_>,
    to: SocketAddr,
) -> io::Result<()> {
    let (parts, to) = ([IoSlice::new(bytes)], SockaddrStorage::from(to));
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    socket::sendmsg(socket.as_raw_fd(), &parts, &[control], flags, Some(&to))?;
    Ok(())
}

fn address_of(storage: &SockaddrStorage) -> Option<SocketAddr> {
    let ipv4 = storage.as_sockaddr_in().map(|one| SocketAddr::V4((*one).into()));
    ipv4.or_else(|| storage.as_sockaddr_in6().map(|one| SocketAddr::V6((*one).into())))
}
