//! Matchers, choices, actions and forged packets, each with near misses.

mod actions;
mod choice;
mod forged;
mod matching;
mod rules;

use crate::lab::impair::frame::Frame;
use crate::lab::impair::rule::action::Action;
use crate::lab::impair::rule::choice::Which;
use crate::lab::impair::rule::judgement::{Fate, Judgement};
use crate::lab::impair::rule::packet::Packet;
use crate::lab::impair::rule::rules::{Rule, Rules};

/// Returns rules with one rule that drops.
fn dropping(packet: Packet, which: Which) -> Rules {
    single(packet, which, Action::Drop)
}

fn single(packet: Packet, which: Which, action: Action) -> Rules {
    let mut rules = Rules::default();
    rules.add(Rule { packet, which, action }, 0);
    rules
}

/// Judges a frame at the time 0.
fn judge(rules: &mut Rules, bytes: &[u8]) -> Judgement {
    rules.judge(&Frame::parse(bytes), 0)
}

/// Returns whether the rules drop each of the frames.
fn dropped(rules: &mut Rules, frames: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Vec<bool> {
    frames.into_iter().map(|bytes| judge(rules, bytes.as_ref()).fate == Fate::Drop).collect()
}
