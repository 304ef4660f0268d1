//! The report: the attempts, their result, and the facts.

use crate::diagnose;
use crate::diagnose::Facts;
use crate::doctor::attempt;
use crate::doctor::attempt::{Attempt, Feature};
use crate::env;
use crate::error::Failure;
use crate::isolate::Mode;
use crate::premain;
use crate::probe;
use crate::userns::Caller;

/// The version of the crate.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The findings about a machine.
#[derive(Debug)]
pub(crate) struct Report {
    /// A mistake in the environment variables that the crate reads.
    pub(crate) settings: Option<Failure>,
    /// The attempts, in order; the last one decides.
    pub(crate) attempts: Vec<Attempt>,
    /// The reason for which tests cannot be isolated.
    pub(crate) refusal: Option<Failure>,
    pub(crate) features: Vec<Feature>,
    pub(crate) facts: Facts,
}

/// Tries to isolate, and reads the facts.
pub(crate) fn examine() -> Report {
    let mut report = Report {
        settings: env::settings().err(),
        attempts: Vec::new(),
        refusal: None,
        features: Vec::new(),
        facts: Facts::read(),
    };
    let result = premain::alone(|alone| {
        let caller = Caller::read()?;
        let (mut mode, mut failures) = (Mode::full(), Vec::new());
        loop {
            let attempt = attempt::make(&mode, &caller, alone);
            let failure = attempt.failure.clone();
            report.features.clone_from(&attempt.features);
            report.attempts.push(attempt);
            let Some(failure) = failure else { return Ok(()) };
            let reason = failure.summary();
            failures.push(failure);
            match probe::next_mode(&mode, &caller, alone) {
                Some(next) => mode = next.because(&reason),
                None => return Err(probe::all_in_one(failures)),
            }
        }
    });
    let result = result.unwrap_or_else(|threads| Err(diagnose::not_alone(threads)));
    report.refusal = result.err();
    report
}

impl Report {
    pub(crate) fn is_isolated(&self) -> bool {
        self.settings.is_none() && self.refusal.is_none()
    }

    /// Returns the attempt that has succeeded.
    pub(crate) fn success(&self) -> Option<&Attempt> {
        self.attempts.last().filter(|_| self.refusal.is_none())
    }
}
