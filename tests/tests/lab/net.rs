//! What the tests of labs share: networks of the usual shapes, and packets from each node to each.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use netns_test::{Lab, NodeId, Topology};
use netns_test_tests::{LIMIT, eventually};

/// How long a packet may take that is not lost.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// Set for a run over links that can be impaired, as in `ci/test`.
const OVER_ENGINE: &str = "LAB_OVER_ENGINE";

/// Returns an empty topology. In a run over the link engine, its links can be impaired.
pub(crate) fn topology() -> Topology {
    let mut net = Topology::new();
    if is_over_engine() {
        net.impairable_links();
    }
    net
}

/// Returns whether this run is over the link engine.
pub(crate) fn is_over_engine() -> bool {
    std::env::var_os(OVER_ENGINE).is_some()
}

/// Hosts with a link each to one router.
pub(crate) fn star(count: usize) -> (Topology, Vec<NodeId>) {
    let mut net = topology();
    let router = net.router("router");
    let mut nodes = hosts(&mut net, count);
    for &host in &nodes {
        net.link(host, router);
    }
    nodes.push(router);
    (net, nodes)
}

/// Hosts on one switch.
pub(crate) fn switched(count: usize) -> (Topology, Vec<NodeId>) {
    let mut net = topology();
    let switch = net.switch("switch");
    let nodes = hosts(&mut net, count);
    for &host in &nodes {
        net.link(host, switch);
    }
    (net, nodes)
}

/// Routers in a line or a ring, with a host at each.
pub(crate) fn row(count: usize, is_ring: bool) -> (Topology, Vec<NodeId>) {
    let mut net = topology();
    let routers = routers(&mut net, count);
    for pair in routers.windows(2) {
        net.link(pair[0], pair[1]);
    }
    if is_ring {
        net.link(routers[count - 1], routers[0]);
    }
    let nodes = with_hosts(&mut net, routers);
    (net, nodes)
}

/// Routers with a link from each to each, and a host at each.
pub(crate) fn mesh(count: usize) -> (Topology, Vec<NodeId>) {
    let mut net = topology();
    let routers = routers(&mut net, count);
    for (order, &a) in routers.iter().enumerate() {
        for &b in &routers[order + 1..] {
            net.link(a, b);
        }
    }
    let nodes = with_hosts(&mut net, routers);
    (net, nodes)
}

fn hosts(net: &mut Topology, count: usize) -> Vec<NodeId> {
    (0..count).map(|number| net.host(format!("h{number}"))).collect()
}

fn routers(net: &mut Topology, count: usize) -> Vec<NodeId> {
    (0..count).map(|number| net.router(format!("r{number}"))).collect()
}

fn with_hosts(net: &mut Topology, mut routers: Vec<NodeId>) -> Vec<NodeId> {
    for (number, router) in routers.clone().into_iter().enumerate() {
        let host = net.host(format!("h{number}"));
        net.link(host, router);
        routers.push(host);
    }
    routers
}

/// A UDP socket on each node, for both families, at one port.
pub(crate) struct Mesh<'a> {
    lab: &'a Lab,
    nodes: Vec<NodeId>,
    ports: [u16; 2],
    sockets: Vec<[UdpSocket; 2]>,
    /// [`times_full`], when that was last looked at.
    full: RefCell<String>,
}

/// How often the table of neighbours has been full, which all network namespaces share.
fn times_full() -> String {
    let text = netns_test_tests::stdout_of("ip", &["-s", "ntable", "show"]);
    text.split("table_fulls").skip(1).map(|rest| rest.split_whitespace().next().unwrap()).collect()
}

/// Sends again while others have filled the table of neighbours: the kernel reports that by EINVAL
/// (IPv6) or ENOBUFS (IPv4), which it has no other reason for.
pub(crate) fn send(socket: &UdpSocket, text: &str, target: SocketAddr) {
    let is_full = |error: &std::io::Error| {
        [Some(libc::EINVAL), Some(libc::ENOBUFS)].contains(&error.raw_os_error())
    };
    eventually(LIMIT, "the table of neighbours has room", || {
        let sent = socket.send_to(text.as_bytes(), target);
        assert!(sent.as_ref().err().is_none_or(is_full), "{text}, to {target}: {sent:?}");
        sent
    });
}

impl<'a> Mesh<'a> {
    pub(crate) fn new(lab: &'a Lab, nodes: &[NodeId]) -> Self {
        // What was sent to another one may be on its way still. By family: a socket for IPv6 takes
        // its port of IPv4, too.
        static NEXT: AtomicU16 = AtomicU16::new(4000);
        let ports = [(); 2].map(|()| NEXT.fetch_add(1, Ordering::Relaxed));
        let open = |node: &NodeId| {
            lab[*node].run(|| [("0.0.0.0", ports[0]), ("::", ports[1])].map(socket))
        };
        let sockets = nodes.iter().map(open).collect();
        let full = RefCell::new(times_full());
        Self { lab, nodes: nodes.to_vec(), ports, sockets, full }
    }

