//! Sockets of a node: what a wait looks for, and the lines that an error has of them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::error::Failure;
pub use crate::netlink::sock_diag::Protocol;
use crate::netlink::sock_diag::{CLOSED, ESTABLISHED, LISTENING, Reader, Socket, Wanted};

/// End of a connection, local or remote: a port (`443`), an address (`IpAddr`), or both
/// (`SocketAddr`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    address: Option<IpAddr>,
    port: Option<u16>,
}

impl From<u16> for Endpoint {
    fn from(port: u16) -> Self {
        Self { address: None, port: Some(port) }
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self { address: Some(address.ip()), port: Some(address.port()) }
    }
}

impl From<IpAddr> for Endpoint {
    fn from(address: IpAddr) -> Self {
        Self { address: Some(address), port: None }
    }
}

impl From<Ipv4Addr> for Endpoint {
    fn from(address: Ipv4Addr) -> Self {
        IpAddr::from(address).into()
    }
}

impl From<Ipv6Addr> for Endpoint {
    fn from(address: Ipv6Addr) -> Self {
        IpAddr::from(address).into()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.address, self.port) {
            (Some(address), Some(port)) => SocketAddr::new(address, port).fmt(f),
            (Some(address), None) => address.fmt(f),
            (None, port) => write!(f, "port {}", port.unwrap_or(0)),
        }
    }
}

/// Reads the sockets of `host`, in whose network the calling thread is.
pub(crate) fn read(
    reader: &mut Reader,
    wanted: Wanted,
    host: &str,
) -> Result<Vec<Socket>, Failure> {
    let of_host =
        |failure: Failure| Failure { object: format!("{} of {host}", failure.object), ..failure };
    reader.read(wanted).map_err(of_host)
}

/// Returns a line for an error: `listening on server: tcp 0.0.0.0:80, udp [::]:53`.
pub(crate) fn shown(what: &str, host: &str, sockets: &[String]) -> String {
    let list = if sockets.is_empty() { "nothing".to_owned() } else { sockets.join(", ") };
    format!("{what} {host}: {list}")
}

/// Returns lines for an error: the listening sockets of a node, and why one at the wanted port does
/// not count.
pub(crate) fn services(
    sockets: &[Socket],
    host: &str,
    protocol: Protocol,
    wanted: Endpoint,
) -> Vec<String> {
    let all: Vec<_> = sockets.iter().filter_map(Socket::service).collect();
    let at_loopback = |socket: &&Socket| {
        let any = Endpoint { address: Some(socket.local.ip()), ..wanted };
        wanted.address.is_none() && socket.serves(protocol, any)
    };
    let unreached = sockets.iter().filter(at_loopback).filter_map(|socket| {
        let verb = if protocol == Protocol::Tcp { "listens on" } else { "is bound to" };
        socket.service().map(|own| {
            format!(
                "{own} {verb} loopback only, which other nodes cannot reach; bind it to 0.0.0.0 or ::, or \
                 wait for {} itself",
                socket.local
            )
        })
    });
    [shown("listening on", host, &all)].into_iter().chain(unreached).collect()
}

