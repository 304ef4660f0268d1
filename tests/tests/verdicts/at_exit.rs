//! Test bodies that have ended, and whose process then does not exit as it should. Run by the tests
//! beside this file, as all fixtures.

use std::process::ExitCode;

use netns_test::netns_test;

use crate::raw;

/// Panics when the test's thread ends.
struct Loud;

impl Drop for Loud {
    fn drop(&mut self) {
        panic!("in a destructor of thread-local storage");
    }
}

thread_local! {
    static LOUD: Loud = const { Loud };
}

extern "C" fn kill_at_exit() {
    raw::kill_self(libc::SIGKILL);
}

extern "C" fn exit_with_0_at_exit() {
    raw::exit_now(0);
}

#[netns_test]
#[should_panic(expected = "as it should")]
#[ignore = "run by verdicts.rs"]
fn should_panic_and_aborts() {
    raw::at_exit(raw::abort_at_exit);
    panic!("as it should");
}

#[netns_test]
#[should_panic(expected = "as it should")]
#[ignore = "run by verdicts.rs"]
fn should_panic_and_is_killed() {
    raw::at_exit(kill_at_exit);
    panic!("as it should");
}

#[netns_test]
#[should_panic(expected = "as it should")]
#[ignore = "run by verdicts.rs"]
fn should_panic_and_exits_with_0() {
    raw::at_exit(exit_with_0_at_exit);
    panic!("as it should");
}

#[netns_test]
#[should_panic(expected = "as it should")]
#[ignore = "run by verdicts.rs"]
fn should_panic_and_panics_in_a_destructor() {
    LOUD.with(|_| {});
    panic!("as it should");
}

#[netns_test(timeout = "300ms")]
#[should_panic(expected = "as it should")]
#[ignore = "run by verdicts.rs"]
fn should_panic_and_hangs() {
    raw::at_exit(raw::hang_at_exit);
    panic!("as it should");
}

#[netns_test]
#[should_panic]
#[ignore = "run by verdicts.rs"]
fn should_panic_with_a_value_and_aborts() {
    raw::at_exit(raw::abort_at_exit);
    std::panic::panic_any(42);
}

#[netns_test]
#[should_panic]
#[ignore = "run by verdicts.rs"]
async fn should_panic_in_async_and_aborts() {
    raw::at_exit(raw::abort_at_exit);
    panic!("as it should");
}

#[netns_test]
#[ignore = "run by verdicts.rs"]
fn returns_err_and_aborts() -> Result<(), String> {
    raw::at_exit(raw::abort_at_exit);
    Err("the error".into())
}

#[netns_test]
#[ignore = "run by verdicts.rs"]
fn returns_exit_code_and_exits_with_0() -> ExitCode {
    raw::at_exit(exit_with_0_at_exit);
    ExitCode::from(3)
}
