//! Changes while packets pass: other rules, flush, another address outside. Run by
//! `rules_treat_packets_as_planned`.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

use crate::lab::nat;
use crate::lab::plan::nat::{NatPlan, PortForwardPlan};
use crate::lab::tests::engine::net::{LIMIT, ask, within};
use crate::lab::tests::nat_rules::net::{
    A, B, Net, OF_B, POOL, S1, S2, WAN, X, add_addresses, bare, cidr, plan, router, seen, seen_at,
    udp, until, v4,
};
use crate::lab::topology::NodeKind;
use crate::lab::topology::nat::model::{Mapping, Transport};
use crate::netlink::addr;
use crate::netlink::conntrack;

#[test]
#[ignore = "run inside"]
fn mappings_survive_other_rules_but_no_flush() {
    let random = NatPlan { port_preservation: false, ..plan() };
    let mut node = router(random.clone());
    let net = Net::with(random.clone());
    let server = net.outside(S1, 3478);
    let client = net.inside(A, 5000);
    let external = seen(&client, &server);
    let mapping = &net.mappings(&node)[0];
    assert_eq!((mapping.inside, mapping.outside), (v4("10.0.0.2:5000"), external));
    assert_eq!(mapping.interface, "wan");
    node.nats[0].forwards = vec![PortForwardPlan {
        protocol: Transport::Udp,
        external_port: 7000,
        to: B.parse().unwrap(),
        node: 0,
        port: 7001,
    }];
    net.apply(&node).unwrap();
    assert_eq!(net.mappings(&node)[0].outside, external);
    assert_eq!(seen(&client, &net.outside(S2, 1)), external);
    assert!(!net.nft(conntrack::flows).unwrap().is_empty());
    net.nft(|nft| nat::flush(nft, &node)).unwrap();
    assert_eq!(net.mappings(&node), []);
    assert_eq!(net.nft(conntrack::flows).unwrap(), []);
    // One of 64512 ports is the old one by chance.
    let again = seen(&client, &server);
    assert!(again != external || seen(&net.inside(A, 5001), &server) != external);
    // What maps in another way starts anew.
    node.nats[0].mapping = Mapping::AddressAndPortDependent;
    net.apply(&node).unwrap();
    assert_eq!(net.mappings(&node), []);
    // And without a NAT, nothing is left.
    net.apply(&bare("home", NodeKind::Router)).unwrap();
    net.nft(|nft| nat::flush(nft, &bare("home", NodeKind::Router))).unwrap();
    assert_eq!(seen(&client, &server), v4("10.0.0.2:5000"));
    assert_eq!(net.counters(&node), []);
}

#[test]
#[ignore = "run inside"]
fn rules_follow_the_address_outside() {
    let node = router(NatPlan { port_preservation: false, ..plan() });
    let net = Net::with(node.nats[0].clone());
    let server = net.outside(S1, 3478);
    let client = net.inside(A, 5000);
    let before = seen(&client, &server);
    let other = "203.0.113.77";
    add_addresses(&net.router, WAN, &[other]);
    let remove: Vec<_> = [X, POOL[0], POOL[1], OF_B]
        .iter()
        .map(|one| addr::remove(String::new(), WAN, cidr(one)))
        .collect::<Vec<_>>();
    within(&net.router, || {
        crate::lab::tests::nat_rules::net::write("ipv4/conf/wan/promote_secondaries", "1");
    });
    ask(&net.router, &remove);
    // The kernel forgets flows of an address that is gone a little later.
    let mut after = before;
    until("the new address is used", || {
        after = seen(&client, &server);
        after.ip() != before.ip()
    });
    assert_eq!((after.ip().to_string().as_str(), after.port()), (other, before.port()));
    assert_eq!(seen_at(&server, SocketAddr::V4(after), &client), v4("203.0.113.2:3478"));
    let b = net.inside(B, 5001);
    seen(&b, &server);
    assert_eq!(seen_at(&b, SocketAddr::V4(after), &client).ip().to_string(), other);
    // The old endpoint is no host's.
    b.send_to(b"old", before).unwrap();
    assert_eq!(seen_at(&server, SocketAddr::V4(after), &client), v4("203.0.113.2:3478"));
}

#[test]
#[ignore = "run inside"]
fn open_connections_survive_other_rules() {
    let mut node = router(plan());
    let net = Net::with(plan());
    let listener = within(&net.outside, || TcpListener::bind((S1, 80)).unwrap());
    let to = listener.local_addr().unwrap();
    let mut near = within(&net.inside, || TcpStream::connect_timeout(&to, LIMIT).unwrap());
    let (mut far, _) = listener.accept().unwrap();
    for plan in [NatPlan { hairpinning: false, ..plan() }, NatPlan { ports: 1..=9000, ..plan() }] {
        node.nats[0] = plan;
        net.apply(&node).unwrap();
        far.write_all(b"data").unwrap();
        let mut buffer = [0; 4];
        near.set_read_timeout(Some(LIMIT)).unwrap();
        near.read_exact(&mut buffer).unwrap();
        assert_eq!(&buffer, b"data");
    }
}

#[test]
#[ignore = "run inside"]
fn a_refused_change_names_its_object_and_changes_nothing() {
    let net = Net::with(plan());
    // One external address for two hosts.
    let one_to_one = vec![
        (OF_B.parse().unwrap(), A.parse().unwrap()),
        (OF_B.parse().unwrap(), B.parse().unwrap()),
    ];
    let error = net.apply(&router(NatPlan { one_to_one, ..plan() })).unwrap_err().to_string();
    let start = "add elements of set inside-of-0 of nftables table inet netns-test on home: E";
    assert!(error.starts_with(start), "{error}");
    let client = net.inside(A, 5000);
    assert_eq!(seen(&client, &net.outside(S1, 3478)), v4("203.0.113.1:5000"));
    assert!(!net.counters(&router(plan())).is_empty());
}

#[test]
#[ignore = "run inside"]
fn a_router_has_a_nat_on_each_of_two_outsides() {
    let net = Net::new();
    let second = net.second_outside();
    let mut node = router(plan());
    node.nats.push(NatPlan { outside: "wan2".to_owned(), port_preservation: false, ..plan() });
    net.apply(&node).unwrap();
    let servers = [net.outside(S1, 3478), udp(&second, "198.51.100.2", 3478)];
    let [a, b] = [net.inside(A, 5000), net.inside(B, 5001)];
    let of_b = servers.each_ref().map(|server| seen(&b, server));
    assert_eq!(of_b[0], v4("203.0.113.1:5001"));
    assert_eq!(of_b[1].ip().to_string(), "198.51.100.1");
    assert_ne!(of_b[1].port(), 5001);
    let of_a = servers.each_ref().map(|server| seen(&a, server));
    // A hairpin is of the NAT whose address it is sent to.
    assert_eq!(of_b.map(|to| seen_at(&a, SocketAddr::V4(to), &b)), of_a);
    for (server, to) in servers.iter().zip(of_a) {
        let SocketAddr::V4(from) = server.local_addr().unwrap() else { panic!("no IPv4") };
        assert_eq!(seen_at(server, SocketAddr::V4(to), &a), from);
    }
    let mut names: Vec<_> = net.mappings(&node).into_iter().map(|one| one.interface).collect();
    names.sort();
    assert_eq!(names, ["wan", "wan", "wan2", "wan2"]);
}
