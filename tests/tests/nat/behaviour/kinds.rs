//! Each kind of NAT against the probe of RFC 5780, and against what it does with UDP.

use std::time::Duration;

use netns_test::lab::{Filtering, Hairpinning, Mapping, Nat};
use netns_test::netns_test;
use test_case::test_case;

use netns_test_tests::packets::{KINDS, World, heard};

const LONG: Duration = Duration::from_secs(300);

/// Builds a NAT by its RFC words.
fn nat((mapping, filtering): (Mapping, Filtering)) -> Nat {
    Nat::new().mapping(mapping).filtering(filtering)
}

#[test_case(0)]
#[test_case(1)]
#[test_case(2)]
#[test_case(3)]
#[test_case(4)]
#[test_case(5)]
#[test_case(6)]
#[netns_test]
fn the_probe_finds_what_was_declared(kind: usize) {
    for is_preserving in [true, false] {
        for is_hairpinning in [true, false] {
            let nat = nat(KINDS[kind]).port_preservation(is_preserving);
            let nat = nat.hairpinning(is_hairpinning);
            let world = World::new(nat.clone());
            let found = world.lab.nat_kind(world.alice, world.a, world.b).unwrap();
            assert_eq!(found, nat, "found: {found}");
            assert_eq!(found.inside, world.lab[world.alice].ipv4());
            assert_eq!(found.external, [world.external()], "{found}");
            assert_ne!(found.hairpinning, Hairpinning::InternalSource);
        }
    }
}

#[netns_test]
fn the_probe_finds_named_kinds() {
    for nat in [Nat::home(), Nat::full_cone(), Nat::symmetric(), Nat::new()] {
        let world = World::new(nat.clone());
        let found = world.lab.nat_kind(world.alice, world.a, world.b).unwrap();
        assert_eq!(found, nat, "found: {found}");
    }
}

#[test_case(0)]
#[test_case(1)]
#[test_case(2)]
#[test_case(3)]
#[test_case(4)]
#[test_case(5)]
#[test_case(6)]
#[netns_test]
fn two_hosts_use_one_port(kind: usize) {
    let (mapping, _) = KINDS[kind];
    for is_preserving in [true, false] {
        let world = World::new(nat(KINDS[kind]).port_preservation(is_preserving));
        let [one, other] = [world.alice, world.bob].map(|host| world.udp(host, 5000));
        let [a, b] = [world.a, world.b].map(|server| world.udp(server, 3478));
        let first = one.talks(&a);
        // First where the port is not in use, then where it is.
        let seen = [other.talks(&b), other.talks(&a), one.talks(&b), one.talks(&a)];
        assert_eq!(first.ip(), world.external());
        assert_eq!(first.port() == 5000, is_preserving, "{first}");
        assert_eq!(seen[3], first, "a mapping stays");
        let is_one = mapping == Mapping::EndpointIndependent;
        assert_eq!(seen[0] == seen[1], is_one, "{mapping:?}: {seen:?}");
        assert_eq!(seen[2] == seen[3], is_one, "{mapping:?}: {seen:?}");
        for of_other in &seen[..2] {
            assert!(!seen[2..].contains(of_other), "one external port for two: {seen:?}");
        }
        // Each gets its own answers.
        for (end, server, at) in [(&other, &b, 0), (&other, &a, 1), (&one, &b, 2), (&one, &a, 3)] {
            assert_eq!(server.reaches(seen[at], end), server.at);
        }
    }
}

