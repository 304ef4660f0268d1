//! TCP, ICMP, IPv6 through a NAT (RFC 5382, RFC 5508). Run by `rules_treat_packets_as_planned`.

use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

use crate::lab::nat::model::NatProtocol;
use crate::lab::plan::nat::{NatPlan, NatTimeouts};
use crate::lab::tests::engine::net::{LIMIT, within};
use crate::lab::tests::nat_rules::net::{A, B, Net, S1, S2, X, plan, router, seen, udp, until, v4};
use crate::lab::topology::nat::model::{Filtering, Ipv6Nat, Mapping};
use crate::sys::net::ping::{Echo, Heard};

/// Connects from a port that other sockets may use, too.
fn connect(network: &OwnedFd, from: &str, to: SocketAddr) -> io::Result<TcpStream> {
    let from: SocketAddr = from.parse().unwrap();
    within(network, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let socket = tokio::net::TcpSocket::new_v4()?;
            socket.set_reuseaddr(true)?;
            socket.set_reuseport(true)?;
            socket.bind(from)?;
            let stream = tokio::time::timeout(LIMIT, socket.connect(to)).await??;
            let stream = stream.into_std()?;
            stream.set_nonblocking(false)?;
            Ok(stream)
        })
    })
}

fn listen(network: &OwnedFd, address: &str, port: u16) -> TcpListener {
    let address: IpAddr = address.parse().unwrap();
    within(network, || TcpListener::bind((address, port)).unwrap())
}

/// Accepts a connection, and returns it with its source.
fn accept(listener: &TcpListener) -> (TcpStream, SocketAddrV4) {
    let (stream, source) = listener.accept().unwrap();
    let SocketAddr::V4(source) = source else { panic!("no IPv4") };
    (stream, source)
}

#[test]
#[ignore = "run inside"]
fn tcp_is_mapped_as_udp() {
    for mapping in [Mapping::EndpointIndependent, Mapping::AddressAndPortDependent] {
        let net = Net::with(NatPlan { mapping, ..plan() });
        let servers = [(S1, 80), (S1, 81), (S2, 80)]
            .map(|(address, port)| listen(&net.outside, address, port));
        let mut streams = Vec::new();
        let mut of = |host: &str| {
            servers.each_ref().map(|server| {
                let to = server.local_addr().unwrap();
                let near = connect(&net.inside, &format!("{host}:4000"), to).unwrap();
                let (far, source) = accept(server);
                streams.push((near, far));
                source
            })
        };
        let [a, b] = [A, B].map(&mut of);
        assert_eq!(a[0], v4("203.0.113.1:4000"));
        let is_one = mapping == Mapping::EndpointIndependent;
        assert_eq!([a[1] == a[0], a[2] == a[0], b[1] == b[0]], [is_one; 3], "{a:?} {b:?}");
        assert!(!a.contains(&b[0]), "{a:?} {b:?}");
        let node = router(NatPlan { mapping, ..plan() });
        let mappings = net.mappings(&node);
        let found = mappings.iter().find(|one| one.outside == a[0]).unwrap();
        assert_eq!((found.protocol, found.inside), (NatProtocol::Tcp, v4("10.0.0.2:4000")));
        // The connection is open, so its own time-out holds.
        assert!(found.expires.unwrap() > Duration::from_secs(7000), "{found:?}");
        drop(streams);
        until("the connections are closed", || {
            let mappings = net.mappings(&node);
            mappings.iter().all(|one| one.expires.unwrap() <= Duration::from_secs(240))
        });
    }
}

#[test]
#[ignore = "run inside"]
fn tcp_from_outside_passes_as_the_filtering_says() {
    for filtering in [Filtering::EndpointIndependent, Filtering::AddressDependent] {
        let net = Net::with(NatPlan { filtering, ..plan() });
        let server = listen(&net.outside, S1, 80);
        let to = server.local_addr().unwrap();
        // It listens on the port that it has also connected from, as a peer does.
        let inside = within(&net.inside, || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let socket = tokio::net::TcpSocket::new_v4().unwrap();
                socket.set_reuseaddr(true).unwrap();
                socket.set_reuseport(true).unwrap();
                socket.bind(format!("{A}:4000").parse().unwrap()).unwrap();
                socket.listen(8).unwrap().into_std().unwrap()
            })
        });
        inside.set_nonblocking(false).unwrap();
        let stream = connect(&net.inside, "10.0.0.2:4000", to).unwrap();
        let (_far, external) = accept(&server);
        let external = SocketAddr::V4(external);
        let own = connect(&net.outside, "203.0.113.2:5555", external).unwrap();
        assert_eq!(inside.accept().unwrap().1, own.local_addr().unwrap());
        let node = router(NatPlan { filtering, ..plan() });
        let other = within(&net.outside, || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let socket = tokio::net::TcpSocket::new_v4().unwrap();
                socket.bind(format!("{S2}:5555").parse().unwrap()).unwrap();
                let mut connecting = Box::pin(socket.connect(external));
                let text = "drop in: from an address";
                let end = std::time::Instant::now() + LIMIT;
                loop {
                    let pause = Duration::from_millis(20);
                    if let Ok(done) = tokio::time::timeout(pause, &mut connecting).await {
                        return done.map(drop);
                    }
                    let is_dropped =
                        filtering != Filtering::EndpointIndependent && net.count(&node, text) > 0;
                    if is_dropped {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                    assert!(std::time::Instant::now() < end);
                }
            })
        });
        assert_eq!(other.is_ok(), filtering == Filtering::EndpointIndependent, "{other:?}");
        drop(stream);
    }
}

