//! The report as text. Pure.

use crate::evidence::ending::Ending;
use crate::evidence::facts::Facts;

/// Returns the lines of the report.
pub(crate) fn lines(ending: &Ending, facts: &Facts) -> Vec<String> {
    let attempts =
        facts.looks.iter().flat_map(|look| &look.networks).filter_map(|network| {
            Some(format!("{}: {:?}", network.node, network.attempts.as_ref()?))
        });
    let head = format!("{} {}: {} events", ending.test, ending.kind.word(), facts.events.len());
    let gaps = facts.gaps.iter().cloned();
    [head].into_iter().chain(attempts).chain(gaps).collect()
}
