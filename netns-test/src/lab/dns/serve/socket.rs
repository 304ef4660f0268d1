//! Sockets of a server in the network of a node.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::thread;

use crate::error::Failure;
use crate::lab::plan::dns::servers::EVERYWHERE;
use crate::sys::errno;
use crate::sys::net::listen;
use crate::sys::ns::ns_set::Place;

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

impl Bound {
    /// Opens the sockets in a network: on all addresses, or on that of the server everywhere, and
    /// those to ask others.
    pub(crate) fn open(
        (server, node): (usize, usize),
        (is_everywhere, asks): (bool, bool),
        (name, place): (&str, &Place),
    ) -> Result<Self, Failure> {
        let addresses: &[IpAddr] = match is_everywhere {
            true => &[IpAddr::V4(EVERYWHERE)],
            false => &[IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)],
        };
        inside(name, place, || {
            let mut bound = Self {
                server,
                node,
                datagrams: Vec::new(),
                listeners: Vec::new(),
                upstreams: Vec::new(),
            };
            for address in addresses {
                let at = SocketAddr::new(*address, PORT);
                bound.datagrams.extend(opened(listen::udp(at), "udp", (at, name))?);
                bound.listeners.extend(opened(listen::tcp(at), "tcp", (at, name))?);
            }
            let any = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
            for address in any.into_iter().filter(|_| asks) {
                let at = SocketAddr::new(address, 0);
                bound.upstreams.extend(opened(listen::udp(at), "udp", (at, name))?);
            }
            Ok(bound)
        })
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

/// Runs `work` on a new thread in a network.
fn inside<T: Send>(
    name: &str,
    place: &Place,
    work: impl FnOnce() -> Result<T, Failure> + Send,
) -> Result<T, Failure> {
    let failed = |step: &'static str| {
        move |error: io::Error| errno::failure(step, format!("the name server of {name}"), &error)
    };
    thread::scope(|scope| {
        let start = || {
            place.enter().map_err(failed("setns for"))?;
            work()
        };
        let thread = thread::Builder::new().name(name.to_owned()).spawn_scoped(scope, start);
        let ended = thread.map_err(failed("start a thread for"))?.join();
        ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
