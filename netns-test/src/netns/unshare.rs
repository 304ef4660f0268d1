//! Creates namespaces on a short-lived thread, so that the caller is not moved.

use std::io;
use std::thread;

use crate::diagnose;
use crate::error::{Error, Failure, Result};
use crate::sys::errno;
use crate::sys::ns::nsfs;
use crate::sys::process::Namespace;
use crate::sys::process::caps;
use crate::sys::process::caps::Caps;

/// Calls `work` on a new thread, in a new network namespace with no other thread.
pub(crate) fn in_new_namespace<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    thread::scope(|scope| {
        let make = || {
            nsfs::unshare_network().map_err(|error| Error::from(refused(&error)))?;
            work()
        };
        let thread = thread::Builder::new().spawn_scoped(scope, make);
        let thread = thread
            .map_err(|error| diagnose::explain("start", "a thread for a namespace", &error))?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Explains that the kernel did not create a namespace.
fn refused(error: &io::Error) -> Failure {
    let kinds = [Namespace::Net];
    let failure = diagnose::explain_unshare("unshare", "a network namespace", &kinds, error);
    let has_right = caps::effective().is_ok_and(|caps| caps.contains(Caps::SYS_ADMIN));
    if failure.errno == Some(errno::EPERM) && !has_right {
        return failure.advise(
            "the caller has no CAP_SYS_ADMIN; the body of a #[netns_test] has it, and what runs \
             under `unshare -Urn`",
        );
    }
    failure
}
