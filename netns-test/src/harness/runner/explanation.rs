//! The explanation of a test that has not passed: from the evidence that init has sent to the lines
//! that follow the verdict, and the files that go with them.

use crate::evidence::code::Fact as _;
use crate::evidence::ending::{EndKind, Ending};
use crate::evidence::facts::Facts;
use crate::harness::runner::verdict::Verdict;
use crate::registry::case::{Case, ShouldPanic};
use crate::report::text;

/// Returns the lines of the report. Evidence that cannot be read costs the report, not the verdict.
pub(crate) fn of(case: &Case, verdict: &Verdict, evidence: &[u8]) -> Vec<String> {
    let kind = match verdict {
        Verdict::Passed | Verdict::Refused(_) | Verdict::Skipped => return Vec::new(),
        Verdict::Panicked(_) | Verdict::PanickedWithValue
            if case.should_panic != ShouldPanic::No =>
        {
            return Vec::new();
        }
        Verdict::Panicked(_) | Verdict::PanickedWithValue => EndKind::Panicked,
        Verdict::Failed(_) => EndKind::NotRun,
    };
    let message = match verdict {
        Verdict::Panicked(message) | Verdict::Failed(message) => message.clone(),
        _ => String::new(),
    };
    let Some(facts) = Facts::decoded(evidence) else { return Vec::new() };
    let after = facts.began.map(|began| facts.ended.saturating_sub(began)).unwrap_or_default();
    let ending = Ending { test: case.path(), kind, message, after, ..Ending::default() };
    text::lines(&ending, &facts)
}
