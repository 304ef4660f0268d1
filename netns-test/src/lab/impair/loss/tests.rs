//! Loss, against its definition, theory, and golden verdicts.

use std::net::Ipv4Addr;

use crate::lab::impair::flow::position::{Class, Position, Step};
use crate::lab::impair::frame::samples::Random;
use crate::lab::impair::hash::tests::FLOW;
use crate::lab::impair::hash::{LinkKey, Purpose, Seed};
use crate::lab::impair::loss::{RESTART, is_bad, is_lost};
use crate::lab::impair::passage::Direction;
use crate::lab::plan::impairment::LossPlan;
use crate::lab::topology::quantity::Probability;

/// Returns n / d as a probability.
fn share(n: u64, d: u64) -> Probability {
    Probability::from_bits(((u128::from(n) << 64) / u128::from(d)).try_into().unwrap_or(u64::MAX))
}

/// Returns the first transmission of a slot.
fn slot(number: u64) -> Position {
    attempt(number, 0)
}

fn attempt(number: u64, attempt: u64) -> Position {
    let step = Step { lane: attempt, index: number };
    Position { class: Class::Slot, number, attempt, step }
}

fn chain(p: Probability, r: Probability, bad: Probability, good: Probability) -> LossPlan {
    LossPlan::GilbertElliott { p, r, bad, good, is_shared: false }
}

/// Returns which of the first slots a plan takes.
fn lost(plan: &LossPlan, slots: std::ops::Range<u64>) -> Vec<u64> {
    slots.filter(|&number| is_lost(plan, FLOW, &slot(number))).collect()
}

#[test]
fn verdicts_have_their_golden_values() {
    let independent = LossPlan::Independent(share(1, 20));
    assert_eq!(lost(&independent, 0..200), [14, 49, 80, 113, 115, 179, 180]);
    let bursts = chain(share(1, 50), share(1, 4), Probability::ALWAYS, Probability::NEVER);
    let expected: Vec<u64> = [32..=33, 41..=48, 145..=155].into_iter().flatten().collect();
    assert_eq!(lost(&bursts, 0..200), expected);
    let expected: Vec<u64> =
        [1033..=1043, 1058..=1060, 1070..=1073, 1103..=1106].into_iter().flatten().collect();
    assert_eq!(lost(&bursts, 1020..1140), expected);
}

#[test]
fn independent_losses_have_their_frequency() {
    const DRAWS: u64 = 50_000;
    for (n, d) in [(1, 1000), (1, 100), (1, 20), (1, 2), (9, 10)] {
        let count = lost(&LossPlan::Independent(share(n, d)), 0..DRAWS).len() as f64;
        let p = n as f64 / d as f64;
        let deviation = (DRAWS as f64 * p * (1.0 - p)).sqrt();
        assert!((count - DRAWS as f64 * p).abs() < 5.0 * deviation, "{n}/{d}: {count}");
    }
    assert_eq!(lost(&LossPlan::Independent(Probability::NEVER), 0..1000).len(), 0);
    assert_eq!(lost(&LossPlan::Independent(Probability::ALWAYS), 0..1000).len(), 1000);
    assert_eq!(lost(&LossPlan::None, 0..1000).len(), 0);
}

#[test]
fn a_chain_is_what_its_definition_says() {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let mut both = [0; 2];
    for round in 0..30 {
        let mut probability = || match random.below(8) {
            0 => Probability::NEVER,
            1 => Probability::ALWAYS,
            scale => share(random.below(1000) as u64, 1000 * (1 << scale) / 2),
        };
        let (p, r) = (probability(), probability());
        let draw = |step: u64| FLOW.draw(Purpose::Chain, [0, step, round]);
        // Forward, from each restart on.
        let mut state = false;
        for step in 0..RESTART + 100 {
            let drawn = draw(step);
            state = if step % RESTART == 0 {
                let sum = (u128::from(p.bits()) >> 1) + (u128::from(r.bits()) >> 1);
                u128::from(drawn) * sum < u128::from(p.bits() >> 1) << 64
            } else if state {
                u128::from(drawn) < (1 << 64) - stretched(r)
            } else {
                u128::from(drawn) < stretched(p)
            };
            assert_eq!(is_bad(p, r, step, draw), state, "{p:?} {r:?} {step}");
            both[usize::from(state)] += 1;
        }
    }
    assert!(both[0] > 5_000 && both[1] > 5_000, "{both:?}");
}

