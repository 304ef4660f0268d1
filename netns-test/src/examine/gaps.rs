//! Limits of a look, and sentences about what is beyond them.

use crate::sys::errno;

/// Most bytes of a file.
pub(super) const FILE: usize = 256 << 10;

/// Reason for what was left out when the time was over.
pub(super) const OVER: &str = "the time was over";

/// Returns a sentence about a file that could not be read.
pub(super) fn gap(object: &str, error: &std::io::Error) -> String {
    format!("{object}: {}", errno::describe(error))
}