    /// Every node sends one packet to every other one, over both families, which has it.
    pub(crate) fn all_pairs_talk(&self) {
        for from in 0..self.nodes.len() {
            for to in (0..self.nodes.len()).filter(|to| *to != from) {
                self.talks(from, to);
            }
        }
    }

    /// One packet over each family, from one node to another one.
    pub(crate) fn talks(&self, from: usize, to: usize) {
        for family in 0..2 {
            let name = |at: usize| self.lab[self.nodes[at]].name();
            let what = format!("{} to {}", name(from), name(to));
            let target = self.first_of(to, family);
            let target = target.unwrap_or_else(|| panic!("{what}: no address"));
            let (text, sender) = self.exchange(&what, from, to, family, target);
            assert_eq!(text, what);
            let own = self.lab.plan().addresses_of(self.nodes[from]);
            assert!(own.contains(&sender.ip()), "{what}: from {sender}");
        }
    }

    /// Sends a packet and returns the one that arrives. A packet that is lost is sent again where
    /// the kernel says that its table of neighbours was full meanwhile, and only there.
    fn exchange(
        &self,
        what: &str,
        from: usize,
        to: usize,
        family: usize,
        target: SocketAddr,
    ) -> (String, SocketAddr) {
        let start = Instant::now();
        loop {
            send(&self.sockets[from][family], what, target);
            let mut buffer = [0; 64];
            match self.sockets[to][family].recv_from(&mut buffer) {
                Ok((length, sender)) => {
                    return (String::from_utf8_lossy(&buffer[..length]).into_owned(), sender);
                }
                Err(error) => {
                    let full = times_full();
                    let was = self.full.replace(full.clone());
                    let is_others = was != full && start.elapsed() < PATIENCE;
                    assert!(is_others, "{what}, at {target}: {error}");
                }
            }
        }
    }

    /// Sends one packet over each family.
    pub(crate) fn send(&self, from: usize, to: usize) {
        for family in 0..2 {
            let target = self.first_of(to, family).unwrap();
            self.sockets[from][family].send_to(b"lost", target).unwrap();
        }
    }

    /// That nothing has arrived at a node.
    pub(crate) fn has_nothing(&self, at: usize) {
        self.settle();
        for socket in &self.sockets[at] {
            socket.set_nonblocking(true).unwrap();
            let mut buffer = [0; 64];
            let error = socket.recv_from(&mut buffer).unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "{error}");
            socket.set_nonblocking(false).unwrap();
        }
    }

    /// Waits until no packet is on its way. On a direct link it has arrived when it is sent.
    fn settle(&self) {
        if !is_over_engine() {
            return;
        }
        let packets = || {
            let state = self.lab.snapshot().unwrap();
            let all = state.nodes.iter().flat_map(|node| &node.interfaces);
            all.filter_map(|one| Some(one.counters?.tx_packets + one.counters?.rx_packets)).sum()
        };
        let last = std::cell::Cell::new(0_u64);
        eventually(LIMIT, "no packet is on its way", || {
            std::thread::sleep(Duration::from_millis(100));
            let (now, before) = (packets(), last.get());
            last.set(now);
            if now == before { Ok(()) } else { Err((now, before)) }
        });
    }

    fn first_of(&self, node: usize, family: usize) -> Option<SocketAddr> {
        let addresses = self.lab.plan().addresses_of(self.nodes[node]).iter();
        let mut wanted = addresses.filter(|address| address.is_ipv4() == (family == 0));
        wanted.next().map(|address| SocketAddr::new(*address, self.ports[family]))
    }
}

fn socket(address: (&str, u16)) -> UdpSocket {
    let socket = UdpSocket::bind(address).unwrap();
    // Shorter than the patience: a send is repeated if the neighbour table was full.
    socket.set_read_timeout(Some(PATIENCE / 4)).unwrap();
    socket
}

/// A TCP connection from one node to an address of another one, both ends.
pub(crate) fn connection(lab: &Lab, from: NodeId, to: NodeId, address: IpAddr) -> [TcpStream; 2] {
    let listener = lab[to].run(|| TcpListener::bind((address, 0))).unwrap();
    let target = listener.local_addr().unwrap();
    let near = lab[from].run(|| TcpStream::connect_timeout(&target, PATIENCE));
    let near =
        near.unwrap_or_else(|error| panic!("{target}: {error}\n{}", lab.snapshot().unwrap()));
    let (far, _) = listener.accept().unwrap();
    for stream in [&near, &far] {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
    }
    [near, far]
}
