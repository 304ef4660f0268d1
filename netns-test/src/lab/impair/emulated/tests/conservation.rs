//! No packet is made or lost without being counted, at any moment.

use std::time::Duration;

use crate::lab::impair::emulated::tests::frames::{Kind, Sample, arp};
use crate::lab::impair::emulated::tests::transfer::wires;
use crate::lab::impair::emulated::tests::{links, thousandths};
use crate::lab::impair::emulated::trace::Trace;
use crate::lab::impair::emulated::{EmulatedLink, Seen, Sent};
use crate::lab::impair::frame::ACK;
use crate::lab::impair::frame::samples::Random;
use crate::lab::impair::passage::{Departure, Direction, Nanos};
use crate::lab::impair::rule::action::{Action, ResetTarget, Unreachable};
use crate::lab::impair::rule::choice::Which;
use crate::lab::impair::rule::packet::Packet;
use crate::lab::impair::rule::rules::Rule;
use crate::lab::impair::stats::DirectionStats;
use crate::lab::plan::impairment::{
    ImpairmentPlan, LossPlan, LossUnit, QueueLimit, RatePlan, ReorderPlan,
};

/// Departures that wait to be sent.
type Waiting = Vec<Departure<'static>>;

#[test]
fn all_packets_are_counted_at_each_moment() {
    let mut random = Random(0xda94_2042_e4dd_58b5);
    let mut totals = [0; 11];
    for _ in 0..60 {
        let mut link = links([plan(&mut random), plan(&mut random)]);
        let mut waiting = Waiting::new();
        let mut now = 1_000_000;
        let mut shown = [(); 2].map(|()| Shown::default());
        for round in 0..300 {
            now += random.below(3) as u64 * random.below(1_000_000) as u64;
            step(&mut link, &mut waiting, &mut random, now);
            check(&link);
            check_shown(&mut link, &mut shown);
            if round % 16 == 0 {
                check_transit(&link, &waiting);
            }
        }
        for direction in Direction::BOTH {
            let mut out = Waiting::new();
            link.release(direction, now, &mut out);
            waiting.extend(out);
        }
        send(&mut link, &mut waiting, Nanos::MAX, &mut random);
        check(&link);
        for stats in link.stats() {
            assert_eq!(stats.in_transit, 0);
            let one = [
                stats.received,
                stats.sent,
                stats.lost,
                stats.dropped_by_queue,
                stats.duplicated,
                stats.corrupted,
                stats.marked,
                stats.reordered,
                stats.undeliverable,
                stats.dropped_by_rule,
                stats.injected,
            ];
            totals.iter_mut().zip(one).for_each(|(total, one)| *total += one);
        }
    }
    assert!(totals.iter().all(|total| *total > 100), "{totals:?}");
}

/// Changes the link, passes a frame, and sends what is due.
fn step(link: &mut EmulatedLink, waiting: &mut Waiting, random: &mut Random, now: Nanos) {
    let direction = Direction::BOTH[random.below(2)];
    match random.below(40) {
        0 => link.hold(direction),
        1 => {
            let mut out = Waiting::new();
            link.release(direction, now, &mut out);
            waiting.extend(out);
        }
        2 => link.set(direction, plan(random), now),
        3 => {
            link.rules(direction).add(rule(random), now);
        }
        _ => {
            let payload = vec![3; random.below(2) * random.below(20_000)];
            let ports = [40_000 + random.below(2) as u16, 80];
            let sample = match random.below(5) {
                0 => Sample::udp(ports, payload),
                1 => Sample { kind: Kind::Echo, ..Sample::udp(ports, vec![1; 50]) },
                _ => Sample { ports, ..Sample::tcp(ACK, random.below(1 << 20) as u32, payload) },
            };
            let is_v4 = random.below(2) == 0;
            let sample = Sample { ecn: random.below(4) as u8, is_v4, ..sample };
            let wire = if random.below(10) == 0 { arp() } else { sample.gso(1448) };
            let mut out = Vec::new();
            link.pass(direction, wire.at(now), &mut out);
            assert!(out.iter().all(|one| one.due >= now));
            let owned =
                |one: Departure<'_>| Departure { bytes: one.bytes.into_owned().into(), ..one };
            waiting.extend(out.into_iter().map(owned));
        }
    }
    send(link, waiting, now, random);
}

/// Sends what is due; now and then in vain.
fn send(link: &mut EmulatedLink, waiting: &mut Waiting, now: Nanos, random: &mut Random) {
    waiting.sort_by_key(|one| one.due);
    let count = waiting.partition_point(|one| one.due <= now);
    for one in waiting.drain(..count) {
        let end = if random.below(20) == 0 { Sent::Undeliverable } else { Sent::Ok };
        link.sent(&one, one.due + random.below(1000) as u64, end);
    }
}