#[test]
#[ignore = "run inside"]
fn tcp_is_opened_by_both_sides_at_once() {
    let filtering = Filtering::AddressAndPortDependent;
    let net = Net::with(NatPlan { filtering, ..plan() });
    let node = router(NatPlan { filtering, ..plan() });
    let [near, far] = std::thread::scope(|scope| {
        // The peer's SYN is first. It is not answered, so the peer repeats it.
        let external: SocketAddr = format!("{X}:4000").parse().unwrap();
        let outside = &net.outside;
        let far = scope.spawn(move || connect(outside, "203.0.113.2:5555", external));
        until("no answer", || net.count(&node, "drop in: no mapping") > 0);
        let near = connect(&net.inside, "10.0.0.2:4000", "203.0.113.2:5555".parse().unwrap());
        [near, far.join().unwrap()]
    });
    assert_eq!(near.unwrap().local_addr().unwrap().to_string(), "10.0.0.2:4000");
    assert_eq!(far.unwrap().peer_addr().unwrap().to_string(), "203.0.113.1:4000");
}

#[test]
#[ignore = "run inside"]
fn echo_requests_and_errors_pass() {
    let net = Net::with(NatPlan { filtering: Filtering::AddressAndPortDependent, ..plan() });
    let server: IpAddr = S1.parse().unwrap();
    let hear = |echo: &Echo| {
        let mut heard = None;
        until("an answer", || {
            heard = echo.hear(Duration::from_millis(50)).unwrap();
            heard.is_some()
        });
        heard.unwrap()
    };
    let echo = within(&net.inside, || Echo::open(server).unwrap());
    assert!(echo.send(None).unwrap().is_none());
    assert!(matches!(hear(&echo), Heard::Answer));
    let mappings = net.mappings(&router(plan()));
    let found = mappings.iter().find(|one| one.protocol == NatProtocol::Icmp);
    assert!(found.is_some_and(|one| one.inside.ip().to_string() == A), "{mappings:?}");
    // The error of a hop belongs to the request.
    assert!(echo.send(Some(1)).unwrap().is_none());
    assert!(matches!(hear(&echo), Heard::Hop(by) if by.to_string() == "10.0.0.1"));
    // The error about a closed port comes back to the socket inside, and its mapping stays.
    let client = net.inside(A, 5000);
    let other = net.outside(S1, 3478);
    let external = seen(&client, &other);
    client.connect((S1, 9)).unwrap();
    client.send(b"closed").unwrap();
    let error = client.recv(&mut [0; 8]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    assert_eq!(
        net.mappings(&router(plan())).iter().filter(|one| one.outside == external).count(),
        1
    );
    // The router answers requests from outside.
    let echo = within(&net.outside, || Echo::open(X.parse().unwrap()).unwrap());
    assert!(echo.send(None).unwrap().is_none());
    assert!(matches!(hear(&echo), Heard::Answer));
    // And its own ones are answered.
    let echo = within(&net.router, || Echo::open(server).unwrap());
    assert!(echo.send(None).unwrap().is_none());
    assert!(matches!(hear(&echo), Heard::Answer));
}

#[test]
#[ignore = "run inside"]
fn time_outs_are_those_of_the_plan() {
    let timeouts = NatTimeouts { udp: 3, tcp_established: 50, tcp_transitory: 40, icmp: 7 };
    let net = Net::with(NatPlan { timeouts, ..plan() });
    let read = |name: &str| {
        let path = format!("/proc/sys/net/netfilter/nf_conntrack_{name}");
        within(&net.router, || std::fs::read_to_string(path).unwrap().trim().to_owned())
    };
    let names = ["udp_timeout", "udp_timeout_stream", "tcp_timeout_established"];
    assert_eq!(names.map(read), ["3", "3", "50"]);
    assert_eq!(["tcp_timeout_syn_sent", "icmp_timeout"].map(read), ["40", "7"]);
}

#[test]
#[ignore = "run inside"]
fn ipv6_is_routed_masqueraded_or_blocked() {
    let six = |network: &OwnedFd, address: &str| udp(network, address, 0);
    for ipv6 in [Ipv6Nat::Routed, Ipv6Nat::Masquerade, Ipv6Nat::Blocked] {
        let net = Net::with(NatPlan { ipv6, ..plan() });
        let node = router(NatPlan { ipv6, ..plan() });
        let [client, server] = [six(&net.inside, "fd00:1::2"), six(&net.outside, "fd00:2::2")];
        let [inner, outer] = [&client, &server].map(|one| one.local_addr().unwrap());
        client.send_to(b"out", outer).unwrap();
        if ipv6 == Ipv6Nat::Blocked {
            until("it is dropped", || net.count(&node, "drop out: ipv6") == 1);
            server.send_to(b"in", inner).unwrap();
            until("it is dropped", || net.count(&node, "drop in: ipv6") == 1);
            continue;
        }
        let from = server.recv_from(&mut [0; 8]).unwrap().1;
        let is_routed = ipv6 == Ipv6Nat::Routed;
        assert_eq!(from.ip().to_string(), if is_routed { "fd00:1::2" } else { "fd00:2::1" });
        server.send_to(b"back", from).unwrap();
        assert_eq!(client.recv_from(&mut [0; 8]).unwrap(), (4, outer));
        let other = six(&net.outside, "fd00:2::2");
        other.send_to(b"in", inner).unwrap();
        if is_routed {
            assert_eq!(client.recv_from(&mut [0; 8]).unwrap().1, other.local_addr().unwrap());
        } else {
            until("it is dropped", || net.count(&node, "drop in: ipv6") == 1);
        }
    }
}
