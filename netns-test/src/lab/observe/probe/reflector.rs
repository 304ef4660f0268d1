//! Server on a node that answers with the address it sees: a STUN server, and one for plain text.

use std::fmt;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::error::{Failure, Result, located};
use crate::lab::fabric::on_thread;
use crate::lab::observe::probe::stun::{Change, Endpoints, Request};
use crate::lab::run::node::Node;
use crate::sys::fds::Until;
use crate::sys::timer::Wakeup;
use crate::sys::{errno, fds, process};

/// Most TCP connections that a reflector keeps open until their clients close them.
const MOST_OPEN: usize = 1024;

/// Pause after an error of a socket, which may last: a full table of descriptors.
const PAUSE: Duration = Duration::from_millis(1);

/// Server on a node that answers with the source address it sees ([`Node::reflector`]). Dropping
/// it ends it.
#[must_use = "dropping it ends the reflector"]
pub struct Reflector {
    node: String,
    addresses: Vec<IpAddr>,
    ports: [u16; 2],
    wakeup: Arc<Wakeup>,
    thread: Option<JoinHandle<()>>,
    /// Process that has the thread.
    owner: process::Pid,
}

impl Node {
    /// Starts a reflector on all addresses that the node has now: a server of UDP and TCP on `port`
    /// and on its other port, the next one (65534 after 65535).
    ///
    /// - A UDP datagram is answered with its source, as text without a newline: `10.0.0.2:5000`.
    /// - A STUN Binding request (RFC 8489) gets a Binding response with MAPPED-ADDRESS,
    ///   XOR-MAPPED-ADDRESS, RESPONSE-ORIGIN and OTHER-ADDRESS. CHANGE-REQUEST and RESPONSE-PORT of
    ///   RFC 5780 are obeyed. The other address is the node's next one of the family, so a server
    ///   of RFC 5780 is a node with two addresses.
    /// - A TCP connection gets its source as text, and then the end of the stream.
    ///
    /// A power cut of the node ends what the reflector does.
    ///
    /// # Errors
    ///
    /// EADDRINUSE for a port that is in use; port 0; a node without addresses, or that is powered
    /// off; a thread that the kernel refuses.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use netns_test::{Lab, NodeId};
    /// # type Outcome = Result<(), Box<dyn std::error::Error>>;
    /// # fn test(lab: Lab, client: NodeId, server: NodeId) -> Outcome {
    /// use std::io::Read as _;
    /// use std::net::{SocketAddr, TcpStream};
    ///
    /// let _reflector = lab[server].reflector(3478)?;
    /// let mut connection = lab[client].run(|| TcpStream::connect("server:3478"))?;
    /// let mut seen = String::new();
    /// connection.read_to_string(&mut seen)?;
    /// let seen: SocketAddr = seen.parse()?; // Behind a NAT, its external address.
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn reflector(&self, port: u16) -> Result<Reflector> {
        located(self.start_reflector(port).map_err(Into::into))
    }

    fn start_reflector(&self, port: u16) -> Result<Reflector, Failure> {
        let object = format!("a reflector of {}", self.name());
        let other_port = match port {
            0 => return Err(Failure::new("start", object, "port 0 is no port of a server")),
            u16::MAX => port - 1,
            _ => port + 1,
        };
        let (ports, here) = ([port, other_port], self.here()?);
        let addresses = here.netlink.addresses()?;
        let addresses = addresses.iter().map(|one| one.cidr.address());
        let addresses: Vec<IpAddr> = addresses.filter(|one| !is_link_local(*one)).collect();
        if addresses.is_empty() {
            return Err(Failure::new("start", object, "the node has no address"));
        }
        let open = || Server::open(&addresses, ports, self.name());
        let server = on_thread::within(&here.place, self.name(), open)?;
        let refused = |error| errno::failure("start", object.as_str(), &error);
        let wakeup = Arc::new(Wakeup::new().map_err(refused)?);
        let end = Arc::clone(&wakeup);
        let thread = thread::Builder::new().name("lab reflector".into());
        let thread = Some(thread.spawn(move || server.run(&end)).map_err(refused)?);
        let (node, owner) = (self.name().to_owned(), process::id());
        Ok(Reflector { node, addresses, ports, wakeup, thread, owner })
    }
}

impl Reflector {
    /// Returns the port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.ports[0]
    }

    /// Returns the other port.
    #[must_use]
    pub fn other_port(&self) -> u16 {
        self.ports[1]
    }

    /// Returns the addresses on which the reflector answers, those of loopback among them.
    #[must_use]
    pub fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }
}

impl fmt::Debug for Reflector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("Reflector");
        text.field("node", &self.node).field("addresses", &self.addresses);
        text.field("ports", &self.ports).finish_non_exhaustive()
    }
}

impl Drop for Reflector {
    fn drop(&mut self) {
        let thread = self.thread.take();
        if self.owner != process::id() {
            // A forked child does not have the thread, and must not touch its handle.
            return std::mem::forget(thread);
        }
        // An eventfd that exists can always be written; without that the thread would not end.
        if let (Some(thread), Ok(())) = (thread, self.wakeup.wake()) {
            drop(thread.join());
        }
    }
}

/// Sockets of a reflector. Those of the address `at` have the positions `2 * at`, and, for the
/// other port, `2 * at + 1`.
struct Server {
    at: Vec<SocketAddr>,
    udp: Vec<UdpSocket>,
    tcp: Vec<TcpListener>,
    /// Connections that were answered, and that their clients have not closed.
    open: Vec<TcpStream>,
}

