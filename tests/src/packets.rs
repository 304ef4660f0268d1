//! Networks behind NATs, and numbered datagrams in them: that one arrives is waited for, that one
//! does not is decided by a later one that does.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use netns_test::lab::{Filtering, Impairment, LinkId, Mapping, Nat, Node, NodeId};
use netns_test::{Lab, Topology};

/// Limit for what must happen.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Interval between two datagrams of which one must arrive.
const INTERVAL: Duration = Duration::from_millis(20);

/// Pauses in which a datagram arrives that a later one has overtaken.
const PAUSES: [u64; 5] = [1, 3, 10, 30, 60];

/// Time in which a mapping that was just used does not end.
const FRESH: Duration = Duration::from_millis(700);

static NUMBER: AtomicU64 = AtomicU64::new(0);

/// Mappings with the filterings that a NAT can have with them.
pub const KINDS: [(Mapping, Filtering); 7] = [
    (Mapping::EndpointIndependent, Filtering::EndpointIndependent),
    (Mapping::EndpointIndependent, Filtering::AddressDependent),
    (Mapping::EndpointIndependent, Filtering::AddressAndPortDependent),
    (Mapping::AddressDependent, Filtering::AddressDependent),
    (Mapping::AddressDependent, Filtering::AddressAndPortDependent),
    (Mapping::AddressAndPortDependent, Filtering::AddressDependent),
    (Mapping::AddressAndPortDependent, Filtering::AddressAndPortDependent),
];

/// `alice` and `bob` behind `home`, and the servers `a` and `b` outside.
#[derive(Debug)]
pub struct World {
    /// The running network.
    pub lab: Lab,
    /// Inside host.
    pub alice: NodeId,
    /// Inside host.
    pub bob: NodeId,
    /// Router with the NAT.
    pub home: NodeId,
    /// Link of `home` to the outside.
    pub wan: LinkId,
    /// Outside server.
    pub a: NodeId,
    /// Outside server.
    pub b: NodeId,
}

impl World {
    /// Builds it with a NAT on `home`.
    #[must_use]
    pub fn new(nat: Nat) -> Self {
        Self::with(|_, _| nat)
    }

    /// Builds it with a NAT that needs ids: of `alice` and of the link to the outside.
    pub fn with(nat: impl FnOnce(NodeId, LinkId) -> Nat) -> Self {
        Self::over(None, nat)
    }

    /// Builds it with a link to the outside that has an impairment.
    pub fn over(impairment: Option<Impairment>, nat: impl FnOnce(NodeId, LinkId) -> Nat) -> Self {
        let mut net = Topology::new();
        let [alice, bob, a, b] = ["alice", "bob", "a", "b"].map(|name| net.host(name));
        let home = net.router("home");
        let [lan, internet] = ["lan", "internet"].map(|name| net.switch(name));
        for host in [alice, bob, home] {
            net.link(host, lan);
        }
        let wan = match impairment {
            Some(impairment) => net.link(home, internet).impair(impairment).id(),
            None => net.link(home, internet).id(),
        };
        for host in [a, b] {
            net.link(host, internet);
        }
        let nat = nat(alice, wan);
        net.nat(home, wan, nat);
        let lab = net.build().unwrap_or_else(|error| panic!("{error}"));
        Self { lab, alice, bob, home, wan, a, b }
    }

    /// Returns the external address of the router.
    pub fn external(&self) -> IpAddr {
        self.lab[self.home].address_on(self.wan)
    }

    /// Opens a socket at a port of a node; 0 for any.
    pub fn udp(&self, node: NodeId, port: u16) -> Udp {
        Udp::open(&self.lab[node], port)
    }
}

/// UDP socket on a node.
#[derive(Debug)]
#[must_use]
pub struct Udp {
    socket: UdpSocket,
    /// Address of the node in the plan, and the port.
    pub at: SocketAddr,
}

#[expect(clippy::must_use_candidate, reason = "many tests only wait for a packet")]
impl Udp {
    /// Opens a socket at a port of a node; 0 for any.
    pub fn open(node: &Node, port: u16) -> Self {
        let socket = node.run(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))).unwrap();
        let at = (node.ipv4(), socket.local_addr().unwrap().port()).into();
        Self { socket, at }
    }

    /// Sends one datagram. Returns its number.
    pub fn send(&self, to: SocketAddr) -> u64 {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        // An error is as a loss: EPERM from a firewall, ECONNREFUSED for an earlier one.
        drop(self.socket.send_to(&number.to_be_bytes(), to));
        number
    }

    /// Receives a datagram with at least this number, for at most `most`.
    pub fn hear(&self, first: u64, most: Duration) -> Option<SocketAddr> {
        let end = Instant::now() + most;
        let mut bytes = [0; 8];
        loop {
            let left = end.saturating_duration_since(Instant::now());
            self.socket.set_read_timeout(Some(left.max(Duration::from_micros(1)))).unwrap();
            match self.socket.recv_from(&mut bytes) {
                Ok((8, from)) if u64::from_be_bytes(bytes) >= first => return Some(from),
                Err(_) if left.is_zero() => return None,
                Ok(_) | Err(_) => {}
            }
        }
    }

    /// Sends until `at` hears it. Returns the source that it sees.
    #[track_caller]
    pub fn reaches(&self, to: SocketAddr, at: &Self) -> SocketAddr {
        let end = Instant::now() + LIMIT;
        let first = self.send(to);
        loop {
            if let Some(seen) = at.hear(first, INTERVAL) {
                return seen;
            }
            assert!(Instant::now() < end, "{} to {to} does not reach {}", self.at, at.at);
            self.send(to);
        }
    }

    /// Sends to a server until it hears it. Returns the source that it sees.
    #[track_caller]
    pub fn asks(&self, server: &Self) -> SocketAddr {
        self.reaches(server.at, server)
    }

    /// Sends to a server, and the server back, until both have heard it. Returns the source that
    /// the server sees.
    #[track_caller]
    pub fn talks(&self, server: &Self) -> SocketAddr {
        let end = Instant::now() + LIMIT;
        loop {
            let seen = self.asks(server);
            let first = server.send(seen);
            if let Some(from) = self.hear(first, INTERVAL) {
                assert_eq!(from, server.at, "source of an answer");
                return seen;
            }
            assert!(Instant::now() < end, "{} to {seen} does not reach {}", server.at, self.at);
        }
    }
}

/// Returns the source that `at` sees of what `send` sends, or `None` if it hears nothing. `marker`
/// is an inside socket with a server on the way of these datagrams.
#[track_caller]
pub fn heard(at: &Udp, marker: (&Udp, &Udp), send: impl Fn()) -> Option<SocketAddr> {
    let end = Instant::now() + LIMIT;
    let first = NUMBER.load(Ordering::Relaxed);
    let mut pauses = PAUSES.into_iter().peekable();
    while let Some(&pause) = pauses.peek() {
        let start = Instant::now();
        send();
        marker.0.talks(marker.1);
        if let Some(from) = at.hear(first, Duration::from_millis(pause)) {
            return Some(from);
        }
        if start.elapsed() < FRESH {
            pauses.next();
        }
        assert!(Instant::now() < end, "the machine is too busy");
    }
    None
}
