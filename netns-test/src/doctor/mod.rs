//! The program that tells what this machine allows: it does what the harness does for a test,
//! step by step, and tries the parts of the kernel that labs are made of.

pub(crate) mod attempt;
pub(crate) mod features;
pub(crate) mod json;
pub(crate) mod text;

use std::process::ExitCode;

use crate::diagnose;
use crate::diagnose::Facts;
use crate::doctor::attempt::{Attempt, Feature};
use crate::env;
use crate::error::Failure;
use crate::isolate::Mode;
use crate::premain;
use crate::probe;
use crate::userns::Caller;

const USAGE: &str = "\
Tells whether netns-test can isolate tests on this machine.

usage: netns-test-doctor [--json]

  --json     print one JSON object instead of text
  --help     print this
  --version  print the version

It asks the kernel for each kind of link that labs are made of, for which the kernel may
load modules; those of dummy and ifb may add idle links to the machine, unless it is told
not to.

exit status: 0 if tests can be isolated, 1 if not, 2 if the arguments are wrong
";

/// What there is to tell.
#[derive(Debug)]
pub(crate) struct Report {
    /// What is wrong with the variables that the crate reads.
    settings: Option<Failure>,
    /// What has been tried, in order; the last one tells.
    attempts: Vec<Attempt>,
    /// Why tests cannot be isolated.
    refusal: Option<Failure>,
    features: Vec<Feature>,
    facts: Facts,
}

/// The whole program.
pub(crate) fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(|argument| argument.to_str()).collect();
    let print = match arguments[..] {
        [] => text::print,
        [Some("--json")] => json::print,
        [Some("--help" | "-h")] => return say(USAGE),
        [Some("--version" | "-V")] => return say(&format!("netns-test {VERSION}\n")),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    let report = examine();
    let is_told = say(&print(&report)) == ExitCode::SUCCESS;
    ExitCode::from(u8::from(!(report.is_isolated() && is_told)))
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn say(text: &str) -> ExitCode {
    use std::io::Write as _;
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn examine() -> Report {
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
    fn is_isolated(&self) -> bool {
        self.settings.is_none() && self.refusal.is_none()
    }

    /// The attempt that has succeeded.
    fn success(&self) -> Option<&Attempt> {
        self.attempts.last().filter(|_| self.refusal.is_none())
    }
}
