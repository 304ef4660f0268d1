//! The stacks of a test's threads, as a debugger has printed them. Pure.

use crate::evidence::code::facts;

facts! {
    /// Output of a debugger about the test's process.
    struct Stacks {
        /// Path of the debugger.
        program: String,
        /// Its output, or the beginning of it.
        output: String,
        /// Reason for which the output is not whole; empty if it is.
        problem: String,
    }
}