/// Asserts that the counters of each direction are balanced.
fn check(link: &EmulatedLink) {
    for stats in link.stats() {
        let came = stats.received + stats.duplicated + stats.injected;
        let dropped = stats.lost + stats.dropped_by_rule + stats.dropped_by_queue;
        let went = stats.sent + stats.undeliverable + dropped + stats.in_transit;
        assert_eq!(came, went, "{stats:?}");
        assert!(stats.latest <= Duration::from_micros(1));
    }
}

/// Knowledge of an observer that looks at a direction only if it is said to have changed, and at
/// its flows only if their changes were counted.
#[derive(Clone, Debug, Default)]
struct Shown {
    stats: DirectionStats,
    is_held: bool,
    /// Frames that were passed on, and those that were stopped since.
    frames: [u64; 2],
    flows: Trace,
}

/// Asserts that such an observer knows the state of each direction.
fn check_shown(link: &mut EmulatedLink, shown: &mut [Shown; 2]) {
    for (direction, shown) in Direction::BOTH.into_iter().zip(shown) {
        if let Some(Seen { stats, trace, is_held }) = link.take_changed(direction) {
            (shown.stats, shown.is_held) = (stats.clone(), is_held);
            shown.frames = [trace.passed, trace.in_a_row];
            if trace.changes != shown.flows.changes {
                shown.flows = trace.clone();
            }
        }
        assert!(link.take_changed(direction).is_none());
        let Seen { stats, trace, is_held } = link.seen(direction);
        assert_eq!((&shown.stats, shown.is_held), (stats, is_held));
        assert_eq!(shown.frames, [trace.passed, trace.in_a_row]);
        let flows = |trace: &Trace| (trace.last, trace.flows.clone(), trace.others);
        assert_eq!(flows(&shown.flows), flows(trace));
    }
}

/// Asserts that what waits to be sent is in transit, and with it what is held.
fn check_transit(link: &EmulatedLink, waiting: &Waiting) {
    for direction in Direction::BOTH {
        let own = waiting.iter().filter(|one| one.direction == direction);
        let packets: usize = own.map(|one| wires(one).len()).sum();
        let stats = &link.stats()[direction.index()];
        assert!(stats.in_transit >= packets as u64, "{packets} {stats:?}");
    }
}

/// Returns a rule that acts on some packets.
fn rule(random: &mut Random) -> Rule {
    let actions = [
        Action::Drop,
        Action::Hold,
        Action::Delay(Duration::from_micros(500)),
        Action::Duplicate(2),
        Action::Corrupt { offset: 40, bits: 1 },
        Action::Truncate(60),
        Action::Reset(ResetTarget::Both),
        Action::Unreachable(Unreachable::Host),
        Action::TooBig { mtu: 1400 },
    ];
    let action = actions[random.below(actions.len())].clone();
    let packet = [Packet::tcp(), Packet::udp(), Packet::any()][random.below(3)].clone();
    Rule { packet, which: Which::all().every(1 + random.below(20) as u64), action }
}

fn plan(random: &mut Random) -> ImpairmentPlan {
    let probability =
        |random: &mut Random| thousandths(random.below(2) as u64 * random.below(200) as u64);
    let [p, r, bad, good] = [(); 4].map(|()| probability(random));
    let loss = match random.below(4) {
        0 => LossPlan::None,
        1 => LossPlan::Independent(p),
        2 => LossPlan::GilbertElliott { p, r, bad, good, is_shared: random.below(2) == 0 },
        _ => LossPlan::Pattern((0..random.below(9)).map(|_| random.below(4) == 0).collect()),
    };
    let queue = match random.below(2) {
        0 => QueueLimit::Bytes(1 + random.below(100_000) as u64),
        _ => QueueLimit::Packets(1 + random.below(50) as u64),
    };
    let rate = RatePlan {
        bits_per_second: 1_000_000 + random.below(100_000_000) as u64,
        burst: random.below(2) as u64 * random.below(10_000) as u64,
        overhead: random.below(60) as i32 - 30,
        queue,
        mark_above: (random.below(2) == 0).then(|| random.below(10_000) as u64),
    };
    let delay = random.below(2) as u64 * random.below(5_000_000) as u64;
    let jitter = random.below(delay as usize + 1) as u64;
    let gap = 1 + random.below(3) as u32;
    ImpairmentPlan {
        loss,
        loss_unit: [LossUnit::Slot, LossUnit::Segment][random.below(2)],
        includes_neighbours: random.below(2) == 0,
        corrupt: probability(random),
        duplicate: probability(random),
        rate: (random.below(2) == 0).then_some(rate),
        drops_ect: random.below(8) == 0,
        delay: Duration::from_nanos(delay),
        jitter: Duration::from_nanos(jitter),
        reorder: (random.below(3) == 0).then(|| ReorderPlan { probability: thousandths(300), gap }),
    }
}
