//! Mapping, filtering, hairpinning and refresh (RFC 4787). Run by `rules_treat_packets_as_planned`.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use crate::lab::plan::nat::{NatPlan, NatTimeouts};
use crate::lab::tests::engine::net::LIMIT;
use crate::lab::tests::nat_rules::net::{
    A, B, Net, S1, S2, X, arrives, plan, router, seen, seen_at, until, v4,
};
use crate::lab::topology::nat::model::{Filtering, Mapping};

const MAPPINGS: [Mapping; 3] =
    [Mapping::EndpointIndependent, Mapping::AddressDependent, Mapping::AddressAndPortDependent];

const FILTERINGS: [Filtering; 3] = [
    Filtering::EndpointIndependent,
    Filtering::AddressDependent,
    Filtering::AddressAndPortDependent,
];

/// Servers: two addresses with two ports each.
fn servers(net: &Net) -> [UdpSocket; 4] {
    [(S1, 3478), (S1, 3479), (S2, 3478), (S2, 3479)].map(|(host, port)| net.outside(host, port))
}

#[test]
#[ignore = "run inside"]
fn external_endpoints_depend_on_what_the_mapping_says() {
    for mapping in MAPPINGS {
        for port_preservation in [true, false] {
            let net = Net::with(NatPlan { mapping, port_preservation, ..plan() });
            let [one, same_address, other, _] = servers(&net);
            let client = net.inside(A, 5000);
            let first = seen(&client, &one);
            let context = format!("{mapping:?} {port_preservation} {first}");
            assert_eq!(first.ip().to_string(), X, "{context}");
            assert_eq!(first.port() == 5000, port_preservation, "{context}");
            let is_same =
                [&one, &same_address, &other].map(|server| seen(&client, server) == first);
            let expected = match mapping {
                Mapping::EndpointIndependent => [true, true, true],
                Mapping::AddressDependent => [true, true, false],
                Mapping::AddressAndPortDependent => [true, false, false],
            };
            assert_eq!(is_same, expected, "{context}");
            // Answers arrive.
            assert_eq!(seen_at(&one, SocketAddr::V4(first), &client), v4("203.0.113.2:3478"));
        }
    }
}

#[test]
#[ignore = "run inside"]
fn packets_from_outside_pass_as_the_filtering_says() {
    for filtering in FILTERINGS {
        for mapping in [Mapping::EndpointIndependent, Mapping::AddressDependent] {
            let net = Net::with(NatPlan { mapping, filtering, ..plan() });
            let [one, same_address, other, _] = servers(&net);
            let client = net.inside(A, 5000);
            let external = seen(&client, &one);
            let passes =
                [&one, &same_address, &other].map(|from| arrives(from, external, &client, &one));
            let expected = match filtering {
                Filtering::EndpointIndependent => [true, true, true],
                Filtering::AddressDependent => [true, true, false],
                Filtering::AddressAndPortDependent => [true, false, false],
            };
            assert_eq!(passes, expected, "{filtering:?} {mapping:?}");
            // An answer to a packet that was let in goes out by the same external endpoint.
            if expected[1] {
                assert_eq!(seen(&client, &same_address), external, "{filtering:?}");
            }
        }
    }
}

#[test]
#[ignore = "run inside"]
fn two_hosts_with_one_port_have_a_mapping_each() {
    for mapping in MAPPINGS {
        let net = Net::with(NatPlan { mapping, ..plan() });
        let [one, _, other, last] = servers(&net);
        let [a, b] = [A, B].map(|host| net.inside(host, 5002));
        let of_a = seen(&a, &one);
        assert_eq!(of_a.port(), 5002);
        // First to a server to which A has not sent.
        let of_b = [&last, &one, &other].map(|server| seen(&b, server));
        assert!(!of_b.contains(&of_a), "{mapping:?}: {of_a} {of_b:?}");
        if mapping == Mapping::EndpointIndependent {
            assert_eq!(of_b, [of_b[0]; 3]);
            assert_eq!(seen(&a, &other), of_a);
            // Both can be reached.
            assert!(arrives(&last, of_a, &a, &one));
            assert!(arrives(&last, of_b[0], &b, &one));
        }
        let mappings = net.mappings(&router(NatPlan { mapping, ..plan() }));
        let mut outside: Vec<_> = mappings.iter().map(|one| one.outside).collect();
        let count = outside.len();
        outside.dedup();
        assert_eq!(outside.len(), count, "{mappings:?}");
    }
}

#[test]
#[ignore = "run inside"]
fn an_early_packet_takes_no_port() {
    for filtering in FILTERINGS {
        let net = Net::with(NatPlan { filtering, ..plan() });
        let [one, _, other, _] = servers(&net);
        let client = net.inside(A, 5003);
        // The peer's packet is first.
        one.send_to(b"early", (X, 5003)).unwrap();
        let node = router(NatPlan { filtering, ..plan() });
        // It gets no answer, so the peer's own attempt goes on.
        until("it is early", || net.count(&node, "drop in: no mapping") == 1);
        let external = seen(&client, &other);
        assert_eq!((external.port(), seen(&client, &one)), (5003, external), "{filtering:?}");
        assert_eq!(seen_at(&one, SocketAddr::V4(external), &client), v4("203.0.113.2:3478"));
    }
}

