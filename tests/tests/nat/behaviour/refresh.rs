//! Mappings in use: each kind keeps them over several time-outs, and forgets unused ones.

use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use netns_test::lab::{Filtering, Nat};
use netns_test::netns_test;
use test_case::test_case;

use netns_test_tests::packets::{KINDS, LIMIT, World, heard};

const TIMEOUT: Duration = Duration::from_secs(2);

/// Interval of packets that keep a mapping.
const INTERVAL: Duration = Duration::from_millis(300);

/// Lets `step` happen at intervals over three time-outs. Returns false if one came too late to keep
/// a mapping, on a machine that is too busy.
fn over_three_timeouts(mut step: impl FnMut()) -> bool {
    let start = Instant::now();
    let mut last = start;
    while start.elapsed() < 3 * TIMEOUT {
        step();
        if last.elapsed() >= TIMEOUT - INTERVAL {
            return false;
        }
        last = Instant::now();
        thread::sleep(INTERVAL);
    }
    true
}

/// Calls `attempt` until the machine was not too busy.
fn unhurried(mut attempt: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !attempt() {
        assert!(Instant::now() < end, "the machine is too busy");
    }
}

#[test_case(0)]
#[test_case(1)]
#[test_case(2)]
#[test_case(3)]
#[test_case(5)]
#[test_case(6)]
#[netns_test]
fn packets_from_inside_keep_a_mapping(kind: usize) {
    let (mapping, filtering) = KINDS[kind];
    let nat = Nat::new().mapping(mapping).filtering(filtering).port_preservation(false);
    let world = World::new(nat.udp_timeout(TIMEOUT));
    let a = world.udp(world.a, 3478);
    unhurried(|| {
        let alice = world.udp(world.alice, 0);
        let first = alice.asks(&a);
        // Without answers.
        let mut seen = Vec::new();
        let is_kept = over_three_timeouts(|| seen.push(alice.asks(&a)));
        assert!(!is_kept || seen.iter().all(|seen| *seen == first), "{first}: {seen:?}");
        let is_in_time = is_kept && a.send(first) > 0;
        assert!(!is_in_time || alice.hear(0, LIMIT).is_some());
        is_kept
    });
}

#[netns_test]
fn packets_from_outside_keep_a_mapping_if_that_is_on() {
    for is_on in [true, false] {
        let filtering = Filtering::EndpointIndependent;
        let nat = Nat::new().filtering(filtering).inbound_refresh(is_on).udp_timeout(TIMEOUT);
        let world = World::new(nat);
        let [a, b] = [world.a, world.b].map(|server| world.udp(server, 3478));
        unhurried(|| {
            let [alice, marker] = [0, 0].map(|port| world.udp(world.alice, port));
            let external = alice.asks(&a);
            // From a server that alice has never sent to, so no flow of alice's is refreshed.
            let is_in_time = over_three_timeouts(|| {
                b.send(external);
            });
            let late = heard(&alice, (&marker, &b), || {
                b.send(external);
            });
            let heard_all = late.is_some();
            assert!(!is_in_time || heard_all == is_on, "inbound refresh {is_on}: {late:?}");
            is_in_time
        });
    }
}

#[netns_test]
fn an_unused_mapping_is_forgotten_and_its_port_free() {
    let world = World::new(Nat::full_cone().udp_timeout(TIMEOUT));
    let [a, b] = [world.a, world.b].map(|server| world.udp(server, 3478));
    let alice = world.udp(world.alice, 5000);
    let external = alice.talks(&a);
    assert_eq!(external.port(), 5000);
    assert_eq!(b.reaches(external, &alice), b.at);
    let bob = world.udp(world.bob, 5000);
    let end = Instant::now() + LIMIT;
    // Bob gets the port once alice's mapping is gone; each of his is older than that, too.
    loop {
        thread::sleep(TIMEOUT + INTERVAL);
        if bob.talks(&a) == external {
            break;
        }
        assert!(Instant::now() < end, "the port does not come free");
    }
    assert_eq!(b.reaches(external, &bob), b.at);
}

/// The kernel collects expired flows once a minute only, where most flows last.
#[netns_test(timeout = "180s")]
fn a_port_is_free_though_its_flow_was_not_collected() {
    let world = World::new(Nat::full_cone().udp_timeout(TIMEOUT));
    let listener = world.lab[world.a].run(|| TcpListener::bind("0.0.0.0:80")).unwrap();
    let to = (world.lab[world.a].ipv4(), 80);
    let connect = || TcpStream::connect(to).unwrap();
    let _open: Vec<_> = (0..200)
        .map(|_| (world.lab[world.alice].run(connect), listener.accept().unwrap()))
        .collect();
    let a = world.udp(world.a, 3478);
    let [alice, bob] = [world.alice, world.bob].map(|host| world.udp(host, 5000));
    for one in [&alice, &bob, &alice, &bob] {
        let start = Instant::now();
        while one.talks(&a).port() != 5000 {
            assert!(start.elapsed() < LIMIT / 2, "the port does not come free");
            thread::sleep(TIMEOUT + INTERVAL);
        }
        thread::sleep(TIMEOUT + INTERVAL);
    }
}
