//! What a NAT forgets: all, what contradicts a forwarded port, what it was not to learn. Run by
//! `rules_treat_packets_as_planned`.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::lab::nat;
use crate::lab::nat::model::{NatMapping, NatProtocol};
use crate::lab::plan::NodePlan;
use crate::lab::plan::nat::{NatPlan, PortForwardPlan};
use crate::lab::tests::engine::net::{LIMIT, within};
use crate::lab::tests::nat_rules::net::{
    A, B, Net, S1, S2, bare, plan, read, router, seen, seen_at, until, v4,
};
use crate::lab::topology::NodeKind;
use crate::lab::topology::nat::model::{Filtering, Transport};

/// Returns a NAT that forwards a port of UDP to an inside endpoint.
fn forwarding(external_port: u16, to: &str, port: u16) -> NodePlan {
    let to = to.parse().unwrap();
    let forward = PortForwardPlan { protocol: Transport::Udp, external_port, to, node: 0, port };
    router(NatPlan { forwards: vec![forward], ..plan() })
}

#[test]
#[ignore = "run inside"]
fn a_new_forward_wins_over_mappings_and_flows() {
    let (none, to_b, to_a) = (router(plan()), forwarding(5000, B, 7001), forwarding(5000, A, 7002));
    let net = Net::with(plan());
    let [one, other] = [S1, S2].map(|host| net.outside(host, 3478));
    let (client, b, a) = (net.inside(A, 5000), net.inside(B, 7001), net.inside(A, 7002));
    let external = SocketAddr::V4(seen(&client, &one));
    assert_eq!(external, SocketAddr::V4(v4("203.0.113.1:5000")));
    assert_eq!(seen_at(&one, external, &client), v4("203.0.113.2:3478"));
    net.replace([&none, &to_b]);
    // Also from the endpoint that had a flow with the mapping.
    for server in [&one, &other] {
        seen_at(server, external, &b);
    }
    let new = SocketAddr::V4(seen(&client, &one));
    assert_ne!(new, external);
    seen_at(&one, new, &client);
    // To another host; flows of the first forward end.
    net.replace([&to_b, &to_a]);
    for server in [&one, &other] {
        seen_at(server, external, &a);
    }
    // Without a forward, the mapping that it made is gone.
    net.replace([&to_a, &none]);
    let left = net.mappings(&none);
    assert!(left.iter().all(|one| SocketAddr::V4(one.outside) != external), "{left:?}");
}

#[test]
#[ignore = "run inside"]
fn a_forward_to_another_host_takes_new_connections() {
    let (to_b, none, to_a) = (forwarding(5000, B, 7001), router(plan()), forwarding(5000, A, 7002));
    let net = Net::with(to_b.nats[0].clone());
    let external = SocketAddr::V4(v4("203.0.113.1:5000"));
    let (b, a) = (net.inside(B, 7001), net.inside(A, 7002));
    seen_at(&net.outside(S1, 1), external, &b);
    net.replace([&to_b, &none]);
    net.replace([&none, &to_a]);
    for port in [1, 2] {
        seen_at(&net.outside(S1, port), external, &a);
    }
}

/// Sends from all sockets until the end.
/// Waits until so many clients have a mapping each, and returns the mappings.
fn mappings_of_all(net: &Net, node: &NodePlan, clients: usize) -> Vec<NatMapping> {
    let end = Instant::now() + LIMIT;
    loop {
        let mappings = net.mappings(node);
        if mappings.len() == clients {
            return mappings;
        }
        let count = mappings.len();
        assert!(Instant::now() < end, "{count} mappings of {clients} clients: {mappings:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

fn send_on(clients: &[UdpSocket], to: SocketAddr, is_over: &AtomicBool) {
    while !is_over.load(Ordering::Relaxed) {
        for client in clients {
            drop(client.send_to(b"more", to));
        }
    }
}

#[test]
#[ignore = "run inside"]
fn a_flush_under_traffic_forgets_all_mappings() {
    let node = router(NatPlan { port_preservation: false, ..plan() });
    let net = Net::with(node.nats[0].clone());
    let sink = net.outside(S2, 9).local_addr().unwrap();
    let clients: Vec<UdpSocket> = (0..60).map(|at| net.inside(A, 5000 + at)).collect();
    let is_over = AtomicBool::new(false);
    let mut kept = 0;
    std::thread::scope(|scope| {
        // The scope waits for its threads also when this one panics.
        let end = OnDrop(|| is_over.store(true, Ordering::Relaxed));
        for half in clients.chunks(30) {
            let is_over = &is_over;
            scope.spawn(move || send_on(half, sink, is_over));
        }
        for _ in 0..50 {
            let before = mappings_of_all(&net, &node, clients.len());
            net.nft(|nft| nat::flush(nft, &node)).unwrap();
            let is_old = |one: &&NatMapping| {
                before.iter().any(|old| (old.inside, old.outside) == (one.inside, one.outside))
            };
            kept += net.mappings(&node).iter().filter(is_old).count();
        }
        drop(end);
    });
    // Of 3000, one is the same of 64512 ports by chance now and then.
    assert!(kept <= 4, "{kept}");
}

#[test]
#[ignore = "run inside"]
fn a_flush_ends_tcp_connections() {
    let node = router(plan());
    let net = Net::with(plan());
    let listener = within(&net.outside, || TcpListener::bind((S1, 80)).unwrap());
    let to = listener.local_addr().unwrap();
    let connect = || {
        let near = within(&net.inside, || TcpStream::connect_timeout(&to, LIMIT).unwrap());
        (near, listener.accept().unwrap().0)
    };
    let (mut near, mut far) = connect();
    net.nft(|nft| nat::flush(nft, &node)).unwrap();
    near.write_all(b"lost").unwrap();
    far.write_all(b"lost").unwrap();
    until("it is dropped", || net.count(&node, "drop out: of no flow") > 0);
    assert_eq!(net.mappings(&node), []);
    let (mut new, mut other) = connect();
    new.write_all(b"x").unwrap();
    other.read_exact(&mut [0]).unwrap();
    near.set_nonblocking(true).unwrap();
    assert_eq!(near.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    // Its packets are for the router itself now, which knows no such connection.
    far.set_read_timeout(Some(LIMIT)).unwrap();
    assert_eq!(far.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
#[ignore = "run inside"]
fn an_error_about_udp_is_no_mapping_of_icmp() {
    let node = router(NatPlan { filtering: Filtering::EndpointIndependent, ..plan() });
    let net = Net::with(node.nats[0].clone());
    let server = net.outside(S1, 3478);
    let client = net.inside(A, 5000);
    let external = seen(&client, &server);
    drop(client);
    server.connect(external).unwrap();
    server.send(b"closed").unwrap();
    assert_eq!(server.recv(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    let mappings = net.mappings(&node);
    assert!(mappings.iter().all(|one| one.protocol == NatProtocol::Udp), "{mappings:?}");
}

#[test]
#[ignore = "run inside"]
fn nothing_is_left_of_a_nat_that_is_removed() {
    let names = ["udp_timeout", "udp_timeout_stream", "tcp_timeout_established", "tcp_loose"];
    let names = names.map(|name| format!("netfilter/nf_conntrack_{name}"));
    let net = Net::new();
    let values = || within(&net.router, || names.each_ref().map(|name| read(name)));
    net.apply(&router(plan())).unwrap();
    assert_eq!(values(), ["300", "300", "7440", "0"]);
    net.apply(&bare("home", NodeKind::Router)).unwrap();
    assert_eq!(values(), ["30", "120", "432000", "1"]);
}
