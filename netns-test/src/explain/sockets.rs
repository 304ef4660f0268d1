//! What sockets and addresses are to each other. Pure.

use std::net::{IpAddr, SocketAddr};

use crate::evidence::facts::network::{Protocol, Socket, SocketState};

/// Returns whether a socket takes what is sent to an address.
pub(crate) fn accepts(socket: &Socket, to: SocketAddr) -> bool {
    let Some(local) = socket.local else { return false };
    let ip = plain(local.ip());
    let takes_all = match ip {
        IpAddr::V4(ip) => ip.is_unspecified() && to.is_ipv4(),
        IpAddr::V6(ip) => ip.is_unspecified() && (to.is_ipv6() || socket.is_v6_only != Some(true)),
    };
    local.port() == to.port() && (takes_all || ip == to.ip())
}

/// Returns whether an address is one of the loopback interface.
pub(crate) fn is_loopback(address: IpAddr) -> bool {
    plain(address).is_loopback()
}

/// Returns an IPv4 address that is written as an IPv6 one as what it is.
pub(crate) fn plain(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

/// Returns whether a socket accepts connections or datagrams of any peer.
pub(crate) fn is_server(socket: &Socket) -> bool {
    match socket.protocol {
        Protocol::Tcp => socket.state == SocketState::Listen,
        Protocol::Udp => socket.state == SocketState::Close && socket.local.is_some(),
        _ => false,
    }
}