impl Socket {
    /// Returns the remote address, if the socket is connected.
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        Some(self.remote).filter(|remote| remote.port() != 0 || !remote.ip().is_unspecified())
    }

    /// Returns whether packets to this end reach the socket. A port alone means packets of other
    /// nodes, which cannot reach loopback.
    pub(crate) fn serves(&self, protocol: Protocol, end: Endpoint) -> bool {
        let own = self.local.ip();
        let is_at = |wanted: IpAddr| {
            own == wanted || own.is_unspecified() && (own.is_ipv6() || wanted.is_ipv4())
        };
        self.protocol == protocol
            && self.is_open()
            && end.port.is_none_or(|port| port == self.local.port())
            && end.address.map_or(!own.is_loopback(), is_at)
    }

    /// Returns `tcp 0.0.0.0:80` for a socket that accepts packets from any peer.
    pub(crate) fn service(&self) -> Option<String> {
        self.is_open().then(|| format!("{} {}", self.protocol, self.local))
    }

    /// Returns whether the socket is an established TCP connection with this local or remote end.
    pub(crate) fn is_established(&self, end: Endpoint) -> bool {
        let is_it = |own: SocketAddr| {
            end.address.is_none_or(|address| address == own.ip())
                && end.port.is_none_or(|port| port == own.port())
        };
        self.protocol == Protocol::Tcp
            && self.state == ESTABLISHED
            && (is_it(self.local) || is_it(self.remote))
    }

    /// Returns `10.0.0.1:80 - 10.0.0.2:51234 ESTABLISHED` for a TCP socket that is not listening.
    pub(crate) fn connection(&self) -> Option<String> {
        const STATES: [&str; 13] = [
            "0",
            "ESTABLISHED",
            "SYN_SENT",
            "SYN_RECV",
            "FIN_WAIT1",
            "FIN_WAIT2",
            "TIME_WAIT",
            "CLOSE",
            "CLOSE_WAIT",
            "LAST_ACK",
            "LISTEN",
            "CLOSING",
            "NEW_SYN_RECV",
        ];
        let is_one = self.protocol == Protocol::Tcp && self.state != LISTENING;
        let state = STATES.get(usize::from(self.state)).unwrap_or(&"?");
        is_one.then(|| format!("{} - {} {state}", self.local, self.remote))
    }

    fn is_open(&self) -> bool {
        match self.protocol {
            Protocol::Tcp => self.state == LISTENING,
            Protocol::Udp => self.state == CLOSED,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(state: u8, local: &str, remote: &str) -> Socket {
        Socket {
            protocol: Protocol::Tcp,
            local: local.parse().unwrap(),
            remote: remote.parse().unwrap(),
            state,
            inode: 0,
            uid: 0,
            unread: 0,
            unsent: 0,
            backlog: None,
            interface: None,
            is_ipv6_only: None,
            retransmits: 0,
            came: None,
            drops: None,
        }
    }

    #[test]
    fn connections_match_by_either_end() {
        let mut socket = socket(ESTABLISHED, "10.0.0.1:80", "10.0.0.2:4000");
        let (local, remote) = (socket.local, socket.remote);
        let ends = |socket: &Socket| {
            [80.into(), 4000.into(), local.ip().into(), remote.into(), 81.into(), local.into()]
                .map(|end: Endpoint| socket.is_established(end))
        };
        assert_eq!(ends(&socket), [true, true, true, true, false, true]);
        let crossed: SocketAddr = "10.0.0.1:4000".parse().unwrap();
        assert!(!socket.is_established(crossed.into()));
        assert_eq!(socket.connection().unwrap(), "10.0.0.1:80 - 10.0.0.2:4000 ESTABLISHED");
        assert_eq!(socket.service(), None);
        socket.state = LISTENING;
        assert_eq!(ends(&socket), [false; 6]);
        assert!(socket.serves(Protocol::Tcp, 80.into()));
        assert!(!socket.serves(Protocol::Udp, 80.into()));
        assert_eq!(socket.service().unwrap(), "tcp 10.0.0.1:80");
    }

    #[test]
    fn a_port_alone_means_a_socket_that_other_nodes_reach() {
        let at = |local: &str| socket(LISTENING, local, "0.0.0.0:0");
        let serves = |local: &str, end: Endpoint| at(local).serves(Protocol::Tcp, end);
        for reached in ["0.0.0.0:80", "[::]:80", "10.0.0.1:80", "[fe80::1]:80"] {
            assert!(serves(reached, 80.into()), "{reached}");
        }
        for local in ["127.0.0.1:80", "127.0.0.53:80", "[::1]:80", "0.0.0.0:81"] {
            assert!(!serves(local, 80.into()), "{local}");
        }
        let end = |text: &str| Endpoint::from(text.parse::<SocketAddr>().unwrap());
        assert!(serves("127.0.0.1:80", end("127.0.0.1:80")));
        assert!(serves("0.0.0.0:80", end("127.0.0.1:80")));
        assert!(serves("[::]:80", end("127.0.0.1:80")));
        assert!(!serves("127.0.0.1:80", end("127.0.0.2:80")));
        assert!(!serves("0.0.0.0:80", end("[::1]:80")));
        let shown = services(&[at("127.0.0.1:80")], "server", Protocol::Tcp, 80.into());
        assert_eq!(shown.len(), 2);
        assert!(shown[1].starts_with("tcp 127.0.0.1:80 listens on loopback only"), "{shown:?}");
    }
}
