//! Firewalls of routers and hosts. Run by `rules_treat_packets_as_planned`.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;

use crate::lab::plan::NodePlan;
use crate::lab::plan::nat::{FirewallPlan, FirewallRulePlan, NatPlan};
use crate::lab::tests::engine::net::{LIMIT, within};
use crate::lab::tests::nat_rules::net::{
    A, B, Net, S1, S2, plan, seen, seen_at, udp, until, with_firewall,
};
use crate::lab::topology::NodeKind;
use crate::lab::topology::nat::model::{FirewallAction, FirewallDirection};

const ALLOW: FirewallAction = FirewallAction::Allow;
const DROP: FirewallAction = FirewallAction::Drop;
const REJECT: FirewallAction = FirewallAction::Reject;
const OUT: FirewallDirection = FirewallDirection::Out;
const IN: FirewallDirection = FirewallDirection::In;

fn wall(defaults: [FirewallAction; 2], rules: Vec<FirewallRulePlan>) -> FirewallPlan {
    FirewallPlan { outside: vec!["wan".to_owned()], rules, defaults, drops_icmp_errors: false }
}

fn rule(
    direction: FirewallDirection,
    action: FirewallAction,
    protocol: Option<u8>,
    ports: &[u16],
    text: &str,
) -> FirewallRulePlan {
    let ports = ports.iter().map(|port| *port..=*port).collect();
    let (from, to, text) = (Vec::new(), Vec::new(), text.to_owned());
    FirewallRulePlan {
        direction,
        protocol,
        ports,
        from,
        to,
        nodes: Default::default(),
        action,
        text,
    }
}

fn on_router(plan: FirewallPlan) -> NodePlan {
    with_firewall("home", NodeKind::Router, plan)
}

fn listen(network: &OwnedFd, address: &str, port: u16) -> TcpListener {
    let address: IpAddr = address.parse().unwrap();
    within(network, || TcpListener::bind((address, port)).unwrap())
}

fn connect(network: &OwnedFd, to: &TcpListener) -> io::Result<TcpStream> {
    let to = to.local_addr().unwrap();
    within(network, || TcpStream::connect_timeout(&to, LIMIT))
}

/// Addresses of both families on the inside and the outside.
const PAIRS: [(&str, &str); 2] = [(A, S1), ("fd00:1::2", "fd00:2::2")];

fn exchange(from: &UdpSocket, to: &UdpSocket) {
    from.send_to(b"there", to.local_addr().unwrap()).unwrap();
    let (_, source) = to.recv_from(&mut [0; 8]).unwrap();
    to.send_to(b"back", source).unwrap();
    assert_eq!(from.recv_from(&mut [0; 8]).unwrap(), (4, to.local_addr().unwrap()));
}

