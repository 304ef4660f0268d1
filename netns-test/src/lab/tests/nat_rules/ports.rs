//! External ports and addresses: ranges, blocks, pools, 1:1, forwarded ports. Run by
//! `rules_treat_packets_as_planned`.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};

use crate::lab::plan::nat::{NatPlan, PortForwardPlan};
use crate::lab::tests::engine::net::{LIMIT, within};
use crate::lab::tests::nat_rules::net::{
    A, B, ETH0, Net, OF_B, POOL, S1, S2, X, add_addresses, arrives, plan, router, seen, seen_at,
    until, v4,
};
use crate::lab::topology::nat::model::{Filtering, Transport};

fn address(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

#[test]
#[ignore = "run inside"]
fn ports_are_of_the_range_until_all_are_in_use() {
    for port_preservation in [true, false] {
        let node = router(NatPlan { ports: 2000..=2019, port_preservation, ..plan() });
        let net = Net::with(node.nats[0].clone());
        let server = net.outside(S1, 3478);
        let clients: Vec<_> = (0..21).map(|number| net.inside(A, 2010 + number)).collect();
        let ports: Vec<u16> =
            clients[..20].iter().map(|client| seen(client, &server).port()).collect();
        let all: BTreeSet<u16> = ports.iter().copied().collect();
        assert_eq!(all, (2000..2020).collect(), "{ports:?}");
        if port_preservation {
            assert_eq!(ports[..10], (2010..2020).collect::<Vec<_>>());
        }
        clients[20].send_to(b"none left", server.local_addr().unwrap()).unwrap();
        until("the packet is dropped", || net.count(&node, "no free external port") == 1);
        // Those that have one keep it.
        assert_eq!(seen(&clients[3], &server).port(), ports[3]);
    }
}

#[test]
#[ignore = "run inside"]
fn each_host_has_its_block() {
    let blocks = vec![(address(A), 2000..=2007), (address(B), 2008..=2015)];
    let node = router(NatPlan { blocks, port_preservation: false, ..plan() });
    let net = Net::with(node.nats[0].clone());
    let server = net.outside(S1, 3478);
    for (host, range) in [(A, 2000..2008), (B, 2008..2016)] {
        let clients: Vec<_> = (0..8).map(|number| net.inside(host, 5000 + number)).collect();
        let ports: BTreeSet<u16> =
            clients.iter().map(|client| seen(client, &server).port()).collect();
        assert_eq!(ports, range.collect());
    }
    net.inside(A, 6000).send_to(b"none left", server.local_addr().unwrap()).unwrap();
    until("the packet is dropped", || net.count(&node, "no free external port") == 1);
    // A host that has roamed here shares the rest with others.
    add_addresses(&net.inside, ETH0, &["10.0.0.4"]);
    let guest = net.inside("10.0.0.4", 2003);
    assert!((2016..=65535).contains(&seen(&guest, &server).port()));
}

#[test]
#[ignore = "run inside"]
fn a_pool_is_paired_or_not() {
    for is_paired in [true, false] {
        let pool = POOL.map(address).to_vec();
        let net = Net::with(NatPlan { pool: pool.clone(), is_paired, ..plan() });
        let [one, other] = [S1, S2].map(|host| net.outside(host, 3478));
        let of = |host: &str| -> BTreeSet<Ipv4Addr> {
            let clients: Vec<_> = (0..6).map(|number| net.inside(host, 5000 + number)).collect();
            let external = clients.iter().map(|client| {
                let external = seen(client, &one);
                // One mapping has one address in any case.
                assert_eq!(seen(client, &other), external);
                assert!(arrives(&other, external, client, &one));
                *external.ip()
            });
            external.collect()
        };
        let [a, b] = [A, B].map(of);
        if is_paired {
            assert_eq!((a.len(), b.len()), (1, 1));
            assert_ne!(a, b);
        } else {
            assert_eq!(
                [a.into_iter().collect::<Vec<_>>(), b.into_iter().collect()],
                [pool.clone(), pool]
            );
        }
    }
}

#[test]
#[ignore = "run inside"]
fn one_of_few_free_ports_is_found() {
    let (ports, port_preservation) = (20000..=24099, false);
    let net = Net::with(NatPlan { ports, port_preservation, ..plan() });
    let server = net.outside(S1, 3478);
    // The last ones are chosen from 2 of 100.
    let external: BTreeSet<SocketAddrV4> =
        (0..4040).map(|number| seen(&net.inside(A, 5000 + number), &server)).collect();
    assert_eq!(external.len(), 4040);
}

#[test]
#[ignore = "run inside"]
fn an_endpoint_of_a_pool_is_reached_from_inside() {
    let net = Net::with(NatPlan { pool: POOL.map(address).to_vec(), ..plan() });
    let server = net.outside(S1, 3478);
    let [a, b] = [net.inside(A, 5005), net.inside(B, 5006)];
    let [of_a, of_b] = [&a, &b].map(|client| seen(client, &server));
    assert_eq!(seen_at(&a, SocketAddr::V4(of_b), &b), of_a);
    assert_eq!(seen_at(&b, SocketAddr::V4(of_a), &a), of_b);
}

#[test]
#[ignore = "run inside"]
fn a_host_has_an_external_address_for_itself() {
    let one_to_one = vec![(address(OF_B), address(B))];
    let filtering = Filtering::AddressAndPortDependent;
    let net = Net::with(NatPlan { one_to_one, filtering, ..plan() });
    let server = net.outside(S1, 3478);
    let [a, b] = [net.inside(A, 5000), net.inside(B, 5000)];
    assert_eq!(seen(&a, &server), v4("203.0.113.1:5000"));
    assert_eq!(seen(&b, &server), v4("203.0.113.21:5000"));
    // All ports are open, without a packet from inside.
    let fresh = net.inside(B, 777);
    let external = SocketAddr::V4(v4("203.0.113.21:777"));
    assert_eq!(seen_at(&server, external, &fresh), v4("203.0.113.2:3478"));
    assert_eq!(seen(&fresh, &server), v4("203.0.113.21:777"));
    assert_eq!(seen_at(&a, external, &fresh), v4("203.0.113.1:5000"));
    assert_eq!(seen(&fresh, &a_at(&net)), v4("203.0.113.21:777"));
}

/// Another server.
fn a_at(net: &Net) -> std::net::UdpSocket {
    net.outside(S2, 3478)
}

fn forward(protocol: Transport, external_port: u16, to: &str, port: u16) -> PortForwardPlan {
    PortForwardPlan { protocol, external_port, to: address(to), node: 0, port }
}

#[test]
#[ignore = "run inside"]
fn forwarded_ports_lead_inside() {
    for pool in [Vec::new(), POOL.map(address).to_vec()] {
        let forwards =
            vec![forward(Transport::Udp, 7000, B, 7001), forward(Transport::Tcp, 8443, B, 443)];
        let filtering = Filtering::AddressAndPortDependent;
        let external = pool.first().map_or(address(X), |first| *first);
        let net = Net::with(NatPlan { forwards, filtering, pool, ..plan() });
        let server = net.outside(S1, 3478);
        let service = net.inside(B, 7001);
        let to = SocketAddr::new(external.into(), 7000);
        assert_eq!(seen_at(&server, to, &service), v4("203.0.113.2:3478"));
        assert_eq!(SocketAddr::V4(seen(&service, &server)), to);
        // From inside, too.
        let a = net.inside(A, 5000);
        let source = seen_at(&a, to, &service);
        assert_eq!(source.port(), 5000);
        assert_eq!(seen(&a, &server), source);
        // Its own packets have the port that is forwarded, and no other host gets it.
        assert_eq!(SocketAddr::V4(seen(&service, &net.outside(S2, 1))), to);
        let other = net.inside(A, 7000);
        assert_ne!(SocketAddr::V4(seen(&other, &server)), to);
        let listener = within(&net.inside, || TcpListener::bind((B, 443)).unwrap());
        let to = SocketAddr::new(external.into(), 8443);
        for (network, address) in [(&net.outside, Some("203.0.113.2")), (&net.inside, None)] {
            let stream = within(network, || TcpStream::connect_timeout(&to, LIMIT).unwrap());
            let (_, source) = listener.accept().unwrap();
            let expected = address.map_or(source.ip(), |address| address.parse().unwrap());
            assert_eq!(source.ip(), expected);
            assert!(source.ip().to_string().starts_with("203.0.113."), "{source}");
            drop(stream);
        }
    }
}

#[test]
#[ignore = "run inside"]
fn the_router_itself_is_reached_from_outside() {
    let net = Net::with(NatPlan { filtering: Filtering::AddressAndPortDependent, ..plan() });
    let server = net.outside(S1, 3478);
    let own = crate::lab::tests::nat_rules::net::udp(&net.router, X, 51820);
    let to = own.local_addr().unwrap();
    assert_eq!(seen_at(&server, to, &own), v4("203.0.113.2:3478"));
    assert_eq!(seen(&own, &server), v4("203.0.113.1:51820"));
    // An inside host does not get its port.
    let client = net.inside(A, 51820);
    assert_ne!(seen(&client, &server).port(), 51820);
    assert_eq!(seen(&own, &net.outside(S2, 1)), v4("203.0.113.1:51820"));
    let listener = within(&net.router, || TcpListener::bind((X, 22)).unwrap());
    let to = listener.local_addr().unwrap();
    for network in [&net.outside, &net.inside] {
        let stream = within(network, || TcpStream::connect_timeout(&to, LIMIT).unwrap());
        assert_eq!(listener.accept().unwrap().1, stream.local_addr().unwrap());
    }
    let of_router = within(&net.outside, || TcpListener::bind((S1, 80)).unwrap());
    let to = of_router.local_addr().unwrap();
    let stream = within(&net.router, || TcpStream::connect_timeout(&to, LIMIT).unwrap());
    assert_eq!(of_router.accept().unwrap().1, stream.local_addr().unwrap());
}
