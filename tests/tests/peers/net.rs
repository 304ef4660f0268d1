//! Labs, and traffic between two of their nodes.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use netns_test::lab::{Action, Impairment, Link, LinkRule, LostPacket, Packet};
use netns_test::{Lab, LinkId, NodeId, Topology};
use netns_test_tests::eventually;

pub(crate) const MS: Duration = Duration::from_millis(1);

/// Longest wait for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// Time for which nothing comes that must not.
const QUIET: Duration = Duration::from_millis(50);

/// A client and a server, with one link.
pub(crate) struct Pair {
    pub(crate) lab: Lab,
    pub(crate) client: NodeId,
    pub(crate) server: NodeId,
    pub(crate) wan: LinkId,
}

/// Two nodes of a lab, and the family over which they talk.
#[derive(Clone, Copy)]
pub(crate) struct Ends<'a> {
    pub(crate) lab: &'a Lab,
    pub(crate) from: NodeId,
    pub(crate) to: NodeId,
    pub(crate) is_ipv4: bool,
}

impl Pair {
    pub(crate) fn new(impairment: Impairment) -> Self {
        let mut net = Topology::new();
        let (client, server) = (net.host("client"), net.host("server"));
        let wan = net.link(client, server).name("wan").impair(impairment).id();
        let lab = net.build().unwrap();
        Self { lab, client, server, wan }
    }

    pub(crate) fn wan(&self) -> &Link {
        &self.lab[self.wan]
    }

    /// Returns the client and the server, over IPv4 and over IPv6.
    pub(crate) fn both(&self) -> [Ends<'_>; 2] {
        both(&self.lab, self.client, self.server)
    }
}

/// Returns two nodes as the ends of traffic over IPv4 and over IPv6.
pub(crate) fn both(lab: &Lab, from: NodeId, to: NodeId) -> [Ends<'_>; 2] {
    [true, false].map(|is_ipv4| Ends { lab, from, to, is_ipv4 })
}

impl Ends<'_> {
    pub(crate) fn reversed(self) -> Self {
        Self { from: self.to, to: self.from, ..self }
    }

    fn address(self, node: NodeId) -> IpAddr {
        let node = &self.lab[node];
        if self.is_ipv4 { node.ipv4().into() } else { node.ipv6().into() }
    }

    /// Returns UDP sockets on the two nodes, which are connected to each other.
    pub(crate) fn sockets(self) -> [UdpSocket; 2] {
        let any: IpAddr = if self.is_ipv4 { [0; 4].into() } else { [0; 16].into() };
        let bind =
            |node: NodeId, to: IpAddr| self.lab[node].run(|| UdpSocket::bind((to, 0))).unwrap();
        let (near, far) = (bind(self.from, any), bind(self.to, self.address(self.to)));
        near.connect(far.local_addr().unwrap()).unwrap();
        far.connect(near.local_addr().unwrap()).unwrap();
        for socket in [&near, &far] {
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
        }
        [near, far]
    }

    /// Returns a UDP socket on the first node, connected to one at a port of the second node.
    pub(crate) fn sockets_to(self, port: u16) -> [UdpSocket; 2] {
        let any: IpAddr = if self.is_ipv4 { [0; 4].into() } else { [0; 16].into() };
        let bind = |node: NodeId, to| self.lab[node].run(|| UdpSocket::bind(to)).unwrap();
        let sockets = [bind(self.from, (any, 0)), bind(self.to, (self.address(self.to), port))];
        sockets[0].connect(sockets[1].local_addr().unwrap()).unwrap();
        for socket in &sockets {
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
        }
        sockets
    }

    /// Returns the time of a question and its answer.
    pub(crate) fn round_trip(self) -> Duration {
        let [near, far] = self.sockets();
        let start = Instant::now();
        near.send(b"question").unwrap();
        assert_eq!(take(&far), b"question");
        far.send(b"answer").unwrap();
        assert_eq!(take(&near), b"answer");
        start.elapsed()
    }

    /// Returns the time of a question and its answer over a new TCP connection.
    pub(crate) fn tcp_round_trip(self) -> Duration {
        let [mut near, mut far] = self.connection();
        let start = Instant::now();
        near.write_all(b"q").unwrap();
        far.read_exact(&mut [0]).unwrap();
        far.write_all(b"a").unwrap();
        near.read_exact(&mut [0]).unwrap();
        start.elapsed()
    }

    /// Waits until a round trip takes less than a time: on a busy machine some take longer.
    pub(crate) fn is_faster_than(self, limit: Duration) {
        let look = || {
            let time = self.round_trip();
            if time < limit { Ok(()) } else { Err(time) }
        };
        eventually(PATIENCE, "a round trip is short", look);
    }

    /// Returns a listener on the second node.
    pub(crate) fn listener(self) -> TcpListener {
        self.listener_on(0)
    }

    /// Returns a listener at a port of the second node.
    pub(crate) fn listener_on(self, port: u16) -> TcpListener {
        let to = (self.address(self.to), port);
        self.lab[self.to].run(|| TcpListener::bind(to)).unwrap()
    }

    /// Connects the first node to an address, within a time.
    pub(crate) fn connect(self, to: SocketAddr, limit: Duration) -> io::Result<TcpStream> {
        self.lab[self.from].run(|| TcpStream::connect_timeout(&to, limit))
    }

    /// Returns both ends of a connection from the first node to the second one.
    pub(crate) fn connection(self) -> [TcpStream; 2] {
        self.connection_to(&self.listener())
    }

    pub(crate) fn connection_to(self, listener: &TcpListener) -> [TcpStream; 2] {
        let near = self.connect(listener.local_addr().unwrap(), PATIENCE).unwrap();
        let ends = [near, listener.accept().unwrap().0];
        for end in &ends {
            end.set_read_timeout(Some(PATIENCE)).unwrap();
            end.set_write_timeout(Some(PATIENCE)).unwrap();
        }
        ends
    }

    /// Sends bytes by TCP, and checks that they arrive. Returns the time from the first write to
    /// the last read.
    pub(crate) fn upload(self, count: usize) -> Duration {
        transfer(self.connection(), count)
    }

    /// Sends numbered datagrams of a size, and checks that all arrive, in order. Returns the time
    /// from the first one to the last one.
    pub(crate) fn datagrams(self, count: u16, size: usize) -> Duration {
        let [near, far] = self.sockets();
        // The kernel's queue for a neighbour without an entry does not keep the order.
        near.send(b"first").unwrap();
        take(&far);
        let start = Instant::now();
        for number in 0..count {
            let mut datagram = vec![0; size];
            datagram[..2].copy_from_slice(&number.to_be_bytes());
            near.send(&datagram).unwrap();
        }
        for number in 0..count {
            assert_eq!(take(&far)[..2], number.to_be_bytes());
        }
        start.elapsed()
    }

    /// Sends numbered datagrams over a link that loses some. Returns the numbers of those that
    /// arrive: all that the link does not list as lost.
    pub(crate) fn flood(self, link: &Link, count: u64) -> Vec<u64> {
        let [near, far] = self.sockets();
        let own = near.local_addr().unwrap().ip();
        let seen = watch(link, Packet::udp().from(own));
        let lost = || -> Vec<u64> {
            let losses = link.losses().unwrap().into_iter();
            let is_own = |ends: [SocketAddr; 2]| ends[0].ip() == own;
            let of_flow = losses.filter(|lost| {
                lost.flow.protocol == Some(17) && lost.flow.ends.is_some_and(is_own)
            });
            let number = |packet| match packet {
                LostPacket::Nth(number) => number,
                other => panic!("{other:?}"),
            };
            of_flow.map(|lost| number(lost.packet)).collect()
        };
        let before = lost().len();
        let mut got = Vec::new();
        for number in 0..count {
            near.send(&number.to_be_bytes()).unwrap();
            // The first one waits for an Ethernet address, and a receive buffer is finite.
            if number % 100 == 0 || number == count - 1 {
                has_seen(&seen, number + 1);
                while got.len() as u64 + (lost().len() - before) as u64 <= number {
                    got.push(u64::from_be_bytes(take(&far).try_into().unwrap()));
                }
            }
        }
        let missing: Vec<u64> = (0..count).filter(|number| !got.contains(number)).collect();
        assert_eq!(lost()[before..], missing);
        got
    }
}

