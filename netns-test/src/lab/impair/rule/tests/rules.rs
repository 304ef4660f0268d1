//! Order, counts and ends of rules, a condition that panics, and any bytes at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::lab::impair::frame::samples::{ALL, Random, Sample, bytes};
use crate::lab::impair::frame::{ACK, Frame, SYN};
use crate::lab::impair::rule::action::{Action, ResetTarget, Unreachable};
use crate::lab::impair::rule::choice::Which;
use crate::lab::impair::rule::judgement::{Fate, Judgement};
use crate::lab::impair::rule::packet::Packet;
use crate::lab::impair::rule::rules::{Rule, RuleCounts, Rules};
use crate::lab::impair::rule::tests::{dropped, dropping, judge};

fn rule(packet: Packet, which: Which, action: Action) -> Rule {
    Rule { packet, which, action }
}

#[test]
fn no_rule_passes_all() {
    let mut rules = Rules::default();
    for golden in ALL {
        let bytes = bytes(golden);
        assert!(!rules.may_match(&Frame::parse(&bytes)));
        assert_eq!(judge(&mut rules, &bytes), Judgement::default());
    }
}

#[test]
fn the_first_rule_that_chooses_decides() {
    let mut rules = Rules::default();
    let second = rule(Packet::udp(), Which::all().nth(2), Action::Hold);
    let each = rule(Packet::udp(), Which::all(), Action::Drop);
    let ids = [rules.add(second, 0), rules.add(each, 0)];
    let bytes = Sample::udp(b"x").build();
    let fates: Vec<Fate> = (0..3).map(|_| judge(&mut rules, &bytes).fate).collect();
    assert_eq!(fates, [Fate::Drop, Fate::Hold, Fate::Drop]);
    // A rule that has chosen all that it can choose no longer counts.
    let counts = [RuleCounts { matched: 2, hits: 1 }, RuleCounts { matched: 2, hits: 2 }];
    assert_eq!(ids.map(|id| rules.counts(id).unwrap()), counts);
    // An exception, before a rule for the rest.
    let mut rules = Rules::default();
    rules.add(rule(Packet::udp().port(53), Which::all(), Action::Pass), 0);
    rules.add(rule(Packet::any(), Which::all(), Action::Drop), 0);
    let frames = [bytes, Sample { ports: [1, 2], ..Sample::udp(b"x") }.build()];
    assert_eq!(dropped(&mut rules, &frames), [false, true]);
}

#[test]
fn removed_rules_are_gone_and_their_numbers_known() {
    let mut rules = Rules::default();
    let bytes = Sample::udp(b"x").build();
    let first = rules.add(rule(Packet::udp(), Which::all(), Action::Drop), 0);
    judge(&mut rules, &bytes);
    assert_eq!(rules.remove(first), Some(RuleCounts { matched: 1, hits: 1 }));
    assert_eq!((rules.remove(first), rules.counts(first)), (None, None));
    assert!(!rules.may_match(&Frame::parse(&bytes)));
    assert_eq!(judge(&mut rules, &bytes).fate, Fate::Pass);
    let second = rules.add(rule(Packet::udp(), Which::all(), Action::Drop), 0);
    assert_ne!(first, second);
}

#[test]
fn rules_are_listed_with_their_numbers() {
    let mut rules = Rules::default();
    rules.add(rule(Packet::tcp().syn_ack(), Which::all().nth(3), Action::Drop), 0);
    let used = rules.add(rule(Packet::udp(), Which::all(), Action::Drop), 0);
    let reported = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&reported);
    rules.at_first(used, move || {
        count.fetch_add(1, Ordering::Relaxed);
    });
    let syn_ack = Sample::tcp(SYN | ACK, b"").build();
    dropped(&mut rules, [&syn_ack, &syn_ack]);
    assert_eq!(reported.load(Ordering::Relaxed), 0);
    let udp = Sample::udp(b"").build();
    dropped(&mut rules, [&udp, &udp]);
    let found: Vec<_> = rules.all().map(|(rule, counts)| (rule.to_string(), counts)).collect();
    let expected = [
        ("drop TCP, SYN|ACK set: packet 3".to_owned(), RuleCounts { matched: 2, hits: 0 }),
        ("drop UDP: all packets".to_owned(), RuleCounts { matched: 2, hits: 2 }),
    ];
    assert_eq!(found, expected);
    // Once.
    assert_eq!(reported.load(Ordering::Relaxed), 1);
}

#[test]
fn a_panic_of_a_condition_is_kept_and_ends_the_rule() {
    let panics = |packet: Packet| packet.when(|_| panic!("a bad condition"));
    let mut rules = dropping(panics(Packet::udp()), Which::all());
    let after = rules.add(rule(Packet::any(), Which::all(), Action::Hold), 0);
    let bytes = Sample::udp(b"x").build();
    // The next rule has its turn.
    assert_eq!(judge(&mut rules, &bytes).fate, Fate::Hold);
    assert_eq!(judge(&mut rules, &bytes).fate, Fate::Hold);
    let message = "drop UDP, by a condition: all packets: a bad condition";
    assert_eq!(rules.take_panic().as_deref(), Some(message));
    assert_eq!(rules.take_panic(), None);
    rules.remove(after);
    assert!(!rules.may_match(&Frame::parse(&bytes)));
}

#[test]
fn mistakes_of_all_parts_are_reported_at_once() {
    let wrong = rule(Packet::udp().syn(), Which::all().nth(0), Action::Duplicate(0));
    assert_eq!(wrong.mistakes().len(), 3, "{:?}", wrong.mistakes());
    let right = rule(Packet::udp(), Which::all().nth(1), Action::Duplicate(1));
    assert_eq!(right.mistakes(), Vec::<String>::new());
}

#[test]
fn no_bytes_make_a_rule_fail() {
    let actions = [
        Action::Corrupt { offset: 3, bits: 1 },
        Action::Alter { offset: 3, bits: 0xff },
        Action::Alter { offset: 0, bits: 1 },
        Action::Truncate(20),
        Action::Reset(ResetTarget::Both),
        Action::Unreachable(Unreachable::Prohibited),
        Action::TooBig { mtu: 68 },
        Action::Delay(Duration::MAX),
    ];
    let whiches = [
        Which::all(),
        Which::all().nth_new(1).per_flow(),
        Which::all().every(1),
        Which::all().first_bytes(u64::MAX),
    ];
    let packet = || {
        Packet::any().payload_contains("").longer_than(0).when(|view| {
            let _ = (view.source(), view.destination(), view.ports(), view.payload(), view.icmp());
            !format!("{view:?}").is_empty()
        })
    };
    let mut random = Random(5);
    let mut all: Vec<(Action, Rules)> = Vec::new();
    for action in &actions {
        for which in whiches {
            let mut rules = Rules::default();
            rules.add(rule(packet(), which, action.clone()), 0);
            all.push((action.clone(), rules));
        }
    }
    for _ in 0..2_000 {
        let mut frame = bytes(ALL[random.below(ALL.len())]);
        for _ in 0..random.below(6) {
            let at = random.below(frame.len());
            frame[at] = random.below(256) as u8;
        }
        frame.truncate(frame.len() - random.below(2) * random.below(frame.len()));
        for (action, rules) in &mut all {
            for injected in judge(rules, &frame).injected {
                let forged = Frame::parse(&injected.bytes);
                assert!(forged.ip.is_some(), "{action}: {frame:x?}");
            }
            assert_eq!(rules.take_panic(), None);
        }
    }
}
