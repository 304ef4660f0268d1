//! Try, then explain: what a first sandbox tells, and what is tried next when it is refused.

use crate::bytes::{Reader, Writer};
use crate::diagnose;
use crate::diagnose::{Step, Witness};
use crate::error::Failure;
use crate::isolate::{Mode, Part, Refused};
use crate::sys::net::devconf::Altered;
use crate::sys::process::SingleThreaded;
use crate::userns::Caller;

/// What its process tells of the set-up of a first sandbox.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// With the settings that differ in each new network.
    Allowed(Altered),
    Refused {
        step: Step,
        failure: Failure,
        witness: Witness,
    },
}

/// What is tried when `mode` is refused: without a user namespace, where the caller has the
/// right to that; then without the namespaces that are refused and can be done without.
pub(crate) fn next_mode(mode: &Mode, caller: &Caller, alone: &SingleThreaded) -> Option<Mode> {
    if !mode.is_privileged() {
        return Mode::privileged(caller);
    }
    let allowed = diagnose::allowed(alone, mode.namespaces());
    mode.reduced_to(&allowed).filter(|reduced| reduced.namespaces() != mode.namespaces())
}

/// The first failure, which is about what an ordinary user needs, with the others below it.
pub(crate) fn all_in_one(failures: Vec<Failure>) -> Failure {
    let mut failures = failures.into_iter();
    let first = failures.next().expect("something was tried");
    failures.fold(first, |first, other| {
        first.advise(format!("without a user namespace, which root can do: {}", other.summary()))
    })
}

impl From<Refused> for News {
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

impl News {
    /// What is to be told of a refusal, in the process that was refused.
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
        let news = match input.u32()? {
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
        input.end(news)
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
    fn news_round_trip() {
        let mut news = vec![News::Allowed(Altered([1, 0, 2, 3]))];
        for step in STEPS {
            for (label, dumpable) in [
                (None, None),
                (Some(("file".to_owned(), "profile".to_owned())), Some(true)),
                (None, Some(false)),
            ] {
                let failure = Failure::new("write", "/proc/self/uid_map", "EPERM");
                let witness = Witness { label, dumpable };
                news.push(News::Refused { step, failure, witness });
            }
        }
        for news in news {
            assert_eq!(News::decode(&news.encode()), Some(news));
        }
        assert_eq!(News::decode(b"stray"), None);
    }

    #[test]
    fn what_was_tried_first_is_told_first() {
        let failure = |object: &str| Failure::new("clone", object, "EPERM");
        let told = all_in_one(vec![failure("user namespace"), failure("net namespace")]);
        let text = told.to_string();
        assert!(text.starts_with("clone user namespace: EPERM\n"), "{text}");
        assert!(text.contains("without a user namespace, which root can do: clone net"), "{text}");
    }
}
