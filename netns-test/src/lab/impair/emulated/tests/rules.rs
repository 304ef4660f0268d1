//! Rules on a link: they come before the model, and the model does not change them.

use std::time::Duration;

use crate::lab::impair::emulated::EmulatedLink;
use crate::lab::impair::emulated::tests::frames::{Kind, Sample};
use crate::lab::impair::emulated::tests::{link, links, pass, thousandths};
use crate::lab::impair::frame::{ACK, Frame, RST, Transport};
use crate::lab::impair::passage::{Departure, Direction, Nanos};
use crate::lab::impair::rule::action::{Action, ResetTarget};
use crate::lab::impair::rule::choice::Which;
use crate::lab::impair::rule::packet::Packet;
use crate::lab::impair::rule::rules::Rule;
use crate::lab::plan::impairment::{ImpairmentPlan, LossPlan};

const MILLISECOND: Nanos = 1_000_000;

fn delayed(millis: u64) -> ImpairmentPlan {
    ImpairmentPlan { delay: Duration::from_millis(millis), ..ImpairmentPlan::default() }
}

fn add(link: &mut EmulatedLink, packet: Packet, which: Which, action: Action) {
    link.rules(Direction::Forth).add(Rule { packet, which, action }, 0);
}

/// Returns payload lengths and times of departures.
fn short(out: &[Departure<'_>]) -> Vec<(usize, Nanos)> {
    out.iter().map(|one| (Frame::parse(&one.bytes).payload.len(), one.due / MILLISECOND)).collect()
}

#[test]
fn one_segment_of_a_super_frame_is_dropped() {
    let mut link = link(delayed(3));
    add(&mut link, Packet::tcp(), Which::all().nth(3), Action::Drop);
    let frame = Sample::tcp(ACK, 0, vec![1; 5 * 1448]).gso(1448);
    assert_eq!(short(&pass(&mut link, &frame, 0)), [(1448, 3); 4]);
    let stats = &link.stats()[0];
    assert_eq!((stats.received, stats.sent, stats.dropped_by_rule), (5, 4, 1));
    // The rule is over: a frame is passed whole again.
    assert_eq!(short(&pass(&mut link, &frame, 0)), [(5 * 1448, 3)]);
}

#[test]
fn a_rule_delays_one_packet_and_others_overtake_it() {
    let mut link = link(delayed(3));
    let by = Duration::from_millis(5);
    add(&mut link, Packet::udp(), Which::all().nth(1), Action::Delay(by));
    let frames = [1, 2].map(|length| Sample::udp([5000, 53], vec![0; length]).wire());
    assert_eq!(short(&pass(&mut link, &frames[0], 0)), [(1, 8)]);
    assert_eq!(short(&pass(&mut link, &frames[1], 0)), [(2, 3)]);
}

#[test]
fn copies_and_changed_packets_go_on_through_the_model() {
    let mut link = link(delayed(3));
    add(&mut link, Packet::udp(), Which::all().nth(1), Action::Duplicate(2));
    add(&mut link, Packet::udp(), Which::all(), Action::Truncate(30));
    let frame = Sample::udp([5000, 53], vec![0; 10]).wire();
    assert_eq!(short(&pass(&mut link, &frame, 0)), [(10, 3); 3]);
    let cut = pass(&mut link, &frame, 0);
    assert_eq!((cut.len(), cut[0].bytes.len()), (1, 14 + 30));
    assert_eq!(link.stats()[0].duplicated, 2);
}

#[test]
fn a_held_packet_waits_for_the_release() {
    let mut link = link(delayed(3));
    add(&mut link, Packet::udp(), Which::all().nth(2), Action::Hold);
    let frames = [1, 2, 3].map(|length| Sample::udp([5000, 53], vec![0; length]).wire());
    let left: Vec<usize> = frames.iter().map(|frame| pass(&mut link, frame, 0).len()).collect();
    assert_eq!((left, link.stats()[0].in_transit), (vec![1, 0, 1], 1));
    let mut out = Vec::new();
    link.release(Direction::Forth, 10 * MILLISECOND, &mut out);
    assert_eq!(short(&out), [(2, 13)]);
}

#[test]
fn a_forged_reset_keeps_the_order_of_its_direction() {
    let mut link = links([delayed(3), delayed(4)]);
    add(&mut link, Packet::tcp(), Which::all().nth(2), Action::Reset(ResetTarget::Both));
    let data = Sample::tcp(ACK, 0, vec![1; 10]).wire();
    pass(&mut link, &data, 0);
    let out = pass(&mut link, &data, MILLISECOND);
    let resets: Vec<(Direction, Nanos)> = out
        .iter()
        .map(|one| match Frame::parse(&one.bytes).transport {
            Transport::Tcp(tcp) if tcp.flags & RST != 0 => (one.direction, one.due / MILLISECOND),
            other => panic!("{other:?}"),
        })
        .collect();
    // That to the sender does not wait for what is on its way.
    let both = [(Direction::Forth, 4), (Direction::Back, 1)];
    assert!(resets.len() == 2 && both.iter().all(|one| resets.contains(one)), "{resets:?}");
    let [forth, back] = link.stats();
    assert_eq!([forth.injected, back.injected, forth.dropped_by_rule], [1, 1, 1]);
    assert_eq!([forth.in_transit, back.in_transit, forth.sent, back.sent], [0, 0, 2, 1]);
}

#[test]
fn packets_that_a_rule_drops_have_no_verdict_of_the_model() {
    let plan = || ImpairmentPlan {
        loss: LossPlan::Independent(thousandths(300)),
        ..ImpairmentPlan::default()
    };
    let lost = |link: &mut EmulatedLink, skipped: usize| -> Vec<bool> {
        let frame = Sample::udp([5000, 53], vec![0; 10]).wire();
        (0..50 + skipped).map(|_| pass(link, &frame, 0).is_empty()).skip(skipped).collect()
    };
    let mut ruled = link(plan());
    add(&mut ruled, Packet::udp(), Which::all().first(7), Action::Drop);
    assert_eq!(lost(&mut ruled, 7), lost(&mut link(plan()), 0));
    assert_eq!(ruled.stats()[0].dropped_by_rule, 7);
}

#[test]
fn a_rule_of_one_direction_does_not_judge_the_other() {
    let mut link = link(ImpairmentPlan::default());
    add(&mut link, Packet::any(), Which::all(), Action::Drop);
    let sample = Sample::udp([5000, 53], vec![0; 10]);
    assert_eq!(pass(&mut link, &sample.wire(), 0).len(), 0);
    let (answer, mut out) = (sample.answer(Kind::Udp).wire(), Vec::new());
    link.pass(Direction::Back, answer.at(0), &mut out);
    assert_eq!(out.len(), 1);
}
