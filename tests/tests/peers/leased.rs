//! Two peers behind NATs that look for a direct way: each leases a port by NAT-PMP if its router
//! has that, and otherwise learns its external endpoint from a server.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use netns_test::lab::{Nat, NodeId};
use netns_test::{Lab, Topology};

use crate::net::PATIENCE;

/// Port of each peer.
pub(crate) const PORT: u16 = 41641;

/// Rounds in which each sends to the other, and the time in which answers come in each.
const ROUNDS: usize = 50;
const ROUND: Duration = Duration::from_millis(20);

/// Kind of a NAT.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) nat: fn() -> Nat,
    /// True if its peer has an external address of its own.
    pub(crate) is_one_to_one: bool,
    /// True if others can send to its peer unasked.
    pub(crate) is_public: bool,
    /// True if another destination sees another port.
    pub(crate) is_hard: bool,
    /// True if packets from other ports than those sent to do not come in.
    pub(crate) filters_ports: bool,
}

/// Two peers behind routers, and a server between these.
pub(crate) struct Site {
    lab: Lab,
    peers: [NodeId; 2],
    /// Routers as their peers see them.
    routers: [IpAddr; 2],
    server: SocketAddr,
    maps: [bool; 2],
}

impl Site {
    /// Builds a site of NATs, each with whether its peer has an address of its own.
    pub(crate) fn new(nats: [(Nat, bool); 2], more: impl Fn(&mut Topology, [NodeId; 2])) -> Self {
        let mut net = Topology::new();
        let (core, server) = (net.router("core"), net.host("server"));
        net.link(core, server).subnet("203.0.113.0/24");
        let maps = nats.each_ref().map(|(nat, _)| nat.to_string().contains("port mapping"));
        let mut sides = nats.into_iter().zip(["one", "two"]).map(|((nat, is_own), name)| {
            let (peer, router) = (net.host(name), net.router(format!("{name}-home")));
            let lan = net.link(peer, router).subnet("192.168.1.0/24").id();
            let third = if name == "one" { "198.51.100" } else { "198.18.0" };
            let wan = net.link(router, core).subnet(&*format!("{third}.0/24")).id();
            let own = format!("{third}.77").parse().unwrap();
            net.nat(router, wan, if is_own { nat.one_to_one(own, peer) } else { nat });
            (peer, router, lan)
        });
        let sides = [sides.next().unwrap(), sides.next().unwrap()];
        let peers = sides.map(|(peer, ..)| peer);
        more(&mut net, peers);
        let lab = net.build().unwrap();
        let routers = sides.map(|(_, router, lan)| lab[router].address_on(lan));
        let server = SocketAddr::new(lab[server].ipv4().into(), 3478);
        Self { lab, peers, routers, server, maps }
    }

    /// Lets both look for the other. Returns what each has heard.
    pub(crate) fn hear_each_other(&self) -> [bool; 2] {
        let server = self.lab.nodes().find(|node| node.name() == "server").unwrap();
        let reflector = server.reflector(self.server.port()).unwrap();
        let sockets = self.peers.map(|peer| {
            let bind = || UdpSocket::bind((std::net::Ipv4Addr::UNSPECIFIED, PORT));
            self.lab[peer].run(bind).unwrap()
        });
        let known = [0, 1].map(|side| {
            let seen = self.seen(&sockets[side]);
            let leased = self.maps[side].then(|| self.lease(side, seen.ip()));
            [Some(seen), leased].into_iter().flatten().collect::<Vec<_>>()
        });
        drop(reflector);
        sockets.iter().for_each(|one| one.set_read_timeout(Some(ROUND)).unwrap());
        let (mut heard, mut from) = ([false; 2], [None; 2]);
        for _ in 0..ROUNDS {
            for side in [0, 1] {
                // To where it is said to be, and to where it is seen.
                for to in known[1 - side].iter().copied().chain(from[side]) {
                    drop(sockets[side].send_to(b"disco", to));
                }
            }
            for side in [0, 1] {
                while let Ok((5, other)) = sockets[side].recv_from(&mut [0; 64]) {
                    (heard[side], from[side]) = (true, Some(other));
                    if heard == [true; 2] {
                        return heard;
                    }
                }
            }
        }
        heard
    }

    /// Asks the server for the external endpoint.
    fn seen(&self, socket: &UdpSocket) -> SocketAddr {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.send_to(b"who am I", self.server).unwrap();
        let mut answer = [0; 64];
        let length = socket.recv(&mut answer).unwrap();
        std::str::from_utf8(&answer[..length]).unwrap().parse().unwrap()
    }

    /// Leases the port by NAT-PMP (RFC 6886, section 3.3).
    fn lease(&self, side: usize, external: IpAddr) -> SocketAddr {
        let socket = self.lab[self.peers[side]].run(|| UdpSocket::bind("0.0.0.0:0")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut request = vec![0, 1, 0, 0];
        request.extend([PORT.to_be_bytes(), PORT.to_be_bytes()].concat());
        request.extend(7200_u32.to_be_bytes());
        socket.send_to(&request, (self.routers[side], 5351)).unwrap();
        let mut answer = [0; 16];
        assert_eq!(socket.recv(&mut answer).unwrap(), 16);
        assert_eq!(answer[..4], [0, 129, 0, 0]);
        SocketAddr::new(external, u16::from_be_bytes([answer[10], answer[11]]))
    }
}
