//! Diagnosis of a refusal: [`facts`] are read, and [`causes`] matches them against known
//! environments.

pub(crate) mod causes;
pub(crate) mod chroot;
pub(crate) mod facts;
pub(crate) mod ids;
pub(crate) mod usage;
pub(crate) mod user_namespaces;

use std::io;

use crate::error::Failure;
use crate::isolate::NAMESPACES;
use crate::sys::errno;
use crate::sys::process;
use crate::sys::process::{Namespace, Side, SingleThreaded};

pub(crate) use crate::diagnose::causes::Step;
pub(crate) use crate::diagnose::facts::{Facts, Witness};
pub(crate) use crate::diagnose::usage::note_refusals;
pub(crate) use crate::diagnose::user_namespaces::note as note_limits;

/// Explains the error of a call that needs no namespace: adds the limit that was reached, or the
/// filter that refuses the call.
pub(crate) fn explain(step: &str, object: &str, error: &io::Error) -> Failure {
    // The error of such a step may be due to the file itself.
    let is_of_a_file = matches!(step, "open" | "read" | "write");
    let kind = if is_of_a_file { Step::Resources } else { Step::Call };
    with_cause(errno::failure(step, object, error), kind, &Witness::default())
}

/// Explains the error of a call that may fail because of its object: adds the limit that was
/// reached, if it is a shortage.
#[cfg(feature = "lab")]
pub(crate) fn explain_shortage(step: &str, object: &str, error: &io::Error) -> Failure {
    with_cause(errno::failure(step, object, error), Step::Resources, &Witness::default())
}

/// Returns whether `error` is due to a limit of 0 on one of `wanted`, so that waiting does not
/// help.
pub(crate) fn is_forbidden(error: &io::Error, wanted: &[Namespace]) -> bool {
    let is_wanted = |limit: &str| {
        wanted.iter().any(|&namespace| limit == format!("max_{}_namespaces", namespace.name()))
    };
    error.raw_os_error() == Some(errno::ENOSPC)
        && user_namespaces::limits().iter().any(|(limit, value)| value == "0" && is_wanted(limit))
}

/// Returns whether there is room for fewer than `count` processes, or namespaces of a kind, here.
pub(crate) fn has_room_for_fewer_than(count: u64) -> bool {
    let namespaces = user_namespaces::limits().into_iter();
    let namespaces = namespaces.filter_map(|(_, limit)| limit.parse().ok());
    usage::room_for_processes().into_iter().chain(namespaces).any(|room| room < count)
}

/// Returns whether `error` is due to a memory limit of this process itself, so that waiting for
/// other processes does not help.
pub(crate) fn is_own_limit(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(errno::EAGAIN | errno::ENOMEM))
        && causes::lacks_own_memory(&Facts::of_memory())
}

/// Adds the limit on processes that was reached, if the failing process could not see it or what is
/// used of it: its own `/proc` and `/sys` show neither other tests nor the control group.
pub(crate) fn seen_from_outside(mut failure: Failure) -> Failure {
    let is_unseen =
        failure.diagnosis.as_ref().is_some_and(|diagnosis| causes::is_unseen(diagnosis));
    if let (true, Some(code)) = (is_unseen, failure.errno) {
        let mut facts = Facts { lacks_memory: None, ..Facts::of_this_process() };
        // Of the test's processes some have ended since.
        let used = facts.processes.iter_mut().filter_map(|limit| limit.used.as_mut());
        used.for_each(|(file, _)| file.push_str(", after the refusal"));
        failure.diagnosis =
            causes::diagnose(Step::Call, code, &facts, &Witness::default()).map(Box::new);
    }
    failure
}

/// Adds the cause of a refusal that the kernel itself never makes.
pub(crate) fn completed(failure: Failure) -> Failure {
    with_cause(failure, Step::Call, &Witness::default())
}

/// Explains that `/dev/null` cannot be opened.
pub(crate) fn without_null(error: &io::Error) -> Failure {
    let failure = errno::failure("open", "/dev/null", error);
    with_cause(failure, Step::Null, &Witness::default())
}

/// Explains that the kernel did not create `namespaces`. Tries them one by one, to name the one.
pub(crate) fn explain_clone(
    alone: &SingleThreaded,
    namespaces: &[Namespace],
    error: &io::Error,
) -> Failure {
    if matches!(error.raw_os_error(), Some(errno::EAGAIN | errno::ENOMEM)) {
        // Processes or memory are short, not namespaces.
        return explain("clone", "a process in new namespaces", error);
    }
    let refused = first_refused(alone, namespaces);
    let object = match refused {
        Some(namespace) => format!("{} namespace", namespace.name()),
        None => "namespaces".to_owned(),
    };
    with_cause(errno::failure("clone", object, error), Step::Clone(refused), &Witness::default())
}

/// Explains that the kernel refused some of `namespaces` to a thread of this process, which may
/// have others. Tries each in a child that makes system calls only.
pub(crate) fn explain_unshare(
    step: &str,
    object: &str,
    namespaces: &[Namespace],
    error: &io::Error,
) -> Failure {
    let failure = errno::failure(step, object, error);
    if !error.raw_os_error().is_some_and(errno::is_shortage_of_namespaces) {
        return with_cause(failure, Step::Call, &Witness::default());
    }
    let is_refused = |namespace: &Namespace| {
        match process::clone(namespace.flag()) {
            Ok(Side::Child) => process::exit_now(0),
            Ok(Side::Parent(pid)) => drop(process::reap_aside(pid)),
            Err(error) => return errno::is_shortage(&error),
        }
        false
    };
    let refused = namespaces.iter().copied().find(is_refused);
    with_cause(failure, Step::Namespaces(refused), &Witness::default())
}

/// Adds the cause for which `step` was refused; `witness` is from the process that was refused.
pub(crate) fn with_cause(mut failure: Failure, step: Step, witness: &Witness) -> Failure {
    if let (Some(code), None) = (failure.errno, &failure.diagnosis) {
        // For these steps a runner with threads gets here, which must not fork.
        let is_of_this_process = !step.needs_a_child();
        let facts = if is_of_this_process { Facts::of_this_process() } else { Facts::read() };
        failure.diagnosis = causes::diagnose(step, code, &facts, witness).map(Box::new);
    }
    failure
}

/// Returns whether the limit on user namespaces that was reached is not visible here: it is that of
/// an outer user namespace, or that on nesting. The kernel does not report which, so waiting may
/// help.
pub(crate) fn is_out_of_reach(failure: &Failure) -> bool {
    let cause = failure.diagnosis.as_ref();
    cause.is_some_and(|cause| cause.topic == "nesting" && cause.until_reboot.is_none())
}

/// Explains that the process has `count` threads, or that they cannot be counted, so it must not
/// fork.
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

/// Explains that the process of the first sandbox was killed by SIGSYS.
pub(crate) fn killed_by_filter() -> Failure {
    let mut failure =
        Failure::new("set up", "the sandbox of a test", "its process was killed by SIGSYS");
    failure.diagnosis = Some(Box::new(causes::killed_by_filter(&Facts::read())));
    failure
}

/// Returns the namespaces among `wanted` that the kernel does not refuse, each tried separately.
pub(crate) fn allowed(alone: &SingleThreaded, wanted: &[Namespace]) -> Vec<Namespace> {
    wanted.iter().copied().filter(|&namespace| may_have(alone, namespace)).collect()
}

/// Finds the first namespace that the kernel refuses now: alone, or together with a user namespace
/// if that is wanted, too.
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

/// Returns whether the kernel creates one, or would if the limit were not reached.
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
