//! The stage that this process has reached, in memory that it shares with init.

use std::sync::OnceLock;

use crate::harness::protocol::stage::Stage;
use crate::sys::process::progress::Progress;

/// Shared memory of this process, if it is a body.
static OWN: OnceLock<&'static Progress> = OnceLock::new();

/// Sets the memory in which this process, and those forked from it, note their stages.
pub(crate) fn note_in(progress: &'static Progress) {
    OWN.get_or_init(|| progress);
}

/// Notes a stage before the test's function.
pub(crate) fn reach(stage: Stage) {
    if let Some(progress) = OWN.get() {
        progress.reach(stage.number());
    }
}

/// Returns whether the test's function has been entered. True in a process that is not a body.
pub(crate) fn has_begun() -> bool {
    OWN.get().is_none_or(|progress| progress.began().is_some())
}

/// Notes that the test's function is entered. Only the first call has an effect.
pub(crate) fn begin() {
    if let Some(progress) = OWN.get() {
        progress.begin(Stage::Body.number());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outside_of_a_body_a_test_has_begun() {
        assert!(has_begun());
    }
}
