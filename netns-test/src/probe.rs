//! Try, then explain: the outcome of a first sandbox, and the mode to try after a refusal.

use crate::bytes::{Reader, Writer};
use crate::diagnose;
use crate::diagnose::{Step, Witness};
use crate::error::Failure;
use crate::isolate::{Mode, Part, Refused};
use crate::sys::net::devconf::Altered;
use crate::sys::process::SingleThreaded;
use crate::userns::Caller;

/// Outcome of the set-up of a first sandbox.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TrialOutcome {
    /// The set-up succeeded, with these sysctls that differ in each new network namespace.
    Allowed(Altered),
    Refused {
        step: Step,
        failure: Failure,
        witness: Witness,
    },
}

/// Returns the mode to try after `mode` was refused: without a user namespace, if the caller has
/// the capabilities for it; then without the namespaces that are refused and optional.
pub(crate) fn next_mode(mode: &Mode, caller: &Caller, alone: &SingleThreaded) -> Option<Mode> {
    if !mode.is_privileged() {
        return Mode::privileged(caller);
    }
    let allowed = diagnose::allowed(alone, mode.namespaces());
    mode.reduced_to(&allowed).filter(|reduced| reduced.namespaces() != mode.namespaces())
}

/// Returns the first failure, which is about an ordinary user's mode, with the others below it.
pub(crate) fn all_in_one(failures: Vec<Failure>) -> Failure {
    let mut failures = failures.into_iter();
    let first = failures.next().expect("something was tried");
    failures.fold(first, |first, other| {
        first.advise(format!("without a user namespace, which root can do: {}", other.summary()))
    })
}

impl From<Refused> for TrialOutcome {
    fn from(refused: Refused) -> Self {
        let step = match refused.part {
            Part::Maps { of_root } => Step::Maps { of_root },
            Part::Mounts => Step::Mounts,
            Part::Sockets => Step::Sockets,
            Part::Loopback => Step::Loopback,
        };
        Self::Refused { step, failure: refused.failure, witness: Witness::new() }
    }
}

impl TrialOutcome {
    /// Explains a refusal, in the process that was refused.
    pub(crate) fn explained(self) -> Option<Failure> {
        match self {
            Self::Allowed(_) => None,
            Self::Refused { step, failure, witness } => {
                Some(diagnose::with_cause(failure, step, &witness))
            }
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        match self {
            Self::Allowed(altered) => altered.0.iter().fold(out.u32(1), |out, word| out.u64(*word)),
            Self::Refused { step, failure, witness } => {
                out.u32(2).u32(number(*step)).failure(failure);
                let (file, label) = witness.label.clone().unwrap_or_default();
                out.texts(&[file, label]);
                out.u32(witness.dumpable.map_or(2, u32::from))
            }
        };
        out.0
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut input = Reader(bytes);
        let outcome = match input.u32()? {
            1 => {
                let mut altered = Altered::default();
                for word in &mut altered.0 {
                    *word = input.u64()?;
                }
                Self::Allowed(altered)
            }
            2 => {
                let step = step(input.u32()?)?;
                let failure = input.failure()?;
                let [file, label] = <[String; 2]>::try_from(input.texts()?).ok()?;
                let label = (!label.is_empty()).then_some((file, label));
                let dumpable = match input.u32()? {
                    0 => Some(false),
                    1 => Some(true),
                    _ => None,
                };
                Self::Refused { step, failure, witness: Witness { label, dumpable } }
            }
            _ => return None,
        };
        input.end(outcome)
    }
}

const STEPS: [Step; 5] = [
    Step::Maps { of_root: false },
    Step::Maps { of_root: true },
    Step::Mounts,
    Step::Sockets,
    Step::Loopback,
];

fn number(step: Step) -> u32 {
    STEPS.iter().position(|&other| other == step).unwrap_or(STEPS.len()) as u32
}

fn step(number: u32) -> Option<Step> {
    STEPS.get(number as usize).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_round_trip() {
        let mut outcome = vec![TrialOutcome::Allowed(Altered([1, 0, 2, 3]))];
        for step in STEPS {
            for (label, dumpable) in [
                (None, None),
                (Some(("file".to_owned(), "profile".to_owned())), Some(true)),
                (None, Some(false)),
            ] {
                let failure = Failure::new("write", "/proc/self/uid_map", "EPERM");
                let witness = Witness { label, dumpable };
                outcome.push(TrialOutcome::Refused { step, failure, witness });
            }
        }
        for outcome in outcome {
            assert_eq!(TrialOutcome::decode(&outcome.encode()), Some(outcome));
        }
        assert_eq!(TrialOutcome::decode(b"stray"), None);
    }

    #[test]
    fn the_first_attempt_is_reported_first() {
        let failure = |object: &str| Failure::new("clone", object, "EPERM");
        let failure = all_in_one(vec![failure("user namespace"), failure("net namespace")]);
        let text = failure.to_string();
        assert!(text.starts_with("clone user namespace: EPERM\n"), "{text}");
        assert!(text.contains("without a user namespace, which root can do: clone net"), "{text}");
    }
}
