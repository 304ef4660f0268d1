//! Why the kernel refused: facts are read ([`facts`]) and matched against what is known of
//! each environment ([`causes`]).

mod causes;
mod facts;

use std::io;

use crate::error::Failure;
use crate::sandbox::NAMESPACES;
use crate::sys::errno;
use crate::sys::process::{self, Namespace, Side, SingleThreaded};
use causes::Step;
use facts::Facts;

/// A step that is no namespace's business, with the limit that it ran into.
pub(crate) fn explain(step: &str, object: &str, error: &io::Error) -> Failure {
    advised(errno::failure(step, object, error), Step::Other, None)
}

/// Whether a limit of 0 is what made `error`: nothing can come free then.
pub(crate) fn is_forbidden(error: &io::Error) -> bool {
    error.raw_os_error() == Some(causes::ENOSPC)
        && facts::namespace_limits().iter().any(|(_, limit)| limit == "0")
}

/// The kernel did not make the namespaces. Tries them one by one, to name the one.
pub(crate) fn explain_clone(alone: &SingleThreaded, error: &io::Error) -> Failure {
    let refused = first_refused(alone);
    let object = match refused {
        Some(namespace) => format!("{} namespace", causes::name(namespace)),
        None => "namespaces".to_owned(),
    };
    advised(errno::failure("clone", object, error), Step::Clone, refused)
}

/// The namespaces were made, but the process in them may not use its rights over them.
pub(crate) fn explain_rights(failure: Failure) -> Failure {
    advised(failure, Step::Rights, None)
}

/// The namespaces were made, but the process in them may not write its id maps; `of_root`
/// if its own id is 0.
pub(crate) fn explain_maps(failure: Failure, of_root: bool) -> Failure {
    advised(failure, if of_root { Step::MapRoot } else { Step::Rights }, None)
}

fn advised(failure: Failure, step: Step, refused: Option<Namespace>) -> Failure {
    let Some(code) = failure.errno else { return failure };
    causes::advice(step, code, refused, &Facts::read()).into_iter().fold(failure, Failure::advise)
}

/// The first namespace that the kernel refuses now: the user namespace, or another one
/// together with it.
fn first_refused(alone: &SingleThreaded) -> Option<Namespace> {
    NAMESPACES.into_iter().find(|&namespace| {
        let wanted = [Namespace::User, namespace];
        match process::fork_into(alone, &wanted[usize::from(namespace == Namespace::User)..]) {
            Ok(Side::Child) => process::exit_now(0),
            Ok(Side::Parent(_)) => false,
            Err(_) => true,
        }
    })
}
