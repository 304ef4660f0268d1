//! The rules of one direction of a link. Pure.

use std::fmt;

use crate::lab::impair::frame::Frame;
use crate::lab::impair::passage::Nanos;
use crate::lab::impair::rule::action::Action;
use crate::lab::impair::rule::apply::apply;
use crate::lab::impair::rule::choice::Which;
use crate::lab::impair::rule::choice::chooser::Chooser;
use crate::lab::impair::rule::judgement::{Fate, Judgement};
use crate::lab::impair::rule::packet::Packet;
use crate::lab::impair::rule::packet::view::PacketView;

/// A rule: what it does to which of the packets that match.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) packet: Packet,
    pub(crate) which: Which,
    pub(crate) action: Action,
}

/// Number of a rule, never used again by the same rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RuleId(u64);

/// Numbers of a rule so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RuleCounts {
    /// Packets that matched while the rule could still choose one.
    pub(crate) matched: u64,
    /// Packets that were chosen.
    pub(crate) hits: u64,
}

/// Rules in the order in which they were added. The first one that chooses a packet decides. A
/// packet that an earlier rule has chosen is not counted by the later ones.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    entries: Vec<Entry>,
    added: u64,
    panic: Option<String>,
}

#[derive(Debug)]
struct Entry {
    id: RuleId,
    rule: Rule,
    chooser: Chooser,
    counts: RuleCounts,
    /// Called when the rule acts for the first time.
    first: Option<First>,
    /// True after a panic of a condition: it may have broken its state.
    is_broken: bool,
}

struct First(Box<dyn FnOnce() + Send>);

impl fmt::Debug for First {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("First")
    }
}

impl Rules {
    /// Adds a rule behind the others.
    pub(crate) fn add(&mut self, rule: Rule, now: Nanos) -> RuleId {
        let id = RuleId(self.added);
        self.added += 1;
        let chooser = Chooser::new(rule.which, now);
        let counts = RuleCounts::default();
        self.entries.push(Entry { id, rule, chooser, counts, first: None, is_broken: false });
        id
    }

    /// Calls `first` when a rule acts for the first time.
    pub(crate) fn at_first(&mut self, id: RuleId, first: impl FnOnce() + Send + 'static) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.id == id) {
            entry.first = Some(First(Box::new(first)));
        }
    }

    /// Removes a rule. Returns its last numbers, or `None` if it was removed before.
    pub(crate) fn remove(&mut self, id: RuleId) -> Option<RuleCounts> {
        let at = self.entries.iter().position(|entry| entry.id == id)?;
        Some(self.entries.remove(at).counts)
    }

    /// Returns the numbers of a rule, or `None` if it was removed.
    pub(crate) fn counts(&self, id: RuleId) -> Option<RuleCounts> {
        self.entries.iter().find(|entry| entry.id == id).map(|entry| entry.counts)
    }

    /// Returns the rules with their numbers, in their order.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&Rule, RuleCounts)> {
        self.entries.iter().map(|entry| (&entry.rule, entry.counts))
    }

    /// Returns the message of the first panic of a condition, and forgets it.
    pub(crate) fn take_panic(&mut self) -> Option<String> {
        self.panic.take()
    }

    /// Returns whether a rule may choose a packet that the frame stands for, or has to see it. This
    /// is cheap. If not, the rules need not judge the frame, and a super-frame need not be divided
    /// for them.
    pub(crate) fn may_match(&self, frame: &Frame<'_>) -> bool {
        self.entries.iter().any(|entry| entry.may_match(frame))
    }

    /// Judges one packet as on the wire, which came in at the time `at`.
    pub(crate) fn judge(&mut self, frame: &Frame<'_>, at: Nanos) -> Judgement {
        let packet = PacketView::new(frame);
        let mut chosen = None;
        for entry in &mut self.entries {
            if entry.chooser.observes(frame) {
                entry.chooser.observe(&packet);
            }
            if chosen.is_some() {
                continue;
            }
            match entry.chooses(&packet, at) {
                Ok(false) => {}
                Ok(true) => {
                    let mut judgement = apply(&entry.rule.action, frame);
                    if judgement.fate == Fate::Drop {
                        judgement.by = format!("rule {}: {}", entry.id.0 + 1, entry.rule);
                    }
                    chosen = Some(judgement);
                }
                Err(message) => {
                    entry.is_broken = true;
                    self.panic.get_or_insert_with(|| format!("{}: {message}", entry.rule));
                }
            }
        }
        chosen.unwrap_or_default()
    }
}

impl Entry {
    fn may_match(&self, frame: &Frame<'_>) -> bool {
        let is_alive = !self.is_broken && !self.chooser.is_exhausted();
        is_alive && (self.chooser.observes(frame) || self.rule.packet.may_match(frame))
    }

    fn chooses(&mut self, packet: &PacketView<'_>, at: Nanos) -> Result<bool, String> {
        let is_dead = self.is_broken || self.chooser.is_exhausted() || self.chooser.is_over(at);
        if is_dead || !self.rule.action.applies(packet) || !self.rule.packet.matches(packet)? {
            return Ok(false);
        }
        self.counts.matched += 1;
        let is_hit = self.chooser.choose(packet);
        self.counts.hits += u64::from(is_hit);
        if let Some(First(first)) = self.first.take_if(|_| is_hit) {
            first();
        }
        Ok(is_hit)
    }
}

impl Rule {
    /// Returns why the rule can never do anything, a line for each reason, with advice.
    pub(crate) fn mistakes(&self) -> Vec<String> {
        let others = [self.which.mistake(), self.action.mistake()];
        let others = others.into_iter().flatten().map(str::to_owned);
        self.packet.mistakes().into_iter().chain(others).collect()
    }
}

/// Writes action, matcher and choice, as in `drop TCP, SYN|ACK set: packet 3`.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.action, self.packet, self.which)
    }
}