/// Returns a probability in steps of 2⁻⁶⁴, of which 1 has 2⁶⁴.
fn stretched(probability: Probability) -> u128 {
    if probability == Probability::ALWAYS { 1 << 64 } else { probability.bits().into() }
}

#[test]
fn a_chain_has_the_losses_of_theory() {
    const STEPS: u64 = 30_000;
    // p, r, bad, good in thousandths.
    for (lane, [p, r, bad, good]) in [
        [10, 100, 1000, 0],
        [20, 250, 1000, 0],
        [5, 50, 800, 1],
        [300, 300, 500, 100],
        [1, 9, 1000, 0],
    ]
    .into_iter()
    .enumerate()
    {
        let plan = chain(share(p, 1000), share(r, 1000), share(bad, 1000), share(good, 1000));
        let [p, r, bad, good] = [p, r, bad, good].map(|one| one as f64 / 1000.0);
        let (mut lost, mut bursts, mut before) = (0, 0, false);
        for number in 0..STEPS {
            let is = is_lost(&plan, FLOW, &attempt(number, lane as u64));
            lost += u64::from(is);
            bursts += u64::from(is && !before);
            before = is;
        }
        let in_bad = p / (p + r);
        let mean = in_bad * bad + (1.0 - in_bad) * good;
        // The variance of a mean over a chain with the second eigenvalue 1 - p - r.
        let factor = (2.0 - p - r) / (p + r);
        let variance =
            in_bad * (1.0 - in_bad) * (bad - good).powi(2) * factor + mean * (1.0 - mean);
        let bound = 5.0 * (variance / STEPS as f64).sqrt();
        let measured = lost as f64 / STEPS as f64;
        assert!((measured - mean).abs() < bound, "{p} {r}: {measured}, not {mean} ± {bound}");
        if bad == 1.0 && good == 0.0 && r >= 0.1 {
            let length = lost as f64 / bursts as f64;
            assert!((length * r - 1.0).abs() < 0.25, "{p} {r}: bursts of {length}");
        }
    }
}

#[test]
fn short_flows_have_the_mean_loss_of_a_chain() {
    // The first three packets of many flows: a chain that began in the good state would take none.
    let plan = chain(share(1, 100), share(1, 10), Probability::ALWAYS, Probability::NEVER);
    let link = LinkKey::new(Seed(1), Direction::Forth, "a");
    let flows =
        (0..20_000).map(|number| link.flow([Ipv4Addr::LOCALHOST.into(); 2], [6, 80, 0, number]));
    let lost = flows.flat_map(|key| (0..3).map(move |number| (key, slot(number))));
    let lost = lost.filter(|(key, position)| is_lost(&plan, *key, position)).count();
    let mean = 60_000.0 / 11.0;
    assert!((lost as f64 - mean).abs() < 600.0, "{lost}, not about {mean}");
}

#[test]
fn a_pattern_repeats_and_lets_data_pass_in_the_end() {
    let plan = LossPlan::Pattern(vec![false, false, true]);
    assert_eq!(lost(&plan, 0..10), [2, 5, 8]);
    // Sent again, the lost slot is not lost.
    assert!(!is_lost(&plan, FLOW, &attempt(2, 1)));
    for class in [Class::Control, Class::Ack] {
        assert!(!is_lost(&plan, FLOW, &Position::numbered(class, 2)));
    }
    assert!(is_lost(&plan, FLOW, &Position::numbered(Class::Other, 2)));
    assert_eq!(lost(&LossPlan::Pattern(Vec::new()), 0..10), Vec::<u64>::new());
}
