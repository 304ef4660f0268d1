//! How far a test's process has come on its way to the first line of the test's function.
//!
//! What panics, ends the process or hangs before that line is no act of the test: it must not pass a
//! `#[should_panic]` test, and takes none of the test's time.

use std::sync::OnceLock;

use crate::sys::process::progress::Progress;

/// Stages of a test's process, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Its surroundings are made those of the runner.
    Surroundings,
    /// The constructors of the program run.
    Constructors,
    /// The thread of the test is started.
    Thread,
    /// The tokio runtime of an `async fn` is built.
    Runtime,
    /// The code runs that another attribute has put around the test's function.
    Attribute,
    /// The test's function runs, or has run.
    Body,
}

impl Stage {
    const ALL: [Self; 6] = [
        Self::Surroundings,
        Self::Constructors,
        Self::Thread,
        Self::Runtime,
        Self::Attribute,
        Self::Body,
    ];

    pub(crate) fn number(self) -> u32 {
        self as u32
    }

    pub(crate) fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.number() == number)
    }

    /// Step and object of a failure in this stage.
    pub(crate) fn step(self) -> (&'static str, &'static str) {
        match self {
            Self::Surroundings => ("prepare", "the test's process"),
            Self::Constructors => ("run", "the constructors of the program"),
            Self::Thread => ("start", "the test's thread"),
            Self::Runtime => ("build", "the test's tokio runtime"),
            Self::Attribute => ("run", "the code of another attribute before the test's function"),
            Self::Body => ("run", "the test's function"),
        }
    }
}

/// Where this process notes it; nothing in a process that is no body.
static OWN: OnceLock<&'static Progress> = OnceLock::new();

/// Has this process, and those forked from it, note their stages there.
pub(crate) fn note_in(progress: &'static Progress) {
    OWN.get_or_init(|| progress);
}

/// Notes a stage before the test's function.
pub(crate) fn reach(stage: Stage) {
    if let Some(progress) = OWN.get() {
        progress.reach(stage.number());
    }
}

/// Whether the test's function has been entered. True in a process that is no body.
pub(crate) fn has_begun() -> bool {
    OWN.get().is_none_or(|progress| progress.began().is_some())
}

/// Notes that the test's function is entered now. Only the first call has an effect.
pub(crate) fn begin() {
    if let Some(progress) = OWN.get() {
        progress.begin(Stage::Body.number());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_have_numbers_in_their_order() {
        for (number, stage) in (0..).zip(Stage::ALL) {
            assert_eq!((stage.number(), Stage::from_number(number)), (number, Some(stage)));
        }
        assert_eq!(Stage::from_number(6), None);
        assert!(has_begun(), "this is no body");
    }
}