impl Server {
    /// Opens the sockets in the network of the calling thread.
    fn open(addresses: &[IpAddr], ports: [u16; 2], node: &str) -> Result<Self, Failure> {
        let at = addresses.iter().flat_map(|&one| ports.map(|port| SocketAddr::new(one, port)));
        let at: Vec<SocketAddr> = at.collect();
        let (mut udp, mut tcp) = (Vec::new(), Vec::new());
        for &one in &at {
            let failed = |protocol: &'static str| {
                let object = format!("{protocol} {one} of {node}");
                move |error| errno::failure("bind", &object, &error)
            };
            udp.push(UdpSocket::bind(one).map_err(failed("udp"))?);
            tcp.push(TcpListener::bind(one).map_err(failed("tcp"))?);
        }
        let nonblocking = || {
            udp.iter().try_for_each(|socket| socket.set_nonblocking(true))?;
            tcp.iter().try_for_each(|socket| socket.set_nonblocking(true))
        };
        let object = format!("the sockets of a reflector of {node}");
        nonblocking().map_err(|error| errno::failure("set", object, &error))?;
        Ok(Self { at, udp, tcp, open: Vec::new() })
    }

    /// Answers until `end` wakes up.
    fn run(mut self, end: &Wakeup) {
        loop {
            let udp = self.udp.iter().map(|socket| Until::Readable(socket.as_fd()));
            let tcp = self.tcp.iter().map(|socket| Until::Readable(socket.as_fd()));
            let open = self.open.iter().map(|socket| Until::Readable(socket.as_fd()));
            let ends = [Until::Readable(end.descriptor().as_fd())].into_iter();
            let all: Vec<_> = ends.chain(udp).chain(tcp).chain(open).collect();
            let Ok(ready) = fds::wait(&all, None) else {
                thread::sleep(PAUSE);
                continue;
            };
            let is_ready: Vec<bool> = ready.iter().map(|one| one.readable || one.hung_up).collect();
            let (ends, rest) = is_ready.split_at(1);
            if ends[0] {
                return;
            }
            let (udp, rest) = rest.split_at(self.udp.len());
            let (tcp, open) = rest.split_at(self.tcp.len());
            let mut open = open.iter();
            self.open.retain_mut(|one| !open.next().is_some_and(|ready| *ready) || drain(one));
            let positions = |ready: &[bool]| -> Vec<usize> {
                ready.iter().enumerate().filter(|(_, ready)| **ready).map(|(at, _)| at).collect()
            };
            positions(udp).into_iter().for_each(|at| self.answer(at));
            positions(tcp).into_iter().for_each(|at| self.accept(at));
        }
    }

    /// Answers the next datagram of a socket. One that cannot be sent is as one that is lost.
    fn answer(&self, at: usize) {
        let mut bytes = [0; 2048];
        let Ok((length, seen)) = self.udp[at].recv_from(&mut bytes) else { return };
        let Some(request) = Request::parse(&bytes[..length]) else {
            drop(self.udp[at].send_to(seen.to_string().as_bytes(), seen));
            return;
        };
        let to = SocketAddr::new(seen.ip(), request.response_port.unwrap_or(seen.port()));
        let both = Change { address: true, port: true };
        let (from, answer) = match self.changed(at, request.change) {
            _ if !request.unknown.is_empty() => (at, request.unknown_attributes(&request.unknown)),
            None => (at, request.no_other_address()),
            Some(from) => {
                let other = self.changed(at, both).map(|other| self.at[other]);
                (from, request.success(&Endpoints { seen, origin: self.at[from], other }))
            }
        };
        drop(self.udp[from].send_to(&answer, to));
    }

    /// Returns the position of the socket that answers in place of the one at `at`.
    fn changed(&self, at: usize, change: Change) -> Option<usize> {
        let is_alike = |other: &&usize| {
            let [own, other] = [at, **other].map(|one| self.at[one].ip());
            own.is_ipv4() == other.is_ipv4() && own.is_loopback() == other.is_loopback()
        };
        let count = self.at.len();
        let others: Vec<usize> = (1..count / 2).map(|step| (at + 2 * step) % count).collect();
        let from = if change.address { *others.iter().find(is_alike)? } else { at };
        Some(if change.port { from ^ 1 } else { from })
    }

    fn accept(&mut self, at: usize) {
        let Ok((mut stream, seen)) = self.tcp[at].accept() else {
            return thread::sleep(PAUSE);
        };
        // The buffer of a new connection has room for the answer.
        let answered = stream.write_all(seen.to_string().as_bytes());
        let answered = answered.and_then(|()| stream.shutdown(Shutdown::Write));
        if answered.and_then(|()| stream.set_nonblocking(true)).is_ok() {
            // If it was closed now, and the client had sent something, a reset would overtake the
            // answer.
            self.open.push(stream);
        }
        if self.open.len() > MOST_OPEN {
            self.open.remove(0);
        }
    }
}

/// Reads what a client has sent. Returns false at the end of the stream.
fn drain(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0; 4096]) {
        Ok(length) => length > 0,
        Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
    }
}

/// Returns whether an address needs the name of an interface, too.
fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.segments()[0] & 0xffc0 == 0xfe80)
}