#[test]
#[ignore = "run inside"]
fn hairpins_have_the_external_source() {
    for filtering in FILTERINGS {
        let net = Net::with(NatPlan { filtering, ..plan() });
        let [one, ..] = servers(&net);
        let [a, b] = [net.inside(A, 5005), net.inside(B, 5006)];
        let [of_a, of_b] = [&a, &b].map(|client| seen(client, &one));
        assert_eq!(seen_at(&a, SocketAddr::V4(of_b), &b), of_a);
        assert_eq!(seen_at(&b, SocketAddr::V4(of_a), &a), of_b);
        // A host that has no mapping yet gets one, and two ports of one host reach each other.
        let fresh = net.inside(A, 5007);
        let of_fresh = seen_at(&fresh, SocketAddr::V4(of_a), &a);
        assert_eq!(of_fresh, v4("203.0.113.1:5007"));
        assert_eq!(seen(&fresh, &one), of_fresh);
        // The router's own address inside is none.
        let lan = v4("10.0.0.1:5006");
        a.send_to(b"not to b", lan).unwrap();
        assert_eq!(seen_at(&a, SocketAddr::V4(of_b), &b), of_a);
    }
}

#[test]
#[ignore = "run inside"]
fn hairpins_of_both_sides_at_once_keep_their_ports() {
    let net = Net::with(plan());
    let [one, ..] = servers(&net);
    let [a, b] = [net.inside(A, 5005), net.inside(B, 5006)];
    let of_a = seen(&a, &one);
    // A's packet is early: B has no mapping yet.
    a.send_to(b"early", (X, 5006)).unwrap();
    let of_b = seen_at(&b, SocketAddr::V4(of_a), &a);
    assert_eq!(of_b, v4("203.0.113.1:5006"));
    assert_eq!(seen_at(&a, SocketAddr::V4(of_b), &b), of_a);
    assert_eq!(seen(&b, &one), of_b);
}

#[test]
#[ignore = "run inside"]
fn without_hairpinning_inside_hosts_do_not_meet() {
    let net = Net::with(NatPlan { hairpinning: false, ..plan() });
    let [one, ..] = servers(&net);
    let [a, b] = [net.inside(A, 5005), net.inside(B, 5006)];
    let of_b = seen(&b, &one);
    assert!(!arrives(&a, of_b, &b, &one));
}

#[test]
#[ignore = "run inside"]
fn packets_refresh_a_mapping() {
    let timeouts = NatTimeouts { udp: 2, ..plan().timeouts };
    for inbound_refresh in [true, false] {
        let net = Net::with(NatPlan { timeouts, inbound_refresh, ..plan() });
        let [one, _, other, _] = servers(&net);
        let [a, b] = [net.inside(A, 5010), net.inside(B, 5011)];
        let [of_a, of_b] = [&a, &b].map(|client| seen(client, &one));
        // A sends, B only receives, over more than three time-outs.
        let end = Instant::now() + Duration::from_secs(7);
        while Instant::now() < end {
            assert_eq!(seen(&a, &one), of_a);
            one.send_to(b"to b", of_b).unwrap();
            std::thread::sleep(Duration::from_millis(200));
        }
        assert!(arrives(&other, of_a, &a, &one));
        let node = router(NatPlan { timeouts, inbound_refresh, ..plan() });
        let has_b = net.mappings(&node).iter().any(|one| one.outside == of_b);
        assert_eq!(has_b, inbound_refresh);
        // What the mapping says holds for packets.
        b.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        while b.recv(&mut [0; 16]).is_ok() {}
        let before = net.count(&node, "drop in: no mapping");
        b.set_read_timeout(Some(LIMIT)).unwrap();
        if inbound_refresh {
            one.send_to(b"to b", of_b).unwrap();
            assert_eq!(b.recv(&mut [0; 16]).unwrap(), 4);
        } else {
            // What is counted is the router's ICMP error, of which there is one a second
            // (`icmp_ratelimit`, icmp(7)).
            until("the packet is not answered", || {
                one.send_to(b"to b", of_b).unwrap();
                net.count(&node, "drop in: no mapping") > before
            });
        }
    }
}

#[test]
#[ignore = "run inside"]
fn an_unused_mapping_expires() {
    let timeouts = NatTimeouts { udp: 1, ..plan().timeouts };
    let net = Net::with(NatPlan { timeouts, ..plan() });
    let node = router(NatPlan { timeouts, ..plan() });
    let [one, ..] = servers(&net);
    let client = net.inside(A, 5010);
    seen(&client, &one);
    let mappings = net.mappings(&node);
    assert!(mappings.len() <= 1 && mappings.iter().all(|one| one.expires.is_some()));
    until("the mapping expires", || net.mappings(&node).is_empty());
}

#[test]
#[ignore = "run inside"]
fn inside_addresses_are_not_reached_from_outside() {
    let net = Net::with(plan());
    let [one, ..] = servers(&net);
    let client = net.inside(A, 5000);
    let external = seen(&client, &one);
    // The outside has a route to the inside.
    for _ in 0..3 {
        one.send_to(b"no", (A, 5000)).unwrap();
        assert_eq!(seen_at(&one, SocketAddr::V4(external), &client), v4("203.0.113.2:3478"));
    }
    let node = router(plan());
    until("they are dropped", || net.count(&node, "drop in: to an inside address") == 3);
}
