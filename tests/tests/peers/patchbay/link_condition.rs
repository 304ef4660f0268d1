//! Conditions of links, declared and changed.

use std::thread;
use std::time::Instant;

use netns_test::lab::{Impairment, LossPlan, Nat, Packet};
use netns_test::{LinkId, NodeId, Topology, netns_test};
use netns_test_tests::eventually;

use crate::net::{Ends, MS, PATIENCE, Pair, both, least_time, watch};

/// Rate of most tests, with a queue for all that they send.
fn slow(rate: u64) -> Impairment {
    Impairment::new().rate(rate).queue_bytes(500_000)
}

const MBIT: u64 = 1_000_000;

/// Builds hosts at the ends of two links with a router between them.
fn two_hops(near: Impairment, far: Impairment) -> (Pair, LinkId) {
    over_a_router(near, far, None)
}

/// Builds them with a NAT on the router.
fn over_a_router(near: Impairment, far: Impairment, nat: Option<Nat>) -> (Pair, LinkId) {
    let mut net = Topology::new();
    let (client, home, server) = (net.host("client"), net.router("home"), net.host("server"));
    let access = net.link(client, home).impair(near).id();
    let wan = net.link(home, server).impair(far).id();
    if let Some(nat) = nat {
        net.nat(home, wan, nat);
    }
    let lab = net.build().unwrap();
    (Pair { lab, client, server, wan }, access)
}

#[netns_test]
fn route_switch_changes_impairment() -> netns_test::Result<()> {
    let mut net = Topology::new();
    let (phone, core, server) = (net.host("phone"), net.router("core"), net.host("server"));
    let uplinks = [("wifi", 5), ("cell", 20)].map(|(name, delay)| {
        let router = net.router(name);
        let air = net.link(phone, router).impair(Impairment::new().delay(delay * MS)).id();
        net.link(router, core);
        (router, air, 2 * delay)
    });
    net.link(core, server);
    let lab = net.build()?;
    for (router, air, time) in [uplinks[0], uplinks[1], uplinks[0]] {
        for default in ["0.0.0.0/0", "::/0"] {
            lab[phone].add_route(default, router)?;
        }
        let counted = watch(&lab[air], Packet::udp());
        for ends in both(&lab, phone, server) {
            assert!(ends.round_trip() >= time * MS);
        }
        assert_eq!(counted.hits(), 4);
    }
    Ok(())
}

#[netns_test]
fn rate_tcp_upload() {
    let pair = Pair::new(slow(2 * MBIT).back(Impairment::new()));
    for ends in pair.both() {
        assert!(ends.upload(50_000) >= least_time(50_000, 2 * MBIT));
    }
}

#[netns_test]
fn rate_tcp_download() {
    let pair = Pair::new(Impairment::new().back(slow(2 * MBIT)));
    for ends in pair.both() {
        assert!(ends.reversed().upload(50_000) >= least_time(50_000, 2 * MBIT));
    }
}

#[netns_test]
fn rate_udp_upload() {
    let pair = Pair::new(slow(2 * MBIT).back(Impairment::new()));
    for ends in pair.both() {
        assert!(ends.datagrams(50, 1000) >= least_time(50_000, 2 * MBIT));
    }
}

#[netns_test]
fn rate_udp_download() {
    let pair = Pair::new(Impairment::new().back(slow(2 * MBIT)));
    for ends in pair.both() {
        assert!(ends.reversed().datagrams(50, 1000) >= least_time(50_000, 2 * MBIT));
    }
}

#[netns_test]
fn rate_asymmetric() {
    let pair = Pair::new(slow(MBIT).back(slow(4 * MBIT)));
    for ends in pair.both() {
        assert!(ends.upload(30_000) >= least_time(30_000, MBIT));
        assert!(ends.reversed().upload(90_000) >= least_time(90_000, 4 * MBIT));
        // The download is not limited by the upload.
        let least = least_time(30_000, MBIT);
        eventually(PATIENCE, "the fast way", || ends.reversed().upload(30_000) < least);
    }
}

#[netns_test]
fn rate_multihop_bottleneck() {
    for (near, far) in [(slow(50 * MBIT), slow(2 * MBIT)), (slow(2 * MBIT), slow(50 * MBIT))] {
        let (pair, _) = over_a_router(near, far, Some(Nat::home()));
        for ends in pair.both() {
            assert!(ends.upload(50_000) >= least_time(50_000, 2 * MBIT));
        }
    }
}

