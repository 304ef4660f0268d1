//! Delay, rate, queue and hold.

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use netns_test::lab::Impairment;
use netns_test::netns_test;

use crate::net::{Pair, bytes};

const MS: Duration = Duration::from_millis(1);

#[netns_test]
fn a_round_trip_takes_both_delays() {
    for is_ipv4 in [true, false] {
        let pair = Pair::new(Impairment::new().delay(20 * MS));
        let listener = pair.listener(pair.server(is_ipv4, 80));
        let start = Instant::now();
        let [mut near, mut far] = pair.connection(&listener);
        // The kernel's own timestamps and the test's clock are the same clock.
        assert!(start.elapsed() >= 40 * MS, "{:?}", start.elapsed());
        for _ in 0..3 {
            let start = Instant::now();
            let mut buffer = [0; 4];
            near.write_all(b"ping").unwrap();
            far.read_exact(&mut buffer).unwrap();
            assert!(start.elapsed() >= 20 * MS, "{:?}", start.elapsed());
            far.write_all(b"pong").unwrap();
            near.read_exact(&mut buffer).unwrap();
            assert!(start.elapsed() >= 40 * MS, "{:?}", start.elapsed());
        }
    }
}

#[netns_test]
fn a_transfer_is_not_faster_than_the_rate() {
    let sent = bytes(500_000);
    let pair = Pair::new(Impairment::new().rate("8mbit").queue_bytes(100_000));
    let start = Instant::now();
    assert_eq!(pair.transfer(true, &sent, 65_536), sent);
    // A million bytes a second. The queue is empty at the start, so that the first frame is not
    // delayed before it is sent.
    assert!(start.elapsed() >= 480 * MS, "{:?}", start.elapsed());
}

#[netns_test]
fn a_full_queue_drops() {
    let pair = Pair::new(Impairment::new().rate("100kbit").queue_packets(5));
    let [near, _far] = pair.sockets(false);
    for _ in 0..50 {
        near.send(&[0; 1000]).unwrap();
    }
    let dropped = || pair.lab[pair.wan].stats().unwrap().from[0].dropped_by_queue >= 40;
    netns_test_tests::eventually(crate::net::PATIENCE, "the queue drops", dropped);
}

#[netns_test]
fn packets_that_are_held_arrive_in_order_after_the_release() {
    for is_ipv4 in [true, false] {
        let pair = Pair::new(Impairment::new());
        let [near, far] = pair.sockets(is_ipv4);
        near.send(b"x").unwrap();
        let mut buffer = [0; 8];
        assert_eq!(far.recv(&mut buffer).unwrap(), 1);
        pair.lab[pair.wan].hold().unwrap();
        for number in 0..20_u8 {
            near.send(&[number]).unwrap();
        }
        far.set_read_timeout(Some(100 * MS)).unwrap();
        assert!(far.recv(&mut buffer).is_err());
        let held = pair.lab[pair.wan].stats().unwrap().from[0].in_transit;
        assert!(held >= 20, "{held}");
        far.set_read_timeout(Some(crate::net::PATIENCE)).unwrap();
        pair.lab[pair.wan].release().unwrap();
        for number in 0..20_u8 {
            let length = far.recv(&mut buffer).unwrap();
            assert_eq!(buffer[..length], [number]);
        }
    }
}

#[netns_test]
fn one_direction_is_released() {
    for is_ipv4 in [true, false] {
        let pair = Pair::new(Impairment::new());
        let [near, far] = pair.sockets(is_ipv4);
        near.set_read_timeout(Some(100 * MS)).unwrap();
        let mut buffer = [0; 8];
        near.send(b"x").unwrap();
        let (_, from) = far.recv_from(&mut buffer).unwrap();
        pair.lab[pair.wan].hold().unwrap();
        near.send(b"forth").unwrap();
        far.send_to(b"back", from).unwrap();
        pair.lab[pair.wan].release_from(pair.client).unwrap();
        assert_eq!(far.recv(&mut buffer).unwrap(), 5);
        assert!(near.recv(&mut buffer).is_err());
        near.set_read_timeout(Some(crate::net::PATIENCE)).unwrap();
        pair.lab[pair.wan].release_from(pair.server).unwrap();
        assert_eq!(near.recv(&mut buffer).unwrap(), 4);
    }
}

/// A change holds when the call returns, and ends when it is taken back.
#[netns_test]
fn impairments_change_while_the_link_is_in_use() {
    let pair = Pair::new(Impairment::new());
    let [near, far] = pair.sockets(true);
    let mut buffer = [0; 8];
    // Later datagrams do not wait for an Ethernet address.
    near.send(b"first").unwrap();
    far.recv(&mut buffer).unwrap();
    for _ in 0..10 {
        pair.lab[pair.wan].set_impairment(Impairment::new().loss("100%")).unwrap();
        near.send(b"lost").unwrap();
        pair.lab[pair.wan].set_impairment(Impairment::new()).unwrap();
        near.send(b"there").unwrap();
        let length = far.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"there");
    }
    assert_eq!(pair.lost_datagrams(), 10);
}
