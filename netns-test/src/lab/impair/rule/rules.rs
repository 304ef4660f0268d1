//! The rules of one direction of a link. Pure.

use crate::lab::impair::frame::Frame;
use crate::lab::impair::passage::Nanos;
use crate::lab::impair::rule::judgement::Judgement;

/// Number of a rule, never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RuleId(u64);

/// Rules in the order in which they were added. The first one that chooses a packet decides.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    next: u64,
}

impl Rules {
    /// Returns whether a rule may choose a packet that the frame stands for. This is cheap. If not,
    /// the rules need not judge the frame, and a super-frame need not be divided for them.
    pub(crate) fn may_match(&self, _frame: &Frame<'_>) -> bool {
        self.next > 0
    }

    /// Judges one packet as on the wire, which came in at the time `at`.
    pub(crate) fn judge(&mut self, _frame: &Frame<'_>, _at: Nanos) -> Judgement {
        Judgement::default()
    }
}
