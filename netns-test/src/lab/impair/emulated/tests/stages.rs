//! Each stage by itself, on a link.

use std::borrow::Cow;
use std::time::Duration;

use crate::lab::impair::emulated::EmulatedLink;
use crate::lab::impair::emulated::tests::frames::{Kind, Sample, Wire, arp};
use crate::lab::impair::emulated::tests::{link, pass, thousandths};
use crate::lab::impair::frame::{ACK, CWR, Frame};
use crate::lab::impair::passage::{Departure, Direction, Nanos};
use crate::lab::plan::impairment::{ImpairmentPlan, LossPlan, QueueLimit, RatePlan, ReorderPlan};
use crate::lab::topology::quantity::Probability;

const MILLISECOND: Nanos = 1_000_000;

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn rate(bits_per_second: u64) -> RatePlan {
    let queue = QueueLimit::Packets(1000);
    RatePlan { bits_per_second, burst: 0, overhead: 0, queue, mark_above: None }
}

fn always_lost() -> LossPlan {
    LossPlan::Independent(Probability::ALWAYS)
}

/// Returns datagrams, each with its number.
fn datagrams(count: usize) -> Vec<Wire> {
    let payload = |number: usize| [&(number as u32).to_be_bytes()[..], &[0; 96]].concat();
    (0..count).map(|number| Sample::udp([5000, 53], payload(number)).wire()).collect()
}

/// Returns the number of a datagram.
fn number(departure: &Departure<'_>) -> u32 {
    let payload = &departure.bytes[Frame::parse(&departure.bytes).payload];
    u32::from_be_bytes([payload[0], payload[1], payload[2], payload[3]])
}

/// Passes datagrams at a distance, and returns times and numbers of the departures as they leave.
fn run(link: &mut EmulatedLink, frames: &[Wire], distance: Nanos) -> Vec<(Nanos, u32)> {
    let mut left: Vec<(Nanos, u32)> = Vec::new();
    for (index, frame) in frames.iter().enumerate() {
        let out = pass(link, frame, index as u64 * distance);
        left.extend(out.iter().map(|one| (one.due, number(one))));
    }
    left.sort_by_key(|(due, _)| *due);
    left
}

#[test]
fn what_nothing_changes_is_not_copied() {
    let delayed = ImpairmentPlan { delay: millis(5), ..ImpairmentPlan::default() };
    let loss = LossPlan::Independent(thousandths(1));
    let lossy = ImpairmentPlan { loss, ..ImpairmentPlan::default() };
    for plan in [ImpairmentPlan::default(), delayed, lossy] {
        let mut link = link(plan.clone());
        for frame in [Sample::tcp(ACK, 0, vec![1; 60_000]).gso(1448), arp()] {
            let out = pass(&mut link, &frame, 7);
            let [Departure { due, bytes: Cow::Borrowed(bytes), offload, .. }] = out[..] else {
                panic!("{out:?}");
            };
            assert_eq!((bytes, offload), (&frame.bytes[..], frame.offload));
            assert_eq!(due, 7 + plan.delay.as_nanos() as u64);
        }
    }
}

#[test]
fn a_super_frame_is_divided_around_lost_segments() {
    let loss = LossPlan::Pattern([vec![false; 4], vec![true, true]].concat());
    let mut link = link(ImpairmentPlan { loss, ..ImpairmentPlan::default() });
    let frame = Sample::tcp(ACK | CWR, 0, vec![1; 14 * 1448 - 10]).gso(1448);
    let out = pass(&mut link, &frame, 0);
    let pieces: Vec<usize> = out.iter().map(|one| Frame::parse(&one.bytes).payload.len()).collect();
    assert_eq!(pieces, [4 * 1448, 4 * 1448, 2 * 1448 - 10]);
    let stats = &link.stats()[0];
    assert_eq!([stats.received, stats.sent, stats.lost], [14, 10, 4]);
    // As on the wire, where each segment has headers.
    assert_eq!(stats.received_bytes, 14 * (1448 + 66) - 10);
    assert_eq!(stats.sent_bytes, 10 * (1448 + 66) - 10);
}

