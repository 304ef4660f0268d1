//! Transfers lose the same bytes in each of 32 runs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::thread;

use netns_test::lab::{Impairment, LostPacket};
use netns_test::netns_test;

use crate::net::{Load, Pair, bytes};

/// Runs that are beside each other.
const AT_ONCE: usize = 4;

/// Bytes of a transfer.
const ALL: usize = 145_000;

/// Bytes of a transfer at the same time.
const OTHER: usize = 60_000;

/// Lost slots of a stream, by first byte and attempt.
type Slots = BTreeSet<(u64, u32)>;

/// Differences of the runs.
#[derive(Clone, Copy, Debug)]
struct Way {
    /// Bytes of each write.
    size: usize,
    /// Whether there are other flows at the same time.
    has_others: bool,
    /// Whether the stack leaves the division into segments to the interface.
    has_offloads: bool,
}

/// Sixteen ways to transfer the same bytes.
fn ways() -> Vec<Way> {
    let mut ways = Vec::new();
    for size in [333, 1000, 1448, 65_536] {
        for has_others in [false, true] {
            for has_offloads in [true, false] {
                ways.push(Way { size, has_others, has_offloads });
            }
        }
    }
    ways
}

/// Sixteen runs on an idle machine and sixteen beside busy loops, each with both families.
#[netns_test(timeout = "300s")]
fn the_same_bytes_are_lost_in_each_run() {
    let sent = bytes(ALL);
    let mut all: BTreeMap<SocketAddr, Vec<Slots>> = BTreeMap::new();
    for is_loaded in [false, true] {
        let _load = is_loaded.then(Load::new);
        for some in ways().chunks(AT_ONCE) {
            thread::scope(|scope| {
                let runs: Vec<_> =
                    some.iter().map(|way| scope.spawn(|| transfer(*way, &sent))).collect();
                for (to, slots) in runs.into_iter().flat_map(|run| run.join().unwrap()) {
                    all.entry(to).or_default().push(slots);
                }
            });
        }
    }
    // The main flow and the others, for each family.
    assert_eq!(all.values().map(Vec::len).collect::<Vec<_>>(), [32, 16, 32, 16]);
    for (to, runs) in &all {
        let fates: BTreeSet<Slots> = runs.iter().map(fate).collect();
        assert_eq!(fates.len(), 1, "{to}: {fates:?}");
        // Of 100 slots and their retransmissions, 5 are lost on average, and of the others 2.
        let count = fates.first().unwrap().len();
        assert!((1..20).contains(&count), "{to}: {fates:?}");
    }
}

/// Returns what of each flow to the server was lost.
fn transfer(way: Way, sent: &[u8]) -> BTreeMap<SocketAddr, Slots> {
    let pair = Pair::with_offloads(Impairment::new().loss("5%"), way.has_offloads);
    // The other transfer is shorter: while the processors are busy, the packets that are on their
    // way must fit into the buffer of the engine.
    let others: &[(u16, usize)] = if way.has_others { &[(5001, OTHER)] } else { &[] };
    let mut lost = BTreeMap::new();
    thread::scope(|scope| {
        for is_ipv4 in [true, false] {
            for (port, length) in others.iter().copied().chain([(5000, sent.len())]) {
                let to = pair.server(is_ipv4, port);
                let (pair, sent) = (&pair, &sent[..length]);
                scope.spawn(move || assert!(pair.transfer_to(to, sent, way.size) == sent, "{to}"));
                lost.insert(to, Slots::new());
            }
        }
        if way.has_others {
            let [near, _far] = pair.sockets(true);
            (0..40).for_each(|_| assert_eq!(near.send(&[0; 500]).unwrap(), 500));
        }
    });
    for one in pair.lab[pair.wan].losses().unwrap() {
        let LostPacket::Data { bytes, attempt } = one.packet else { continue };
        if one.from == "client" {
            let to = one.flow.ends.unwrap()[1];
            lost.get_mut(&to).unwrap().insert((bytes.start, attempt));
        }
    }
    lost
}

/// Returns the fate of each slot up to its first arrival. A spurious retransmission, which depends
/// on times, may be lost as well.
fn fate(lost: &Slots) -> Slots {
    let arrives = |start: u64| (0..).find(|at| !lost.contains(&(start, *at))).unwrap();
    lost.iter().copied().filter(|&(start, attempt)| attempt < arrives(start)).collect()
}
