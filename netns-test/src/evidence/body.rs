//! The test body as other rooms may know it: the thread of its test, and its early end.

use std::fmt;
use std::sync::OnceLock;
use std::thread::{self, ThreadId};

use crate::sys::fds;
use crate::sys::process;
use crate::sys::text::field;

static TEST: OnceLock<Test> = OnceLock::new();
static NAME: OnceLock<String> = OnceLock::new();

/// A test that may be ended early.
struct Test {
    thread: ThreadId,
    /// The same thread, as the kernel numbers it.
    number: u32,
    end: Box<dyn Fn(&str) + Send + Sync>,
}

impl fmt::Debug for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Test").field("number", &self.number).finish_non_exhaustive()
    }
}

/// Notes the name of the test that this process runs.
pub(crate) fn set_name(name: String) {
    drop(NAME.set(name));
}

/// Returns the name of the test that this process runs; none if it is not a test body.
pub(crate) fn name() -> Option<&'static str> {
    NAME.get().map(String::as_str)
}

/// Allows the early end of the test that the calling thread is about to run. `end` makes the test
/// fail with a message, and does not return in the test's process.
pub(crate) fn allow_early_end(end: impl Fn(&str) + Send + Sync + 'static) {
    let (thread, number) = (thread::current().id(), process::thread_id());
    drop(TEST.set(Test { thread, number, end: Box::new(end) }));
}

/// Returns whether the test may be ended early.
pub(crate) fn may_end_early() -> bool {
    TEST.get().is_some()
}

/// Ends the test with a failure, if it may be ended early.
pub(crate) fn end_early(message: &str) {
    if let Some(test) = TEST.get() {
        (test.end)(message);
    }
}

/// Returns whether the calling thread is that of the test. Makes no system call.
pub(crate) fn is_test_thread() -> bool {
    TEST.get().is_some_and(|test| test.thread == thread::current().id())
}

/// Returns how often the test's thread has left a processor, if it is blocked now. Two equal
/// numbers say that it has done nothing between.
pub(crate) fn steps_if_blocked() -> Option<u64> {
    let number = TEST.get()?.number;
    steps(&fds::read_small(&format!("/proc/self/task/{number}/status")).ok()?)
}

/// Reads the text of `/proc/<pid>/task/<tid>/status`.
fn steps(status: &str) -> Option<u64> {
    if field(status, "State:")?.starts_with('R') {
        return None;
    }
    let number = |name| field(status, name)?.parse::<u64>().ok();
    Some(number("voluntary_ctxt_switches:")? + number("nonvoluntary_ctxt_switches:")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_is_blocked_has_a_number_of_steps() {
        let text = |state: &str| {
            format!(
                "Name:\tx\nState:\t{state}\nvoluntary_ctxt_switches:\t40\n\
                 nonvoluntary_ctxt_switches:\t2\n"
            )
        };
        assert_eq!(steps(&text("S (sleeping)")), Some(42));
        assert_eq!(steps(&text("R (running)")), None);
        assert_eq!(steps("State:\tS"), None);
    }
}
