//! The constructor that forks the server before `main`.
//!
//! It runs before all other constructors (priority `early`), while the process has one thread: a
//! process with more threads cannot be forked safely. In the runner the C library then runs the
//! other constructors and `main`. The server runs none of them; each body runs them itself
//! ([`constructors`]).
//!
//! [`constructors`]: crate::registry::constructors
#![allow(unsafe_code, reason = "vouches that the process has one thread")]

use crate::harness;
use crate::registry::{sections, versions};
use crate::sys::process::SingleThreaded;

#[ctor::ctor(unsafe, priority = early, body(link_section = "netns_test_premain"))]
fn fork_server() {
    versions::note_constructor();
    if !versions::serves_another() && sections::cases().iter().any(Option::is_some) {
        // SAFETY: the harness uses the token only after it has counted one thread. Init starts no
        // thread. The server joins each thread that it starts before it forks. A body starts
        // threads, but does not fork by the token from then on.
        let alone = unsafe { SingleThreaded::new() };
        harness::start(&alone);
    }
}

/// Calls `work` with a token that allows it to fork, if the process has one thread.
///
/// # Errors
///
/// The number of threads if it is not 1, or the error of counting them.
#[cfg(feature = "doctor")]
pub(crate) fn alone<T>(
    work: impl FnOnce(&SingleThreaded) -> T,
) -> Result<T, std::io::Result<usize>> {
    match crate::sys::process::thread_count() {
        Ok(1) => {}
        other => return Err(other),
    }
    // SAFETY: the calling thread is the only one. The caller is the doctor's main function, which
    // starts no thread.
    let alone = unsafe { SingleThreaded::new() };
    Ok(work(&alone))
}
