//! Why the kernel refused: facts are read ([`facts`]) and matched against what is known of
//! each environment ([`causes`]).

mod causes;
mod facts;

use std::io;

use crate::error::Failure;
use crate::sandbox::NAMESPACES;
use crate::sys::errno;
use crate::sys::process::{self, Namespace, Side, SingleThreaded};

pub(crate) use causes::Step;
pub(crate) use facts::{Facts, Witness};

/// A step that is no namespace's business, with the limit that it ran into.
pub(crate) fn explain(step: &str, object: &str, error: &io::Error) -> Failure {
    with_cause(errno::failure(step, object, error), Step::Resources, &Witness::default())
}

/// Whether a limit of 0 on one of `wanted` is what made `error`: nothing can come free then.
pub(crate) fn is_forbidden(error: &io::Error, wanted: &[Namespace]) -> bool {
    let is_wanted = |limit: &str| {
        wanted.iter().any(|&namespace| limit == format!("max_{}_namespaces", namespace.name()))
    };
    error.raw_os_error() == Some(causes::ENOSPC)
        && facts::namespace_limits().iter().any(|(limit, value)| value == "0" && is_wanted(limit))
}

/// Whether this process may have fewer than `count` processes, or namespaces of a kind, around it.
pub(crate) fn allows_fewer_than(count: u64) -> bool {
    let Facts { process_limit, pids_limit, .. } = Facts::limits();
    let processes = process_limit.into_iter().chain(pids_limit.map(|(_, limit)| limit));
    let namespaces = facts::namespace_limits().into_iter().map(|(_, limit)| limit);
    processes.chain(namespaces).any(|limit| limit.parse().is_ok_and(|limit: u64| limit < count))
}

/// The kernel did not make `namespaces`. Tries them one by one, to name the one.
pub(crate) fn explain_clone(
    alone: &SingleThreaded,
    namespaces: &[Namespace],
    error: &io::Error,
) -> Failure {
    let refused = first_refused(alone, namespaces);
    let object = match refused {
        Some(namespace) => format!("{} namespace", namespace.name()),
        None => "namespaces".to_owned(),
    };
    with_cause(errno::failure("clone", object, error), Step::Clone(refused), &Witness::default())
}

/// `step` was refused, as `failure` tells; `witness` is the process that was refused.
pub(crate) fn with_cause(mut failure: Failure, step: Step, witness: &Witness) -> Failure {
    if let (Some(code), None) = (failure.errno, &failure.diagnosis) {
        // A runner with threads comes here for resources only, and forks for nothing.
        let facts = if step == Step::Resources { Facts::limits() } else { Facts::read() };
        failure.diagnosis = causes::diagnose(step, code, &facts, witness).map(Box::new);
    }
    failure
}

/// Whether the limit on user namespaces that was reached is none that is seen here: one of a user
/// namespace around this one, or on how deep they are nested. Which of them the kernel does not tell,
/// so what holds them may end.
pub(crate) fn is_out_of_reach(failure: &Failure) -> bool {
    let cause = failure.diagnosis.as_ref();
    cause.is_some_and(|cause| cause.topic == "nesting" && cause.until_reboot.is_none())
}

/// A process that is to fork has not one thread but `count`, or that cannot be told.
pub(crate) fn not_alone(count: io::Result<usize>) -> Failure {
    let count = match count {
        Ok(count) => count,
        Err(error) => {
            let failure = errno::failure("read", "/proc/self/task", &error);
            return with_cause(failure, Step::Proc, &Witness::default());
        }
    };
    let mut failure =
        Failure::new("fork", "the fork server", format!("the process has {count} threads already"));
    let cause = causes::diagnose(Step::Threads, 0, &Facts::read(), &Witness::default());
    failure.diagnosis = cause.map(Box::new);
    failure
}

/// A first sandbox's process was killed by SIGSYS.
pub(crate) fn killed_by_filter() -> Failure {
    let mut failure =
        Failure::new("set up", "the sandbox of a test", "its process was killed by SIGSYS");
    failure.diagnosis = Some(Box::new(causes::killed_by_filter(&Facts::read())));
    failure
}

/// The namespaces among `wanted` that the kernel does not refuse, each by itself.
pub(crate) fn allowed(alone: &SingleThreaded, wanted: &[Namespace]) -> Vec<Namespace> {
    wanted.iter().copied().filter(|&namespace| may_have(alone, namespace)).collect()
}

/// The first namespace that the kernel refuses now: by itself, or where a user namespace is
/// among those wanted, together with it.
fn first_refused(alone: &SingleThreaded, wanted: &[Namespace]) -> Option<Namespace> {
    let user: &[Namespace] =
        if wanted.contains(&Namespace::User) { &[Namespace::User] } else { &[] };
    NAMESPACES.into_iter().filter(|namespace| wanted.contains(namespace)).find(|&namespace| {
        let with_user = [user, &[namespace]].concat();
        !can_make(alone, if namespace == Namespace::User { user } else { &with_user })
    })
}

fn can_make(alone: &SingleThreaded, namespaces: &[Namespace]) -> bool {
    try_to_make(alone, namespaces).is_ok()
}

/// Whether the kernel makes one, or would if all that are there were not in use.
fn may_have(alone: &SingleThreaded, namespace: Namespace) -> bool {
    match try_to_make(alone, &[namespace]) {
        Ok(()) => true,
        Err(error) => errno::is_shortage(&error) && !is_forbidden(&error, &[namespace]),
    }
}

fn try_to_make(alone: &SingleThreaded, namespaces: &[Namespace]) -> io::Result<()> {
    match process::fork_into(alone, namespaces)? {
        Side::Child => process::exit_now(0),
        Side::Parent(_) => Ok(()),
    }
}
