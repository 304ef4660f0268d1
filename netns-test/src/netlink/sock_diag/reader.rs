//! Readings of the sockets of one network, by the cheapest way that works.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use crate::error::Failure;
use crate::netlink::sock_diag::dump::dump;
use crate::netlink::sock_diag::proc_files;
use crate::netlink::sock_diag::request::MEMORY;
use crate::netlink::sock_diag::socket::{Protocol, Socket};
use crate::netlink::sock_diag::wanted::Wanted;
use crate::sys::errno;
use crate::sys::net::netlink;

/// The ways to read one network. A thread that reads must be in that network, for `/proc`.
#[derive(Debug)]
pub(crate) struct Reader {
    socket: Option<OwnedFd>,
    /// Why `sock_diag` is not used, for TCP and for UDP. A kernel that lacks a module is not asked
    /// again: each time it would look for the file of the module.
    refusals: [Option<String>; 2],
}

impl Reader {
    /// Opens a netlink socket in the calling thread's network namespace.
    pub(crate) fn open() -> Self {
        match netlink::open(netlink::SOCK_DIAG) {
            Ok(socket) => Self { socket: Some(socket), refusals: [None, None] },
            Err(error) => {
                let why = errno::describe(&error);
                Self { socket: None, refusals: [Some(why.clone()), Some(why)] }
            }
        }
    }

    /// Reads the wanted sockets, TCP first.
    ///
    /// # Errors
    ///
    /// If neither `sock_diag` nor `/proc` can be read: the error of the file, with the other as
    /// advice.
    pub(crate) fn read(&mut self, wanted: Wanted) -> Result<Vec<Socket>, Failure> {
        let mut all = self.read_protocol(0, Protocol::Tcp, wanted)?;
        all.extend(self.read_protocol(1, Protocol::Udp, wanted)?);
        Ok(all)
    }

    fn read_protocol(
        &mut self,
        at: usize,
        protocol: Protocol,
        wanted: Wanted,
    ) -> Result<Vec<Socket>, Failure> {
        let refusal = &mut self.refusals[at];
        if let (Some(socket), None) = (&self.socket, &refusal) {
            match dump(socket.as_fd(), protocol, (wanted.states(protocol), MEMORY)) {
                Ok(found) => return Ok(found),
                Err(error) => *refusal = Some(errno::describe(&error)),
            }
        }
        let refusal = refusal.as_deref().unwrap_or_default();
        let advise = |failure: Failure| {
            failure.advise(format!("sock_diag, which needs no file, is refused: {refusal}"))
        };
        read_files(protocol, wanted).map_err(advise)
    }
}

