//! Stages of a body on its way to the first line of the test's function. Pure.
//!
//! A panic, exit or hang before that line is not the test's: it must not pass a `#[should_panic]`
//! test, and does not count against the test's time limit.

/// Stage of a body, in the order in which a body reaches them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// It takes the attributes of the runner.
    Surroundings,
    /// The constructors of the program run.
    Constructors,
    /// The thread of the test is started.
    Thread,
    /// The tokio runtime of an `async fn` is built.
    Runtime,
    /// The code that another attribute has put around the test's function runs.
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

    /// Returns step and object of a failure in this stage.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_have_numbers_in_their_order() {
        for (number, stage) in (0..).zip(Stage::ALL) {
            assert_eq!((stage.number(), Stage::from_number(number)), (number, Some(stage)));
        }
        assert_eq!(Stage::from_number(6), None);
    }
}