/// Sends bytes from the first end to the second one. Returns the time until the last is read.
pub(crate) fn transfer([mut near, mut far]: [TcpStream; 2], count: usize) -> Duration {
    let sent = bytes(count);
    let mut got = vec![0; count];
    let start = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| near.write_all(&sent).unwrap());
        far.read_exact(&mut got).unwrap();
    });
    let time = start.elapsed();
    assert!(got == sent);
    time
}

/// Writes until the buffers are full. Returns the number of bytes.
pub(crate) fn fill(stream: &mut TcpStream) -> usize {
    let mut count = 0;
    loop {
        match stream.write(&[7; 10_000]) {
            Ok(written) => count += written,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return count,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Returns the next datagram.
pub(crate) fn take(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = [0; 2000];
    let length = socket.recv(&mut buffer).unwrap();
    buffer[..length].to_vec()
}

/// Checks that no datagram comes.
pub(crate) fn assert_silent(socket: &UdpSocket) {
    socket.set_read_timeout(Some(QUIET)).unwrap();
    let got = socket.recv(&mut [0; 2000]);
    assert_eq!(got.unwrap_err().kind(), ErrorKind::WouldBlock);
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
}

/// Checks that nothing comes on a connection, not even its end.
pub(crate) fn assert_idle(stream: &TcpStream) {
    stream.set_read_timeout(Some(QUIET)).unwrap();
    let got = stream.peek(&mut [0; 1]);
    assert_eq!(got.unwrap_err().kind(), ErrorKind::WouldBlock);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
}

/// Adds a rule that counts packets, and changes nothing.
pub(crate) fn watch(link: &Link, packet: Packet) -> LinkRule {
    link.on(packet).apply(Action::Pass).unwrap()
}

/// Waits until a link has received so many packets of a rule.
pub(crate) fn has_seen(rule: &LinkRule, count: u64) {
    let look = || match rule.hits() {
        seen if seen >= count => Ok(()),
        seen => Err(seen),
    };
    eventually(PATIENCE, "the link has the packets", look);
}

/// Returns the least time of a transfer over a link with this rate and a burst of one frame.
pub(crate) fn least_time(bytes: u64, bits_per_second: u64) -> Duration {
    Duration::from_micros((bytes - 1514) * 8_000_000 / bits_per_second)
}

/// Returns bytes that repeat only after a long time.
fn bytes(count: usize) -> Vec<u8> {
    (0..count as u64).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}
