//! Explains why a test has failed: from facts to causes, each with its proof and what to try. Pure.

use crate::evidence::ending::Ending;
use crate::evidence::facts::Facts;

/// Why a test has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cause {
    pub(crate) certainty: Certainty,
    /// One sentence.
    pub(crate) text: String,
    /// Sentences that show it.
    pub(crate) proof: Vec<String>,
    /// What to try, in the imperative.
    pub(crate) remedy: Vec<String>,
}

/// Certainty of a cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Certainty {
    Certain,
    Likely,
}

/// Returns the causes, the best one first.
pub(crate) fn causes(_ending: &Ending, _facts: &Facts) -> Vec<Cause> {
    Vec::new()
}
