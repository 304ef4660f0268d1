//! Two nodes with a link over a hub, as a lab makes them, and traffic between them.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd as _, OwnedFd};
use std::thread;
use std::time::Duration;

use crate::addr::cidr::Cidr;
use crate::lab::impair::emulated::EmulatedLink;
use crate::lab::impair::engine::{Engine, LinkPorts, Slot};
use crate::lab::impair::hash::Seed;
use crate::lab::plan::impairment::ImpairmentPlan;
use crate::netlink::link::kind::{Kind, New};
use crate::netlink::{Netlink, Request, addr, link};
use crate::sys::net::ifreq;
use crate::sys::ns::nsfs;

/// Two nodes; each has the interface `eth0` with the index 10 and the addresses 10.0.0.N and
/// `fd00::N`.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) nodes: [OwnedFd; 2],
    pub(crate) hub: OwnedFd,
}

/// Limit of each wait of a test.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
pub(crate) const ETH0: u32 = 10;
/// Indexes of the inner ends.
pub(crate) const INNER: [u32; 2] = [100_000, 100_001];
/// Addresses of the second node.
pub(crate) const SERVERS: [&str; 2] = ["10.0.0.2", "fd00::2"];

impl Pair {
    /// Makes a link over a hub.
    pub(crate) fn over_hub() -> Self {
        Self::over_hub_where(|| {})
    }

    /// The same, after `prepare` was called in the network of the hub.
    pub(crate) fn over_hub_where(prepare: impl FnOnce() + Send) -> Self {
        let pair = Self { nodes: [network(), network()], hub: network() };
        within(&pair.hub, prepare);
        within(&pair.hub, || {
            for kind in ["default", "all"] {
                let path = format!("/proc/sys/net/ipv6/conf/{kind}/disable_ipv6");
                std::fs::write(path, "1").unwrap();
            }
        });
        for (side, node) in pair.nodes.iter().enumerate() {
            let name = format!("end{side}");
            let inner = New { index: INNER[side], mtu: Some(65535), ..new(&name) };
            let outer = New { index: ETH0, ..new("eth0") };
            let kind = Kind::Veth { peer: inner, there: Some(pair.hub.as_fd()) };
            ask(node, &[link::create("eth0".to_owned(), outer, kind)]);
            ask(&pair.hub, &[link::set_up(String::new(), INNER[side], true, None)]);
        }
        pair.address();
        pair
    }

    fn address(&self) {
        for (side, node) in self.nodes.iter().enumerate() {
            within(node, || ifreq::loopback_up(&ifreq::socket().unwrap()).unwrap());
            ask(node, &[link::set_up(String::new(), ETH0, true, None)]);
            self.add_addresses(side, ETH0, ["10.0.0", "fd00:"]);
        }
    }

    /// Adds addresses whose last part is the number of the node.
    pub(crate) fn add_addresses(&self, side: usize, index: u32, networks: [&str; 2]) {
        let [four, six] = networks.map(|network| {
            let separator = if network.contains(':') { ":" } else { "." };
            format!("{network}{separator}{}", side + 1).parse::<IpAddr>().unwrap()
        });
        let cidrs = [Cidr::new(four, 24).unwrap(), Cidr::new(six, 64).unwrap()];
        ask(&self.nodes[side], &cidrs.map(|cidr| addr::add(String::new(), index, cidr)));
    }

    /// Starts an engine with the link, which has these impairments from the first to the second
    /// node.
    pub(crate) fn engine(&self, plan: ImpairmentPlan) -> (Engine, Slot) {
        let link = EmulatedLink::new(Seed(1), "link", [plan, ImpairmentPlan::default()], 1500);
        let engine = Engine::start(self.hub.as_fd(), 1).unwrap();
        let slot = engine
            .add(LinkPorts { name: "wan".to_owned(), indexes: INNER, link, observer: None })
            .unwrap();
        (engine, slot)
    }

    /// Returns UDP sockets on both nodes, connected to each other.
    pub(crate) fn udp(&self, server: &str) -> [UdpSocket; 2] {
        let server: IpAddr = server.parse().unwrap();
        let any = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let far = within(&self.nodes[1], || UdpSocket::bind((server, 0)).unwrap());
        let near = within(&self.nodes[0], || UdpSocket::bind(any).unwrap());
        near.connect(far.local_addr().unwrap()).unwrap();
        near.send(b"hello").unwrap();
        far.set_read_timeout(Some(LIMIT)).unwrap();
        near.set_read_timeout(Some(LIMIT)).unwrap();
        let (_, from) = far.recv_from(&mut [0; 8]).unwrap();
        far.connect(from).unwrap();
        [near, far]
    }

    /// Returns both ends of a TCP connection.
    pub(crate) fn tcp(&self, server: &str) -> [TcpStream; 2] {
        let server: IpAddr = server.parse().unwrap();
        let listener = within(&self.nodes[1], || TcpListener::bind((server, 0)).unwrap());
        let address: SocketAddr = listener.local_addr().unwrap();
        let connect = || TcpStream::connect_timeout(&address, LIMIT).unwrap();
        let near = within(&self.nodes[0], connect);
        let (far, _) = listener.accept().unwrap();
        for end in [&near, &far] {
            end.set_read_timeout(Some(LIMIT)).unwrap();
            end.set_write_timeout(Some(LIMIT)).unwrap();
        }
        [near, far]
    }
}

/// Sends `count` bytes from the one end to the other. Panics if they do not arrive as they were.
pub(crate) fn transfer([mut from, mut to]: [TcpStream; 2], count: usize) {
    thread::scope(|scope| {
        scope.spawn(move || {
            let bytes: Vec<u8> = bytes().take(count).collect();
            from.write_all(&bytes).unwrap();
        });
        let (mut expected, mut buffer, mut left) = (bytes(), vec![0; 1 << 16], count);
        while left > 0 {
            let length = to.read(&mut buffer).unwrap();
            assert!(length > 0, "{left} bytes are missing");
            let is_right = buffer[..length].iter().all(|byte| expected.next() == Some(*byte));
            assert!(is_right, "the bytes before the last {left} differ");
            left -= length;
        }
    });
}

/// Pseudo-random bytes, the same in each call.
fn bytes() -> impl Iterator<Item = u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    })
}

/// Runs `work` on a thread in a network.
pub(crate) fn within<T: Send>(network: &OwnedFd, work: impl FnOnce() -> T + Send) -> T {
    let enter = || {
        nsfs::enter_network(network).unwrap();
        work()
    };
    thread::scope(|scope| scope.spawn(enter).join().unwrap())
}

pub(crate) fn ask(network: &OwnedFd, requests: &[Request]) {
    within(network, || Netlink::open().unwrap().ask_all(requests).unwrap());
}

pub(crate) fn new(name: &str) -> New<'_> {
    New { name, index: 0, mac: None, mtu: None }
}

pub(crate) fn network() -> OwnedFd {
    let make = || {
        nsfs::unshare_network().unwrap();
        nsfs::own_network().unwrap()
    };
    thread::scope(|scope| scope.spawn(make).join().unwrap())
}