/// A datagram waits at each link until it is there in full.
#[netns_test]
fn rate_two_hops_stacked() {
    let (pair, access) = two_hops(slow(4 * MBIT), slow(2 * MBIT));
    for ends in pair.both() {
        assert!(ends.upload(50_000) >= least_time(50_000, 2 * MBIT));
        assert!(ends.reversed().upload(50_000) >= least_time(50_000, 2 * MBIT));
    }
    pair.wan().set_impairment(Impairment::new()).unwrap();
    assert!(pair.both()[0].upload(50_000) >= least_time(50_000, 4 * MBIT));
    pair.lab[access].set_impairment(Impairment::new()).unwrap();
    let least = least_time(50_000, 4 * MBIT);
    eventually(PATIENCE, "no limit", || pair.both()[0].upload(50_000) < least);
}

/// Which datagrams are lost is the same in each run, and so is their number.
#[netns_test]
fn loss_udp_moderate() {
    let pair = Pair::new(Impairment::new().loss("50%"));
    for ends in pair.both() {
        let arrived = ends.flood(pair.wan(), 300).len();
        assert!((110..190).contains(&arrived), "{arrived}");
    }
}

#[netns_test]
fn loss_udp_high() {
    let pair = Pair::new(Impairment::new().loss("90%"));
    for ends in pair.both() {
        let arrived = ends.flood(pair.wan(), 300).len();
        assert!((10..60).contains(&arrived), "{arrived}");
    }
}

#[netns_test]
fn loss_tcp_integrity() {
    let pair = Pair::new(Impairment::new().loss("5%"));
    for ends in pair.both() {
        ends.upload(100_000);
    }
    assert!(pair.wan().stats().unwrap().from[0].lost > 0);
}

#[netns_test]
fn loss_udp_bidirectional() {
    let pair = Pair::new(Impairment::new().loss("30%"));
    for ends in pair.both() {
        for ends in [ends, ends.reversed()] {
            let arrived = ends.flood(pair.wan(), 200).len();
            assert!((110..170).contains(&arrived), "{arrived}");
        }
    }
}

#[netns_test]
fn latency_upload_download() {
    let pair = Pair::new(Impairment::new().delay(20 * MS).back(Impairment::new().delay(10 * MS)));
    for ends in pair.both() {
        assert!(ends.datagrams(1, 100) >= 20 * MS);
        assert!(ends.reversed().datagrams(1, 100) >= 10 * MS);
        assert!(ends.round_trip() >= 30 * MS);
    }
}

#[netns_test]
fn latency_multihop_chain() {
    let delay = |count| Impairment::new().delay(count * MS);
    let (pair, _) = over_a_router(delay(10), delay(15), Some(Nat::home()));
    for ends in pair.both() {
        assert!(ends.tcp_round_trip() >= 50 * MS);
    }
}

#[netns_test]
fn rate_dynamic_decrease() -> netns_test::Result<()> {
    let pair = Pair::new(slow(20 * MBIT));
    for ends in pair.both() {
        pair.wan().set_impairment(slow(20 * MBIT))?;
        eventually(PATIENCE, "the first rate", || {
            ends.upload(50_000) < least_time(50_000, 2 * MBIT)
        });
        pair.wan().set_impairment(slow(2 * MBIT))?;
        assert!(ends.upload(50_000) >= least_time(50_000, 2 * MBIT));
    }
    Ok(())
}

#[netns_test]
fn rate_dynamic_remove() -> netns_test::Result<()> {
    let pair = Pair::new(slow(2 * MBIT));
    let ends = pair.both()[0];
    assert!(ends.upload(50_000) >= least_time(50_000, 2 * MBIT));
    pair.wan().set_impairment(Impairment::new())?;
    assert!(pair.wan().impairments()?.iter().all(|way| way.rate.is_none()));
    eventually(PATIENCE, "no limit", || ends.upload(50_000) < least_time(50_000, 2 * MBIT));
    Ok(())
}

#[netns_test]
fn latency_dynamic_add_remove() -> netns_test::Result<()> {
    let pair = Pair::new(Impairment::new());
    for ends in pair.both() {
        ends.is_faster_than(40 * MS);
        pair.wan().set_impairment(Impairment::new().delay(20 * MS))?;
        assert!(ends.round_trip() >= 40 * MS);
        pair.wan().set_impairment(Impairment::new())?;
        ends.is_faster_than(40 * MS);
    }
    Ok(())
}