/// Reads the wanted sockets of a protocol in the calling thread's network namespace.
fn read_files(protocol: Protocol, wanted: Wanted) -> Result<Vec<Socket>, Failure> {
    let states = wanted.states(protocol);
    let files = match protocol {
        _ if states == 0 => return Ok(Vec::new()),
        Protocol::Tcp => ["tcp", "tcp6"],
        Protocol::Udp => ["udp", "udp6"],
    };
    let mut all = Vec::new();
    for file in files {
        let path = format!("/proc/thread-self/net/{file}");
        match fs::read_to_string(&path) {
            Ok(text) => {
                all.extend(text.lines().filter_map(|line| proc_files::parse(protocol, line)));
            }
            // The kernel has no IPv6.
            Err(error) if error.kind() == io::ErrorKind::NotFound && file.ends_with('6') => {}
            Err(error) => return Err(errno::failure("read", path, &error)),
        }
    }
    all.retain(|socket| states & 1 << (socket.state & 31) != 0);
    Ok(all)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
    use std::time::{Duration, Instant};

    use super::*;
    use crate::netlink::sock_diag::socket::{CLOSED, ESTABLISHED, LISTENING};

    const LIMIT: Duration = Duration::from_secs(60);

    fn by_files() -> Reader {
        Reader { socket: None, refusals: [None, None] }
    }

    /// Returns the sockets with one of these ports, without what only `sock_diag` knows.
    fn read(reader: &mut Reader, wanted: Wanted, ports: &[u16]) -> Vec<Socket> {
        let mut all = reader.read(wanted).unwrap();
        let is_own = |address: SocketAddr| ports.contains(&address.port());
        all.retain(|socket| is_own(socket.local) || is_own(socket.remote));
        for socket in &mut all {
            (socket.backlog, socket.interface, socket.is_ipv6_only) = (None, None, None);
            socket.drops = socket.drops.filter(|_| socket.protocol == Protocol::Udp);
        }
        all.sort_unstable_by_key(|one| (one.protocol, one.local, one.remote, one.state));
        all
    }

    /// Sockets in many states, and their ports.
    struct Held {
        ports: Vec<u16>,
        _streams: Vec<TcpStream>,
        _listeners: Vec<TcpListener>,
        _sockets: Vec<UdpSocket>,
    }

    impl Held {
        fn open() -> Self {
            let (mut streams, mut listeners) = (Vec::new(), Vec::new());
            for address in ["127.0.0.1:0", "[::1]:0", "[::]:0"] {
                // A machine may lack IPv6.
                let Ok(listener) = TcpListener::bind(address) else { continue };
                let mut target = listener.local_addr().unwrap();
                if target.ip().is_unspecified() {
                    target.set_ip([127, 0, 0, 1].into());
                }
                let connect = || TcpStream::connect(target).unwrap();
                let mut pairs: Vec<[TcpStream; 2]> =
                    (0..3).map(|_| [connect(), listener.accept().unwrap().0]).collect();
                // One stays established, with bytes that are not read.
                pairs[0][0].write_all(b"unread").unwrap();
                // One is half closed (FIN-WAIT-2, CLOSE-WAIT), one is in TIME-WAIT.
                pairs[1][0].shutdown(std::net::Shutdown::Write).unwrap();
                drop(pairs.pop());
                streams.extend(pairs.into_iter().flatten());
                // One is not accepted.
                streams.push(connect());
                listeners.push(listener);
            }
            let sockets = Self::sockets();
            let of_tcp = listeners.iter().map(|one| one.local_addr().unwrap().port());
            let of_udp = sockets.iter().map(|one| one.local_addr().unwrap().port());
            let ports = of_tcp.chain(of_udp).collect();
            Self { ports, _streams: streams, _listeners: listeners, _sockets: sockets }
        }

        fn sockets() -> Vec<UdpSocket> {
            let bind = || UdpSocket::bind("127.0.0.1:0").unwrap();
            let (full, connected) = (bind(), bind());
            connected.connect(full.local_addr().unwrap()).unwrap();
            // More than the buffer has room for (net.core.rmem_default, 208 KiB).
            (0..2000).for_each(|_| drop(connected.send(&[0; 1400])));
            let wide = UdpSocket::bind("[::]:0");
            [full, connected].into_iter().chain(wide).collect()
        }
    }

    #[test]
    fn both_ways_show_the_same_sockets() {
        let (held, start) = (Held::open(), Instant::now());
        let mut reader = Reader::open();
        loop {
            let found = read(&mut reader, Wanted::All, &held.ports);
            let by_files = read(&mut by_files(), Wanted::All, &held.ports);
            // Sockets that were closed change their state a moment later.
            if found == by_files && held.has_all(&found) {
                break;
            }
            assert!(start.elapsed() < LIMIT, "{found:#?}\n{by_files:#?}");
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(reader.refusals, [None, None]);
        for wanted in [Wanted::Services, Wanted::Connections] {
            let found = read(&mut reader, wanted, &held.ports);
            assert_eq!(found, read(&mut by_files(), wanted, &held.ports));
            assert!(!found.is_empty());
        }
    }

    impl Held {
        /// Returns whether all that was opened is there.
        fn has_all(&self, found: &[Socket]) -> bool {
            let states: Vec<u8> = found.iter().map(|socket| socket.state).collect();
            let is_full = |socket: &Socket| socket.drops.is_some_and(|drops| drops > 0);
            let is_waiting = |socket: &Socket| socket.state == LISTENING && socket.unread == 1;
            let has_unread = |socket: &Socket| socket.state == ESTABLISHED && socket.unread == 6;
            // The others: FIN-WAIT-2, TIME-WAIT, CLOSE-WAIT.
            [ESTABLISHED, 5, 6, CLOSED, 8, LISTENING].iter().all(|state| states.contains(state))
                && found.iter().any(is_full)
                && found.iter().any(is_waiting)
                && found.iter().any(has_unread)
                && found.iter().any(|socket| socket.inode != 0)
        }
    }

    #[test]
    fn a_refused_protocol_is_read_from_its_files() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ports = [listener.local_addr().unwrap().port()];
        let mut reader = Reader::open();
        // A socket of another protocol refuses the request.
        reader.socket = Some(netlink::open(16).unwrap());
        assert_eq!(read(&mut reader, Wanted::Services, &ports).len(), 1);
        assert!(reader.refusals.iter().all(Option::is_some), "{reader:?}");
        assert_eq!(read(&mut reader, Wanted::Services, &ports).len(), 1);
    }
}
