//! Sockets of a node, read from `/proc/thread-self/net` (proc(5)). Other than `sock_diag(7)`, these
//! files need no kernel module.

use std::fmt;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::error::Result;
use crate::sys::errno;

/// Transport protocol of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Protocol {
    /// TCP: streams.
    Tcp,
    /// UDP: datagrams.
    Udp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Socket {
    protocol: Protocol,
    local: SocketAddr,
    remote: SocketAddr,
    /// State, by the numbers of the kernel's `include/net/tcp_states.h`.
    state: u8,
    inode: u32,
    /// Datagrams that were dropped, of UDP.
    drops: Option<u64>,
}

const ESTABLISHED: u8 = 1;
/// State of a UDP socket that is not connected.
const CLOSED: u8 = 7;
const LISTENING: u8 = 10;

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

/// Reads the sockets in the calling thread's network namespace, which is that of `host`.
pub(crate) fn read(host: &str) -> Result<Vec<Socket>> {
    let files = [
        (Protocol::Tcp, "tcp"),
        (Protocol::Tcp, "tcp6"),
        (Protocol::Udp, "udp"),
        (Protocol::Udp, "udp6"),
    ];
    let mut all = Vec::new();
    for (protocol, file) in files {
        let path = format!("/proc/thread-self/net/{file}");
        match fs::read_to_string(&path) {
            Ok(text) => all.extend(text.lines().filter_map(|line| parse(protocol, line))),
            // The kernel has no IPv6.
            Err(error) if error.kind() == io::ErrorKind::NotFound && file.ends_with('6') => {}
            Err(error) => {
                return Err(errno::failure("read", format!("{path} of {host}"), &error).into());
            }
        }
    }
    Ok(all)
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
    pub(crate) fn protocol(&self) -> Protocol {
        self.protocol
    }

    pub(crate) fn local(&self) -> SocketAddr {
        self.local
    }

    /// Returns the remote address, if the socket is connected.
    pub(crate) fn remote(&self) -> Option<SocketAddr> {
        Some(self.remote).filter(|remote| remote.port() != 0 || !remote.ip().is_unspecified())
    }

    /// Returns the kernel's number of the state.
    pub(crate) fn state(&self) -> u8 {
        self.state
    }

    /// Returns the inode number, by which `sock_diag(7)` knows the socket; 0 once it is closed.
    pub(crate) fn inode(&self) -> u32 {
        self.inode
    }

    /// Returns the number of datagrams dropped as the receive buffer was full; none for TCP.
    pub(crate) fn drops(&self) -> Option<u64> {
        self.drops
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

/// Reads a line as `  0: 0100007F:0050 00000000:0000 0A ...`. Returns none for the heading.
fn parse(protocol: Protocol, line: &str) -> Option<Socket> {
    let mut fields = line.split_whitespace().skip(1);
    let (local, remote) = (address(fields.next()?)?, address(fields.next()?)?);
    let state = u8::from_str_radix(fields.next()?, 16).ok()?;
    // Queues, timer, retransmissions, user and timeout are between.
    let inode = fields.nth(5).and_then(|field| field.parse().ok()).unwrap_or(0);
    let drops = fields.nth(2).filter(|_| protocol == Protocol::Udp);
    let drops = drops.and_then(|field| field.parse().ok());
    Some(Socket { protocol, local, remote, state, inode, drops })
}

/// Reads an address, of which the kernel prints each 32-bit word in the byte order of the machine.
fn address(text: &str) -> Option<SocketAddr> {
    let (words, port) = text.split_once(':')?;
    let word = |at: usize| {
        let digits = words.get(at * 8..at * 8 + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    let ip = match words.len() {
        8 => IpAddr::from(word(0)?),
        _ => {
            let all = [word(0)?, word(1)?, word(2)?, word(3)?].concat();
            let bytes: [u8; 16] = all.try_into().ok()?;
            // An IPv6 socket with an IPv4 connection has a mapped address.
            IpAddr::from(bytes).to_canonical()
        }
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Prints an address as the kernel does.
    fn printed(address: SocketAddr) -> String {
        let octets = match address.ip() {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        let words = octets.chunks(4).map(|word| u32::from_ne_bytes(word.try_into().unwrap()));
        let words: String = words.map(|word| format!("{word:08X}")).collect();
        format!("{words}:{:04X}", address.port())
    }

    #[test]
    fn lines_are_read() {
        for (given, seen) in [
            ("10.0.0.1:80", "10.0.0.1:80"),
            ("[fd00::1]:65535", "[fd00::1]:65535"),
            ("[::ffff:10.0.0.1]:80", "10.0.0.1:80"),
            ("[::]:0", "[::]:0"),
        ] {
            let (given, seen): (SocketAddr, _) = (given.parse().unwrap(), seen.parse().unwrap());
            let line = format!("   7: {} {} 01 00000000:0", printed(given), printed(given));
            let mut expected = Socket {
                protocol: Protocol::Tcp,
                local: seen,
                remote: seen,
                state: ESTABLISHED,
                inode: 0,
                drops: None,
            };
            assert_eq!(parse(Protocol::Tcp, &line), Some(expected.clone()));
            let line = format!("{line}0000000 00:00000000 00000000  1000 0 4711 2 0000 9");
            expected.inode = 4711;
            assert_eq!(parse(Protocol::Tcp, &line), Some(expected.clone()));
            (expected.protocol, expected.drops) = (Protocol::Udp, Some(9));
            assert_eq!(parse(Protocol::Udp, &line), Some(expected));
        }
        assert_eq!(parse(Protocol::Tcp, "  sl  local_address rem_address   st"), None);
        assert_eq!(parse(Protocol::Tcp, ""), None);
    }

    #[test]
    fn connections_match_by_either_end() {
        let (local, remote) = ("10.0.0.1:80".parse().unwrap(), "10.0.0.2:4000".parse().unwrap());
        let protocol = Protocol::Tcp;
        let (state, inode, drops) = (ESTABLISHED, 0, None);
        let mut socket = Socket { protocol, local, remote, state, inode, drops };
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
        let at = |local: &str| Socket {
            protocol: Protocol::Tcp,
            local: local.parse().unwrap(),
            remote: "0.0.0.0:0".parse().unwrap(),
            state: LISTENING,
            drops: None,
            inode: 0,
        };
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
