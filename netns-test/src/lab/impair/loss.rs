//! Loss of packets: independent, by the chain of Gilbert and Elliott, by a pattern. Pure.
//!
//! The chain is that of `loss gemodel` of `tc-netem(8)`: in each step it goes from good to bad with
//! the probability p, and from bad to good with r. A packet is lost with a probability that depends
//! on the state. So the mean loss is (p × bad + r × good) / (p + r).
//!
//! Its steps are positions of a flow, not times ([`flow`](crate::lab::impair::flow) has the table).
//! The state of a step is a function of draws alone, whatever was asked before. Its definition is
//! part of the promise of [`hash`](crate::lab::impair::hash):
//!
//! - `chain(class, step, lane)` is the draw for the purpose 1 with these three words.
//! - At a step that is a multiple of 1024 the state is bad if `chain` × (p + r) < p × 2⁶⁴, where p
//!   and r are rounded down to multiples of 2⁻⁶³. So a flow begins, and goes on, with the mean loss
//!   of the chain; a burst does not go beyond such a step.
//! - At another step it is bad if it was good and `chain` < p × 2⁶⁴, or if it was bad and
//!   `chain` < (1 − r) × 2⁶⁴.
//!
//! A pattern takes the entry step + lane, modulo its length. TCP segments without data, and those
//! with SYN, FIN or RST, are not subject to it.

use crate::lab::impair::flow::position::{Class, Position, Step};
use crate::lab::impair::hash::{FlowKey, Purpose};
use crate::lab::plan::impairment::LossPlan;
use crate::lab::topology::quantity::Probability;

/// Steps between two at which the chain begins anew.
const RESTART: u64 = 1024;

/// Returns whether the packet with this position of a flow is lost.
pub(crate) fn is_lost(plan: &LossPlan, key: FlowKey, position: &Position) -> bool {
    let probability = match *plan {
        LossPlan::None => Probability::NEVER,
        LossPlan::Independent(probability) => probability,
        LossPlan::GilbertElliott { p, r, bad, good, .. } => {
            let draw = |step: u64| {
                key.draw(Purpose::Chain, [position.class as u64, step, position.step.lane])
            };
            if is_bad(p, r, position.step.index, draw) { bad } else { good }
        }
        LossPlan::Pattern(ref pattern) => return is_marked(pattern, position),
    };
    probability.is_hit(position.draw(key, Purpose::Loss))
}

/// Returns whether the state of a chain at a step is bad.
///
/// Going back, the search ends at the first step whose draw leads to one state from both states. So
/// it takes 1 / (p + r) draws on average.
fn is_bad(p: Probability, r: Probability, step: u64, draw: impl Fn(u64) -> u64) -> bool {
    let next = |is_bad: bool, draw: u64| if is_bad { !r.is_hit(!draw) } else { p.is_hit(draw) };
    let restart = step - step % RESTART;
    let mut from = step;
    let mut state = loop {
        let drawn = draw(from);
        if from == restart {
            break starts_bad(p, r, drawn);
        }
        if next(true, drawn) == next(false, drawn) {
            break next(true, drawn);
        }
        from -= 1;
    };
    for step in from + 1..=step {
        state = next(state, draw(step));
    }
    state
}

/// Returns whether a draw hits p / (p + r), the share of steps in the bad state.
fn starts_bad(p: Probability, r: Probability, draw: u64) -> bool {
    let [p, r] = [p, r].map(|one| one.bits() >> 1);
    (u128::from(draw) * u128::from(p + r)) >> 64 < u128::from(p)
}

fn is_marked(pattern: &[bool], position: &Position) -> bool {
    let Step { lane, index } = position.step;
    let is_spared = matches!(position.class, Class::Control | Class::Ack);
    // An empty pattern marks nothing.
    let at = index.wrapping_add(lane).checked_rem(pattern.len() as u64);
    at.is_some_and(|at| !is_spared && pattern[at as usize])
}

#[cfg(test)]
mod tests;