#[test]
#[ignore = "run inside"]
fn nothing_unasked_comes_in() {
    let node = on_router(wall([ALLOW, DROP], Vec::new()));
    let net = Net::new();
    net.apply(&node).unwrap();
    for (number, (inner, outer)) in (1..).zip(PAIRS) {
        let [client, server] = [udp(&net.inside, inner, 5000), udp(&net.outside, outer, 3478)];
        exchange(&client, &server);
        let other = udp(&net.outside, outer, 0);
        other.send_to(b"in", client.local_addr().unwrap()).unwrap();
        until("it is dropped", || net.count(&node, "drop in all else") == number * 3 - 2);
        // What comes to the router itself, too.
        let own = udp(&net.router, if number == 1 { "203.0.113.1" } else { "fd00:2::1" }, 9);
        other.send_to(b"in", own.local_addr().unwrap()).unwrap();
        until("it is dropped", || net.count(&node, "drop in all else") == number * 3 - 1);
        exchange(&own, &server);
        let to = own.local_addr().unwrap();
        other.send_to(b"in", to).unwrap();
        until("it is dropped", || net.count(&node, "drop in all else") == number * 3);
        // From inside, the router can be reached, and the other way.
        exchange(&client, &own);
        let listener = listen(&net.outside, outer, 80);
        connect(&net.inside, &listener).unwrap();
        // An error that belongs to a flow comes in.
        client.connect((outer.parse::<IpAddr>().unwrap(), 9)).unwrap();
        client.send(b"closed").unwrap();
        let error = client.recv(&mut [0; 8]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }
}

#[test]
#[ignore = "run inside"]
fn the_first_rule_that_matches_decides() {
    let rules = vec![
        rule(OUT, ALLOW, Some(6), &[80, 443], "allow out tcp 80, 443"),
        rule(OUT, DROP, Some(17), &[53], "drop out udp 53"),
        rule(OUT, ALLOW, Some(17), &[53, 123], "allow out udp 53, 123"),
        rule(OUT, ALLOW, Some(1), &[], "allow out ping"),
    ];
    let node = on_router(wall([REJECT, ALLOW], rules));
    let net = Net::new();
    net.apply(&node).unwrap();
    for (number, (inner, outer)) in (1..).zip(PAIRS) {
        for (port, passes) in [(80, true), (443, true), (81, false)] {
            let listener = listen(&net.outside, outer, port);
            let result = connect(&net.inside, &listener);
            let kind = result.map(drop).map_err(|error| error.kind());
            let expected = if passes { Ok(()) } else { Err(io::ErrorKind::ConnectionRefused) };
            assert_eq!(kind, expected, "{outer} {port}");
        }
        let client = udp(&net.inside, inner, 0);
        exchange(&client, &udp(&net.outside, outer, 123));
        client.send_to(b"dropped", (outer.parse::<IpAddr>().unwrap(), 53)).unwrap();
        until("it is dropped", || net.count(&node, "drop out udp 53") == number);
        // Rejected by ICMP.
        client.connect((outer.parse::<IpAddr>().unwrap(), 54)).unwrap();
        client.send(b"rejected").unwrap();
        let error = client.recv(&mut [0; 8]).unwrap_err();
        assert!(
            [io::ErrorKind::HostUnreachable, io::ErrorKind::PermissionDenied]
                .contains(&error.kind()),
            "{error:?}"
        );
        // In comes all.
        let server = udp(&net.outside, outer, 0);
        exchange(&server, &udp(&net.inside, inner, 7));
    }
    // A SYN that is repeated counts again.
    assert!(net.count(&node, "allow out tcp 80, 443") >= 4);
    assert_eq!(net.count(&node, "allow out udp 53, 123"), 2);
    assert!(net.count(&node, "reject out all else") >= 4);
    let counters = net.counters(&node);
    assert!(counters.iter().all(|one| one.text.starts_with("firewall of home: ")), "{counters:?}");
    // Pings are let out: an answer, or here the refusal of a ping socket, would be no ICMP error.
    let echo =
        within(&net.inside, || crate::sys::net::ping::Echo::open(S1.parse().unwrap()).unwrap());
    echo.send(None).unwrap();
    until("ping", || net.count(&node, "allow out ping") == 1);
}

#[test]
#[ignore = "run inside"]
fn rules_are_of_nodes() {
    let mut only_b = rule(OUT, ALLOW, None, &[], "allow out from b to s1");
    only_b.from = vec![B.parse().unwrap(), "fd00:1::3".parse().unwrap()];
    only_b.to = vec![S1.parse().unwrap()];
    let node = on_router(wall([DROP, DROP], vec![only_b]));
    let net = Net::new();
    net.apply(&node).unwrap();
    let [one, other] = [S1, S2].map(|host| net.outside(host, 3478));
    exchange(&net.inside(B, 5000), &one);
    for (number, (from, to)) in (1..).zip([(A, &one), (B, &other)]) {
        net.inside(from, 5001).send_to(b"no", to.local_addr().unwrap()).unwrap();
        until("it is dropped", || net.count(&node, "drop out all else") == number);
    }
    let six = udp(&net.inside, "fd00:1::2", 5001);
    six.send_to(b"no", ("fd00:2::2".parse::<IpAddr>().unwrap(), 1)).unwrap();
    until("it is dropped", || net.count(&node, "drop out all else") == 3);
}

#[test]
#[ignore = "run inside"]
fn a_host_has_a_firewall_of_its_own() {
    let rules = vec![
        rule(IN, ALLOW, Some(17), &[7], "allow in udp 7"),
        rule(IN, REJECT, Some(6), &[], "reject in tcp"),
        rule(OUT, REJECT, Some(6), &[25], "reject out tcp 25"),
    ];
    let plan = FirewallPlan { outside: Vec::new(), ..wall([ALLOW, DROP], rules) };
    let node = with_firewall("server", NodeKind::Host, plan);
    let net = Net::new();
    let apply = |nft: &mut _| crate::lab::nat::apply(nft, &node);
    let on = |work: &(dyn Fn() -> u64 + Sync)| within(&net.outside, work);
    within(&net.outside, || apply(&mut crate::netlink::nft::Nft::open().unwrap())).unwrap();
    let count = |text: &str| {
        on(&|| {
            let mut nft = crate::netlink::nft::Nft::open().unwrap();
            let all = crate::lab::nat::counters(&mut nft, &node).unwrap();
            all.iter().find(|one| one.text.contains(text)).unwrap().packets
        })
    };
    for (number, (inner, outer)) in (1..).zip(PAIRS) {
        let client = udp(&net.inside, inner, 5000);
        exchange(&client, &udp(&net.outside, outer, 7));
        let closed = udp(&net.outside, outer, 8);
        client.send_to(b"no", closed.local_addr().unwrap()).unwrap();
        until("it is dropped", || count("drop in all else") == number);
        exchange(&closed, &client);
        let listener = listen(&net.outside, outer, 80);
        let refused = connect(&net.inside, &listener).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        let listener = listen(&net.inside, inner, 25);
        let refused = connect(&net.outside, &listener).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        // On the host itself, nothing is filtered.
        let own = listen(&net.outside, if number == 1 { "127.0.0.1" } else { "::1" }, 25);
        connect(&net.outside, &own).unwrap();
    }
}

#[test]
#[ignore = "run inside"]
fn icmp_errors_are_dropped_on_request() {
    let plan = FirewallPlan { drops_icmp_errors: true, ..wall([ALLOW, ALLOW], Vec::new()) };
    let node = on_router(plan);
    let net = Net::new();
    net.apply(&node).unwrap();
    for (number, (inner, outer)) in (1..).zip(PAIRS) {
        let client = udp(&net.inside, inner, 5000);
        exchange(&client, &udp(&net.outside, outer, 3478));
        client.send_to(b"closed", (outer.parse::<IpAddr>().unwrap(), 9)).unwrap();
        until("the error is dropped", || net.count(&node, "drop icmp errors") == number);
    }
}

#[test]
#[ignore = "run inside"]
fn a_router_has_a_firewall_and_a_nat() {
    let rules = vec![rule(IN, ALLOW, Some(17), &[51820], "allow in udp 51820")];
    let nats = vec![NatPlan { ..plan() }];
    let node = NodePlan { nats, ..on_router(wall([ALLOW, DROP], rules)) };
    let net = Net::new();
    net.apply(&node).unwrap();
    let [server, other] = [S1, S2].map(|host| net.outside(host, 3478));
    let client = net.inside(A, 5000);
    let external = seen(&client, &server);
    assert_eq!(seen_at(&server, SocketAddr::V4(external), &client).port(), 3478);
    // The NAT lets it in, the firewall does not.
    other.send_to(b"in", external).unwrap();
    until("it is dropped", || net.count(&node, "drop in all else") == 1);
    // The router's own flows, also one that is begun outside.
    let own = udp(&net.router, "203.0.113.1", 51820);
    assert_eq!(seen(&other, &own).port(), 3478);
    assert_eq!(seen(&own, &other).port(), 51820);
    let own = udp(&net.router, "203.0.113.1", 1234);
    exchange(&own, &server);
    own.connect((S1, 9)).unwrap();
    own.send(b"closed").unwrap();
    let error = own.recv(&mut [0; 8]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    let listener = listen(&net.outside, S1, 80);
    connect(&net.inside, &listener).unwrap();
    connect(&net.router, &listener).unwrap();
}

#[test]
#[ignore = "run inside"]
fn rules_with_long_texts_have_counters_of_their_own() {
    let start = "allow out udp to a node with a name that is as long as can be ".repeat(3);
    let text = |port: u16| format!("{start}{port}");
    let rules = [53, 123].map(|port| rule(OUT, ALLOW, Some(17), &[port], &text(port)));
    let node = on_router(wall([DROP, DROP], rules.to_vec()));
    let net = Net::new();
    net.apply(&node).unwrap();
    for _ in 0..3 {
        exchange(&net.inside(A, 0), &net.outside(S1, 123));
    }
    exchange(&net.inside(A, 0), &net.outside(S1, 53));
    assert_eq!([53, 123].map(|port| net.count(&node, &text(port))), [1, 3]);
}

#[test]
#[ignore = "run inside"]
fn a_firewall_of_a_nat_rejects() {
    let rules = vec![rule(OUT, REJECT, Some(6), &[80], "reject out tcp 80")];
    let node = NodePlan { nats: vec![plan()], ..on_router(wall([ALLOW, REJECT], rules)) };
    let net = Net::new();
    net.apply(&node).unwrap();
    let to = SocketAddr::from(([203, 0, 113, 1], 5000));
    let connect = |network, to| within(network, || TcpStream::connect_timeout(&to, LIMIT));
    let refused = connect(&net.outside, to).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    let listener = listen(&net.outside, S1, 80);
    let refused = connect(&net.inside, listener.local_addr().unwrap()).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
}
