//! The order of checks for a refused step: first limits, then the causes of each step. Pure.

use crate::diagnose::causes::step::Step;
use crate::diagnose::causes::{creation, limits, rights};
use crate::diagnose::facts::{Facts, Witness};
use crate::error::Diagnosis;

/// Finds the cause of `code` (an error number) at `step`; `None` if no helpful one is known.
pub(crate) fn diagnose(
    step: Step,
    code: i32,
    facts: &Facts,
    witness: &Witness,
) -> Option<Diagnosis> {
    if let Some(limit) = limits::of_resources(code, facts) {
        return Some(limit);
    }
    match step {
        Step::Resources => return None,
        Step::Null => return rights::null(code, facts),
        Step::Namespaces(refused) => return Some(limits::of_namespaces(refused, facts)),
        Step::Call => return rights::call(code, facts),
        _ => {}
    }
    if !facts.proc_is_there {
        return Some(no_proc());
    }
    let cause = match step {
        Step::Clone(refused) => creation::diagnose(code, refused, facts),
        Step::Threads => Some(creation::threads(facts)),
        Step::Maps { of_root } => rights::maps(code, of_root, facts, witness),
        Step::Mounts => rights::mounts(code, facts, witness),
        Step::Sockets => rights::sockets(code, facts, witness),
        Step::Loopback => rights::loopback(code, facts, witness),
        Step::Proc => rights::call(code, facts),
        Step::Resources | Step::Call | Step::Null | Step::Namespaces(_) => return None,
    };
    Some(cause.unwrap_or_else(|| unknown(facts, witness)))
}

fn no_proc() -> Diagnosis {
    Diagnosis::new("no-proc", "/proc is not mounted")
        .shown_by("/proc/self", "(none)")
        .for_good("before the tests: mount -t proc proc /proc")
}

fn unknown(facts: &Facts, witness: &Witness) -> Diagnosis {
    let mut diagnosis =
        Diagnosis::new("unknown", "unknown; this is what the machine says of itself");
    diagnosis.evidence = facts.all();
    if let Some((file, label)) = &witness.label {
        diagnosis = diagnosis.shown_by(file, label);
    }
    diagnosis.for_good(
        "please report these lines, and what kind of machine or container it is, at \
         https://github.com/netns-test/netns-test/issues",
    )
}
