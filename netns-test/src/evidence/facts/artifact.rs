//! Files that a test has put into its directory for artifacts. Pure.

use crate::evidence::code::{Content, facts};

/// The directory, and the one that it is in: a file system of the test's own.
pub(crate) const DIRECTORY: [&str; 2] = ["/run", "netns-test-artifacts"];

facts! {
    /// A file, or an entry that is none.
    struct Artifact {
        /// Path in the directory.
        path: String,
        /// Beginning of the file.
        content: Content,
        /// Number of bytes that the file has.
        size: u64,
        /// Reason for which there is no content; empty if there is.
        problem: String,
    }
}
