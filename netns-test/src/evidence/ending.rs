//! How a test ended, in the words of its report. Pure.

use std::time::Duration;

use crate::evidence::code::{facts, words};

facts! {
    /// The end of a test that has not passed.
    struct Ending {
        /// The test's name, as libtest prints it.
        test: String,
        /// Name of the test binary, without the hash of cargo, and of its package.
        binary: String,
        package: String,
        kind: EndKind,
        /// Reason that the verdict states: the message of a panic, the signal, the limit.
        message: String,
        /// Time from the first line of the test's function to its end.
        after: Duration,
        /// Number of the attempt, from 1, and of attempts that nextest makes at most; 0 if unknown.
        attempt: u32,
        attempts: u32,
        /// Lines of the source around the place of the panic, if they can be read.
        source: Vec<String>,
        /// The statement that panicked, from its first line to that of the panic, as far as it can
        /// be read.
        statement: String,
    }
}

words! {
    /// Kind of an end.
    enum EndKind {
        /// The test's thread panicked.
        Panicked = "panicked",
        /// The test returned an error or a failing exit status.
        Returned = "returned an error",
        /// The process ended by `exit` before the test had ended.
        Exited = "exited",
        /// A signal ended the process.
        Killed = "killed",
        /// The time limit was over.
        TimedOut = "timed out",
        /// The test's function did not begin, or the test was lost.
        NotRun = "not run",
        /// The test has passed: its evidence is wanted nevertheless.
        Passed = "passed",
        /// The test has passed, but has sent what had no route, which it must not.
        Escaped = "left its network",
    }
}