#[test]
fn neighbour_resolution_is_spared_unless_included() {
    let plan = ImpairmentPlan { loss: always_lost(), ..ImpairmentPlan::default() };
    let mut sparing = link(plan.clone());
    assert_eq!(pass(&mut sparing, &arp(), 0).len(), 1);
    assert_eq!(pass(&mut sparing, &datagrams(1)[0], 0).len(), 0);
    let mut all = link(ImpairmentPlan { includes_neighbours: true, ..plan });
    assert_eq!(pass(&mut all, &arp(), 0).len(), 0);
    let (_, lost) = &all.losses().last[0];
    assert_eq!((lost.flow.protocol, lost.flow.ends), (None, None));
}

#[test]
fn jitter_stays_in_its_range_and_keeps_order() {
    let plan = ImpairmentPlan { delay: millis(20), jitter: millis(5), ..ImpairmentPlan::default() };
    let frames = datagrams(2000);
    // Far apart, each packet has a delay of its own.
    let left = run(&mut link(plan.clone()), &frames, 20 * MILLISECOND);
    let delays: Vec<u64> =
        left.iter().zip(0..).map(|((due, _), index)| due - index * 20 * MILLISECOND).collect();
    let [least, most] = [delays.iter().min(), delays.iter().max()].map(|one| *one.unwrap());
    assert!((15 * MILLISECOND..15 * MILLISECOND + 100_000).contains(&least), "{least}");
    assert!(most <= 25 * MILLISECOND && most > 25 * MILLISECOND - 100_000, "{most}");
    let mean = delays.iter().sum::<u64>() / delays.len() as u64;
    assert!(mean.abs_diff(20 * MILLISECOND) < 400_000, "{mean}");
    // Close together, they leave in their order.
    for distance in [0, 1000, MILLISECOND] {
        let mut link = link(plan.clone());
        let left = run(&mut link, &frames, distance);
        assert!(left.iter().zip(0..).all(|((_, number), index)| *number == index));
        assert_eq!(link.stats()[0].reordered, 0);
    }
}

#[test]
fn reordered_packets_leave_at_once() {
    let reorder = Some(ReorderPlan { probability: Probability::ALWAYS, gap: 5 });
    let plan = ImpairmentPlan { delay: millis(20), reorder, ..ImpairmentPlan::default() };
    let mut link = link(plan);
    let frames = datagrams(1000);
    let mut early = 0;
    for (index, frame) in frames.iter().enumerate() {
        let at = index as u64 * MILLISECOND;
        let due = pass(&mut link, frame, at)[0].due;
        assert_eq!(due - at, if index % 5 == 4 { 0 } else { 20 * MILLISECOND });
        early += u64::from(due == at);
    }
    assert_eq!((link.stats()[0].reordered, early), (200, 200));
}

#[test]
fn frequencies_of_duplicates_and_flipped_bits_are_right() {
    let plan = ImpairmentPlan {
        duplicate: thousandths(100),
        corrupt: thousandths(200),
        ..ImpairmentPlan::default()
    };
    let mut link = link(plan);
    let frames = datagrams(5000);
    let (mut copies, mut flipped) = (0, 0);
    for frame in &frames {
        let out = pass(&mut link, frame, 0);
        copies += out.len() as u64 - 1;
        assert!(out.iter().all(|one| one.bytes == out[0].bytes));
        let changed = out[0].bytes.iter().zip(&frame.bytes).map(|(one, old)| one ^ old);
        let bits: u32 = changed.map(u8::count_ones).sum();
        assert!(bits <= 1 && out[0].bytes[..14] == frame.bytes[..14]);
        flipped += u64::from(bits);
    }
    let stats = &link.stats()[0];
    assert_eq!((stats.duplicated, stats.corrupted), (copies, flipped));
    // Within five standard deviations of 500 and 1000.
    assert!(copies.abs_diff(500) < 107 && flipped.abs_diff(1000) < 142, "{copies} {flipped}");
}

#[test]
fn the_rate_holds_for_super_frames() {
    let plan = ImpairmentPlan { rate: Some(rate(8_000_000)), ..ImpairmentPlan::default() };
    for is_v4 in [true, false] {
        let mut link = link(plan.clone());
        let sample = Sample { is_v4, ..Sample::tcp(ACK, 0, vec![1; 10 * 1400]) };
        let frame = sample.gso(1400);
        let out = pass(&mut link, &frame, MILLISECOND);
        let length = frame.bytes.len() as u64 - 9 * 1400;
        let times: Vec<Nanos> = out.iter().map(|one| one.due).collect();
        let expected: Vec<Nanos> =
            (1..=10).map(|count| MILLISECOND + count * length * 1000).collect();
        assert_eq!(times, expected);
        assert!(out.iter().all(|one| one.offload == Default::default()));
    }
}