#[netns_test]
fn presets_rtt_and_loss() {
    let conditions = [
        Impairment::lan(),
        Impairment::wifi(),
        Impairment::wifi_bad(),
        Impairment::edge(),
        Impairment::mobile_3g(),
        Impairment::lte(),
        Impairment::mobile_5g(),
        Impairment::dial_up(),
        Impairment::dsl(),
        Impairment::cable(),
        Impairment::fibre(),
        Impairment::leo_satellite(),
        Impairment::geo_satellite(),
        Impairment::lossy_datacentre(),
    ];
    let mut net = Topology::new();
    let pairs: Vec<(NodeId, NodeId, LinkId)> = (0..conditions.len())
        .map(|number| {
            let (user, service) =
                (net.host(format!("user-{number}")), net.host(format!("at-{number}")));
            let access = net.link(user, service).impair(conditions[number].clone()).id();
            (user, service, access)
        })
        .collect();
    let lab = net.build().unwrap();
    let measure = |&(user, service, access): &(NodeId, NodeId, LinkId)| {
        let ends = Ends { lab: &lab, from: user, to: service, is_ipv4: true };
        let ways = lab[access].impairments().unwrap();
        let start = Instant::now();
        ends.connection();
        let least = ways.each_ref().map(|way| way.delay - way.jitter);
        assert!(start.elapsed() >= least[0] + least[1]);
        let is_lossy = ways[0].loss != LossPlan::None;
        let count = if is_lossy { 300 } else { 10 };
        let lost = count - ends.flood(&lab[access], count).len() as u64;
        assert!(lost == 0 || is_lossy);
        lost
    };
    let lost: u64 = thread::scope(|scope| {
        let threads: Vec<_> = pairs.iter().map(|pair| scope.spawn(|| measure(pair))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert!(lost > 0);
}

#[netns_test]
fn downlink_builder_latency() -> netns_test::Result<()> {
    let mut net = Topology::new();
    let (client, server) = (net.host("client"), net.host("server"));
    net.link(client, server).impair_from(server, Impairment::new().delay(30 * MS));
    let lab = net.build()?;
    for ends in both(&lab, client, server) {
        assert!(ends.reversed().datagrams(1, 100) >= 30 * MS);
        assert!(ends.round_trip() >= 30 * MS);
        ends.is_faster_than(60 * MS);
    }
    Ok(())
}

#[netns_test]
fn loss_dynamic_change() -> netns_test::Result<()> {
    let pair = Pair::new(Impairment::new());
    for ends in pair.both() {
        for (loss, expected) in [("0%", 150..151), ("90%", 2..40), ("0%", 150..151)] {
            pair.wan().set_impairment(Impairment::new().loss(loss))?;
            let arrived = ends.flood(pair.wan(), 150).len();
            assert!(expected.contains(&arrived), "{loss}: {arrived}");
        }
    }
    Ok(())
}

#[netns_test]
fn direction_permutations() -> netns_test::Result<()> {
    let pair = Pair::new(Impairment::new());
    for (forth, back) in [(20, 0), (0, 20), (20, 20)] {
        pair.wan().set_impairment_from(pair.client, Impairment::new().delay(forth * MS))?;
        pair.wan().set_impairment_from(pair.server, Impairment::new().delay(back * MS))?;
        for ends in pair.both() {
            assert!(ends.datagrams(1, 100) >= forth * MS);
            assert!(ends.reversed().datagrams(1, 100) >= back * MS);
            assert!(ends.round_trip() >= (forth + back) * MS);
            ends.is_faster_than((forth + back + 20) * MS);
        }
    }
    Ok(())
}

#[netns_test]
fn lab_bidirectional_via_two_calls() -> netns_test::Result<()> {
    let mut net = Topology::new();
    let (client, server) = (net.host("client"), net.host("server"));
    let wan = net.link(client, server).impairable().id();
    let lab = net.build()?;
    lab[wan].set_impairment_from(client, Impairment::new().delay(15 * MS))?;
    lab[wan].set_impairment_from(server, Impairment::new().delay(25 * MS))?;
    for ends in both(&lab, client, server) {
        assert!(ends.round_trip() >= 40 * MS);
    }
    Ok(())
}
