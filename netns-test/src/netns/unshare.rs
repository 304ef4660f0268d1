//! Creates namespaces on a short-lived thread, so that the caller is not moved.

use std::thread;

use crate::error::{Error, Result};
use crate::sys::errno;
use crate::sys::ns::nsfs;

/// Calls `work` on a new thread, in a new network namespace with no other thread.
pub(crate) fn in_new_namespace<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    thread::scope(|scope| {
        let make = || {
            nsfs::unshare_network().map_err(|error| {
                Error::from(errno::failure("unshare", "a network namespace", &error))
            })?;
            work()
        };
        let thread = thread::Builder::new().spawn_scoped(scope, make);
        let thread =
            thread.map_err(|error| errno::failure("start", "a thread for a namespace", &error))?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