#[test]
fn a_long_queue_marks_ecn_capable_packets() {
    let rate = RatePlan { mark_above: Some(1500), ..rate(8_000_000) };
    let plan = ImpairmentPlan { rate: Some(rate), ..ImpairmentPlan::default() };
    for is_v4 in [true, false] {
        let mut link = link(plan.clone());
        let sample = |ecn| Sample { is_v4, ecn, ..Sample::udp([5000, 53], vec![1; 1000]) }.wire();
        let ecn = |link: &mut EmulatedLink, ecn| {
            let frame = sample(ecn);
            let out = pass(link, &frame, 0);
            Frame::parse(&out[0].bytes).ip.unwrap().ecn
        };
        let marks = [2, 2, 1, 0, 3].map(|before| ecn(&mut link, before));
        assert_eq!(marks, [2, 3, 3, 0, 3]);
        assert_eq!(link.stats()[0].marked, 2);
    }
}

#[test]
fn a_path_can_drop_ecn_capable_packets() {
    let mut link = link(ImpairmentPlan { drops_ect: true, ..ImpairmentPlan::default() });
    let fates = [0, 1, 2, 3].map(|ecn| {
        let sample = Sample { ecn, ..Sample::tcp(ACK, 0, vec![1; 100]) };
        pass(&mut link, &sample.wire(), 0).len()
    });
    assert_eq!(fates, [1, 0, 0, 0]);
    assert_eq!((link.stats()[0].lost, link.losses().last.len()), (3, 3));
}

#[test]
fn held_frames_wait_before_the_loss() {
    let mut link = link(ImpairmentPlan { delay: millis(3), ..ImpairmentPlan::default() });
    let frames = datagrams(10);
    link.hold(Direction::Forth);
    assert_eq!(run(&mut link, &frames[..6], 0), []);
    assert_eq!(link.stats()[0].in_transit, 6);
    // The other direction is not held.
    let mut out = Vec::new();
    let answer = Sample::udp([5000, 53], vec![0; 8]).answer(Kind::Udp).wire();
    link.pass(Direction::Back, answer.at(0), &mut out);
    assert_eq!(out.len(), 1);
    let mut out = Vec::new();
    link.release(Direction::Forth, 9 * MILLISECOND, &mut out);
    let left: Vec<(Nanos, u32)> = out.iter().map(|one| (one.due, number(one))).collect();
    assert_eq!(left, [0, 1, 2, 3, 4, 5].map(|number| (12 * MILLISECOND, number)));
    assert_eq!(run(&mut link, &frames[6..], 0).len(), 4);
    // What is lost after the release is what would have been lost without the hold.
    let plan = || ImpairmentPlan {
        loss: LossPlan::Independent(thousandths(400)),
        ..ImpairmentPlan::default()
    };
    let (mut held, mut free) = (super::link(plan()), super::link(plan()));
    held.hold(Direction::Forth);
    let frames = datagrams(100);
    run(&mut held, &frames, 0);
    let mut out = Vec::new();
    held.release(Direction::Forth, 5, &mut out);
    let numbers: Vec<u32> = out.iter().map(number).collect();
    let expected: Vec<u32> = run(&mut free, &frames, 0).into_iter().map(|(_, one)| one).collect();
    assert_eq!(numbers, expected);
}

#[test]
fn the_list_of_losses_is_bounded() {
    let mut link = link(ImpairmentPlan { loss: always_lost(), ..ImpairmentPlan::default() });
    let frame = &datagrams(1)[0];
    (0..10_500).for_each(|_| drop(pass(&mut link, frame, 0)));
    let losses = link.losses();
    assert_eq!((losses.last.len(), losses.earlier), (10_000, 500));
    assert_eq!(link.stats()[0].lost, 10_500);
}

#[test]
fn a_changed_plan_keeps_order() {
    let slow = ImpairmentPlan { delay: millis(20), ..ImpairmentPlan::default() };
    let mut link = link(slow);
    let frames = datagrams(2);
    assert_eq!(pass(&mut link, &frames[0], 0)[0].due, 20 * MILLISECOND);
    link.set(Direction::Forth, ImpairmentPlan::default(), 1);
    assert_eq!(pass(&mut link, &frames[1], 1)[0].due, 20 * MILLISECOND);
}
