//! From a refused step, the kernel's reason and the facts to a diagnosis. Pure.
//!
//! The order of questions matters: a sysctl of the host shows in a container too, where the
//! container's own filter is what refuses. A cause is named only where something shows it.

pub(crate) mod creation;
pub(crate) mod fixes;
pub(crate) mod limits;
pub(crate) mod memory;
pub(crate) mod processes;
pub(crate) mod rights;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use crate::diagnose::causes::creation::killed_by_filter;
pub(crate) use crate::diagnose::causes::memory::lacks_own_memory;
pub(crate) use crate::diagnose::causes::processes::is_unseen;

use crate::diagnose::facts::{Facts, Witness};
use crate::error::Diagnosis;
use crate::sys::process::Namespace;

/// Which step was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Making namespaces, and which one of them is refused.
    Clone(Option<Namespace>),
    /// Mapping ids; for a caller whose id is 0 and that may map no other, or for any other.
    Maps {
        /// Whether it is that caller.
        of_root: bool,
    },
    /// Cutting the mounts off from the host's.
    Mounts,
    /// Making a socket, binding or connecting it.
    Sockets,
    /// Bringing `lo` up.
    Loopback,
    /// Reading about itself in `/proc`.
    Proc,
    /// Opening `/dev/null`.
    Null,
    /// Forking the server: the process has this many threads.
    Threads,
    /// What needs processes, descriptors and memory only, and may be refused for its object.
    Resources,
    /// A call that needs these only, and that the kernel itself refuses to nobody.
    Call,
}

/// What is behind `code` (an error number) at `step`; `None` where nothing is known that
/// would help.
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
        Step::Resources | Step::Call | Step::Null => return None,
    };
    Some(cause.unwrap_or_else(|| unknown(facts, witness)))
}

pub(crate) const EPERM: i32 = 1;
pub(crate) const ENOENT: i32 = 2;
pub(crate) const EAGAIN: i32 = 11;
pub(crate) const ENOMEM: i32 = 12;
pub(crate) const EACCES: i32 = 13;
pub(crate) const EINVAL: i32 = 22;
pub(crate) const ENFILE: i32 = 23;
pub(crate) const EMFILE: i32 = 24;
pub(crate) const ENOSPC: i32 = 28;
pub(crate) const ENOSYS: i32 = 38;
pub(crate) const EUSERS: i32 = 87;

fn no_proc() -> Diagnosis {
    Diagnosis::new("no-proc", "/proc is not mounted")
        .shown_by("/proc/self", "(none)")
        .for_good("before the tests: mount -t proc proc /proc")
}

/// Adds the profile or context that a process has, if it has one.
fn with_label(diagnosis: Diagnosis, label: Option<&(String, String)>) -> Diagnosis {
    match label {
        Some((file, label)) => diagnosis.shown_by(file, label),
        None => diagnosis,
    }
}

/// Adds a file's value, if it could be read.
fn with_some(diagnosis: Diagnosis, file: &str, value: Option<&String>) -> Diagnosis {
    match value {
        Some(value) => diagnosis.shown_by(file, value),
        None => diagnosis,
    }
}

/// Adds a file's value.
fn with(diagnosis: Diagnosis, file: &str, value: Option<&String>) -> Diagnosis {
    diagnosis.shown_by(file, value.map_or("(none)", String::as_str))
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