#[test_case(0)]
#[test_case(1)]
#[test_case(2)]
#[test_case(3)]
#[test_case(4)]
#[test_case(5)]
#[test_case(6)]
#[netns_test]
fn an_early_packet_takes_no_port(kind: usize) {
    let world = World::new(nat(KINDS[kind]));
    let [a, b] = [world.a, world.b].map(|server| world.udp(server, 3478));
    let [alice, marker] = [5003, 0].map(|port| world.udp(world.alice, port));
    // The peer has sent to the port that alice is about to use.
    let early = (world.external(), 5003).into();
    assert_eq!(
        heard(&alice, (&marker, &a), || {
            a.send(early);
        }),
        None
    );
    assert_eq!(alice.talks(&a), early, "the port is kept");
    if KINDS[kind].0 == Mapping::EndpointIndependent {
        assert_eq!(alice.talks(&b), early);
    }
}

#[netns_test]
fn hairpinned_packets_have_external_endpoints_both_ways() {
    let independent = Mapping::EndpointIndependent;
    for (mapping, filtering) in KINDS.into_iter().filter(|(mapping, _)| *mapping == independent) {
        let world = World::new(nat((mapping, filtering)));
        let a = world.udp(world.a, 3478);
        let [alice, bob, marker] = [(world.alice, 5005), (world.bob, 5006), (world.alice, 0)]
            .map(|(host, port)| world.udp(host, port));
        let (of_alice, of_bob) = (alice.talks(&a), bob.talks(&a));
        let both = || {
            bob.send(of_alice);
            alice.send(of_bob);
        };
        assert_eq!(heard(&bob, (&marker, &a), both), Some(of_alice), "{filtering:?}");
        assert_eq!(bob.reaches(of_alice, &alice), of_bob, "{filtering:?}");
        assert_eq!(alice.reaches(of_bob, &bob), of_alice, "{filtering:?}");
        // A packet from outside keeps its source.
        assert_eq!(a.reaches(of_alice, &alice), a.at);
    }
}

#[netns_test]
fn a_host_reaches_itself_by_its_external_endpoint() {
    let world = World::new(Nat::full_cone());
    let a = world.udp(world.a, 3478);
    let alice = world.udp(world.alice, 5005);
    let external = alice.talks(&a);
    assert_eq!(alice.reaches(external, &alice), external);
}

#[netns_test]
fn without_hairpinning_an_external_endpoint_is_not_reached_from_inside() {
    let world = World::new(Nat::full_cone().hairpinning(false));
    let a = world.udp(world.a, 3478);
    let [alice, bob, marker] = [world.alice, world.bob, world.alice].map(|host| world.udp(host, 0));
    let (of_alice, of_bob) = (alice.talks(&a), bob.talks(&a));
    let both = || {
        bob.send(of_alice);
        alice.send(of_bob);
    };
    assert_eq!(heard(&bob, (&marker, &a), both), None);
    // From outside it is.
    let b = world.udp(world.b, 0);
    assert_eq!(b.reaches(of_bob, &bob), b.at);
}

#[netns_test]
fn inside_addresses_do_not_pass_from_outside() {
    let world = World::new(Nat::full_cone());
    let a = world.udp(world.a, 3478);
    let [alice, marker] = [5000, 0].map(|port| world.udp(world.alice, port));
    alice.talks(&a);
    assert_eq!(
        heard(&alice, (&marker, &a), || {
            a.send(alice.at);
        }),
        None
    );
}

#[netns_test]
fn each_time_out_is_measured() {
    let seconds = Duration::from_secs;
    for timeout in [seconds(2), seconds(4)] {
        let world = World::new(Nat::home().udp_timeout(timeout));
        let wait = world.lab[world.alice].wait(seconds(60));
        let found = wait.udp_mapping_lifetime(&world.lab[world.a]).unwrap();
        // The kernel counts in its ticks.
        let slack = Duration::from_millis(50);
        let is_right = found.at_least <= timeout + slack && timeout <= found.at_most + slack;
        assert!(is_right, "{timeout:?}: {found}");
    }
    let world = World::new(Nat::home().udp_timeout(LONG));
    let wait = world.lab[world.alice].wait(seconds(4));
    let error = wait.udp_mapping_lifetime(&world.lab[world.a]).unwrap_err();
    assert!(error.is_timeout(), "{error}");
}
