//! Sockets of a server in the network of a node.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};

use crate::error::Failure;
use crate::lab::plan::dns::servers::EVERYWHERE;
use crate::sys::errno;
use crate::sys::net::listen;

/// Port of name servers.
pub(crate) const PORT: u16 = 53;

/// Sockets of one server on one node.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) server: usize,
    pub(crate) node: usize,
    pub(crate) datagrams: Vec<UdpSocket>,
    pub(crate) listeners: Vec<TcpListener>,
    /// Sockets to ask other servers, of each family.
    pub(crate) upstreams: Vec<UdpSocket>,
}

/// Sockets that a server needs on a node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) server: usize,
    pub(crate) node: usize,
    /// Whether it is the server of all nodes.
    pub(crate) is_everywhere: bool,
    /// Whether it asks other servers.
    pub(crate) asks: bool,
}

impl Bound {
    /// Opens the sockets in the network of the calling thread, that of the node `name`: on all
    /// addresses, or on that of the server everywhere, and those to ask others.
    pub(crate) fn open(wanted: &Wanted, name: &str) -> Result<Self, Failure> {
        let any = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
        let everywhere = [IpAddr::V4(EVERYWHERE)];
        let addresses = if wanted.is_everywhere { &everywhere[..] } else { &any };
        let &Wanted { server, node, .. } = wanted;
        let [datagrams, upstreams] = [const { Vec::new() }; 2];
        let mut bound = Self { server, node, datagrams, listeners: Vec::new(), upstreams };
        for address in addresses {
            let at = SocketAddr::new(*address, PORT);
            bound.datagrams.extend(opened(listen::udp(at), "udp", (at, name))?);
            bound.listeners.extend(opened(listen::tcp(at), "tcp", (at, name))?);
        }
        for address in any.into_iter().filter(|_| wanted.asks) {
            let at = SocketAddr::new(address, 0);
            bound.upstreams.extend(opened(listen::udp(at), "udp", (at, name))?);
        }
        Ok(bound)
    }
}

/// Returns an opened socket; none of IPv6 on a machine without that.
fn opened<T>(
    result: io::Result<T>,
    protocol: &str,
    (at, name): (SocketAddr, &str),
) -> Result<Option<T>, Failure> {
    let error = match result {
        Ok(socket) => return Ok(Some(socket)),
        Err(error) => error,
    };
    let has_none = [errno::EAFNOSUPPORT, errno::EADDRNOTAVAIL];
    if at.is_ipv6() && error.raw_os_error().is_some_and(|code| has_none.contains(&code)) {
        return Ok(None);
    }
    let failure = errno::failure("bind", format!("{protocol} {at} of {name}"), &error);
    Err(match error.raw_os_error() {
        Some(errno::EADDRINUSE) => {
            failure.advise("a program has the port of the lab's name server: end it first")
        }
        _ => failure,
    })
}
