//! Labs of two nodes, and traffic between them.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use netns_test::lab::{Impairment, Lost};
use netns_test::{Lab, LinkId, NodeId, Topology};

/// Longest wait for a packet that must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// A client and a server, with one link.
pub(crate) struct Pair {
    pub(crate) lab: Lab,
    pub(crate) client: NodeId,
    pub(crate) server: NodeId,
    pub(crate) wan: LinkId,
}

impl Pair {
    pub(crate) fn new(impairment: Impairment) -> Self {
        Self::with_offloads(impairment, true)
    }

    /// The same. Without offloads, raw sockets see packets as a wire carries them.
    pub(crate) fn with_offloads(impairment: Impairment, are_on: bool) -> Self {
        let mut net = Topology::new();
        let (client, server) = (net.host("client"), net.host("server"));
        let link = net.link(client, server).name("wan").impair(impairment);
        let wan = link.offloads(are_on).id();
        let lab = net.build().unwrap();
        Self { lab, client, server, wan }
    }

    /// The same with a direct veth pair, without offloads.
    pub(crate) fn direct() -> Self {
        let mut net = Topology::new();
        let (client, server) = (net.host("client"), net.host("server"));
        let wan = net.link(client, server).name("wan").offloads(false).id();
        let lab = net.build().unwrap();
        Self { lab, client, server, wan }
    }

    /// Returns the server's address of a family, with a port.
    pub(crate) fn server(&self, is_ipv4: bool, port: u16) -> SocketAddr {
        let mut all = self.lab.plan().addresses_of(self.server).iter();
        let of_family: &IpAddr = all.find(|one| one.is_ipv4() == is_ipv4).unwrap();
        (*of_family, port).into()
    }

    /// Returns a listener on the server.
    pub(crate) fn listener(&self, to: SocketAddr) -> TcpListener {
        self.lab[self.server].run(|| TcpListener::bind(to)).unwrap()
    }

    /// Returns a connection from the client to a listener on the server, both ends.
    pub(crate) fn connection(&self, listener: &TcpListener) -> [TcpStream; 2] {
        let to = listener.local_addr().unwrap();
        let near = self.lab[self.client].run(|| TcpStream::connect_timeout(&to, PATIENCE)).unwrap();
        let far = listener.accept().unwrap().0;
        for end in [&near, &far] {
            end.set_read_timeout(Some(PATIENCE)).unwrap();
            end.set_write_timeout(Some(PATIENCE)).unwrap();
        }
        [near, far]
    }

    /// Sends these bytes from the client to the server in writes of `size` bytes. Returns what has
    /// arrived.
    pub(crate) fn transfer(&self, is_ipv4: bool, bytes: &[u8], size: usize) -> Vec<u8> {
        self.transfer_to(self.server(is_ipv4, 5000), bytes, size)
    }

    /// The same, to a port of the server.
    pub(crate) fn transfer_to(&self, to: SocketAddr, bytes: &[u8], size: usize) -> Vec<u8> {
        let listener = self.listener(to);
        let [mut near, mut far] = self.connection(&listener);
        near.set_nodelay(true).unwrap();
        thread::scope(|scope| {
            scope.spawn(move || {
                bytes.chunks(size).for_each(|part| near.write_all(part).unwrap());
            });
            let mut got = Vec::new();
            far.read_to_end(&mut got).unwrap();
            got
        })
    }

    /// Returns UDP sockets on client and server, the first one connected to the second one.
    pub(crate) fn sockets(&self, is_ipv4: bool) -> [UdpSocket; 2] {
        let to = self.server(is_ipv4, 6000);
        let any: IpAddr = if is_ipv4 { [0; 4].into() } else { [0; 16].into() };
        let near = self.lab[self.client].run(|| UdpSocket::bind((any, 6001))).unwrap();
        let far = self.lab[self.server].run(|| UdpSocket::bind(to)).unwrap();
        self.lab[self.client].run(|| near.connect(to)).unwrap();
        far.set_read_timeout(Some(PATIENCE)).unwrap();
        [near, far]
    }

    /// Returns the number of datagrams of the client that the link has lost.
    pub(crate) fn lost_datagrams(&self) -> usize {
        let losses = self.lab[self.wan].losses().unwrap();
        let is_one = |lost: &&Lost| lost.from == "client" && lost.flow.protocol == Some(17);
        losses.iter().filter(is_one).count()
    }
}

/// Keeps both processors of a small machine busy while it lives.
pub(crate) struct Load(Arc<AtomicBool>);

impl Load {
    pub(crate) fn new() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        for _ in 0..4 {
            let stop = Arc::clone(&stop);
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        Self(stop)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Returns bytes that repeat only after a long time.
pub(crate) fn bytes(count: usize) -> Vec<u8> {
    (0..count as u64).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}
