//! Random loss, which is the same in each run.

use std::collections::BTreeSet;

use netns_test::lab::{Impairment, LostPacket};
use netns_test::netns_test;

use crate::net::{Pair, bytes};

#[netns_test]
fn the_same_datagrams_are_lost_in_each_run() {
    let mut sets = BTreeSet::new();
    for is_ipv4 in [true, false, true, false] {
        let pair = Pair::new(Impairment::new().loss("10%"));
        // Only 101 datagrams wait for an Ethernet address (`net.ipv4.neigh.default.unres_qlen`).
        pair.connection(&pair.listener(pair.server(is_ipv4, 80)));
        let [near, far] = pair.sockets(is_ipv4);
        for number in 0..150_u32 {
            near.send(&number.to_be_bytes()).unwrap();
        }
        let lost = pair.lab[pair.wan].losses().unwrap();
        let lost: Vec<u64> = lost
            .iter()
            .filter(|lost| lost.from == "client" && lost.flow.protocol == Some(17))
            .map(|lost| match lost.packet {
                LostPacket::Nth(number) => number,
                ref other => panic!("{other:?}"),
            })
            .collect();
        let arrived = 150 - lost.len();
        let mut got = BTreeSet::new();
        let mut buffer = [0; 8];
        for _ in 0..arrived {
            let length = far.recv(&mut buffer).unwrap();
            got.insert(u64::from(u32::from_be_bytes(buffer[..length].try_into().unwrap())));
        }
        let missing: Vec<u64> = (0..150).filter(|number| !got.contains(number)).collect();
        assert_eq!(lost, missing);
        sets.insert((is_ipv4, lost));
    }
    assert_eq!(sets.len(), 2, "{sets:?}");
}

#[netns_test]
fn a_burst_of_losses_ends() {
    let sent = bytes(500_000);
    let pair = Pair::new(Impairment::new().loss_gilbert_elliott("1%", "30%", "100%", "0%"));
    assert_eq!(pair.transfer(true, &sent, 65_536), sent);
    let stats = pair.lab[pair.wan].stats().unwrap();
    assert!(stats.from[0].lost > 0, "{stats}");
    let from = &stats.from[0];
    let out = from.sent + from.lost + from.dropped_by_queue + from.dropped_by_rule;
    assert_eq!(from.received, out + from.in_transit, "{stats}");
}

#[netns_test]
fn a_link_that_loses_all_packets_still_resolves_neighbours() {
    let pair = Pair::new(Impairment::new().loss("100%"));
    let [near, far] = pair.sockets(true);
    near.send(b"lost").unwrap();
    // It waits for the server's Ethernet address first.
    let is_lost = || pair.lost_datagrams() == 1;
    netns_test_tests::eventually(crate::net::PATIENCE, "the datagram is lost", is_lost);
    pair.lab[pair.wan].set_impairment(Impairment::new()).unwrap();
    near.send(b"there").unwrap();
    let mut buffer = [0; 8];
    let length = far.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"there");
}

/// A failed test shows what its links have dropped.
#[test]
fn a_failed_test_shows_what_was_lost() {
    let text = crate::must_fail("losses::fails_over_a_dead_line");
    let plain = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(plain.contains(" link wan: client to server: received "), "{text}");
    assert!(plain.contains(", lost "), "{text}");
    assert!(text.contains("NETNS_TEST_SEED=0x"), "{text}");
}

#[netns_test]
#[ignore = "fails; run by a_failed_test_shows_what_was_lost"]
fn fails_over_a_dead_line() {
    let pair = Pair::new(Impairment::new().loss("100%"));
    let to = pair.server(true, 80);
    let limit = std::time::Duration::from_millis(200);
    let connect = || std::net::TcpStream::connect_timeout(&to, limit);
    pair.lab[pair.client].run(connect).unwrap();
}
