//! The report as text. Pure.

use crate::evidence::ending::Ending;
use crate::evidence::facts::Facts;

/// Returns the lines of the report.
pub(crate) fn lines(ending: &Ending, facts: &Facts) -> Vec<String> {
    vec![format!("{} {}: {} events", ending.test, ending.kind.word(), facts.events.len())]
}
