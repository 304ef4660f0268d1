//! Runs the test's function on its own thread, and records the result.
//!
//! The test may install a seccomp filter, which usually applies to its thread only. So the test's
//! thread makes no system call after the function. The first thread makes them instead.

use std::any::Any;
use std::io;
use std::mem::forget;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, OnceLock};

use crate::diagnose;
use crate::error::{Failure, panic_text};
#[cfg(feature = "lab")]
use crate::evidence::body;
use crate::evidence::log;
use crate::harness::child::panic_hook;
use crate::harness::child::record::BodyRecord;
use crate::harness::child::stage;
use crate::harness::protocol::heartbeat::{Heartbeat, Mark};
use crate::harness::protocol::report::{FAILED, PASSED, Record};
use crate::harness::protocol::retry;
use crate::harness::protocol::retry::retry_beside_tests;
use crate::harness::protocol::stage::Stage;
use crate::isolation;
use crate::isolation::Lack;
use crate::registry::case::{Begins, Case, ShouldPanic};
use crate::sys::lock::lock;
use crate::sys::process;
use crate::sys::process::stack_overflow;
use crate::sys::{errno, fds};

/// Runs the test on a thread that has its name, as in libtest. Returns whether the test passed.
///
/// # Errors
///
/// If the thread cannot be started or joined.
pub(crate) fn run(
    case: &'static Case,
    record: &Arc<BodyRecord>,
    (heartbeat, mark): (Heartbeat, Mark),
) -> Result<bool, Failure> {
    retry::note_heartbeat(heartbeat);
    let stderr = fds::standard_error();
    let end = Arc::new(OnceLock::new());
    let start = || {
        let (record, end) = (Arc::clone(record), Arc::clone(&end));
        let thread = std::thread::Builder::new().name(case.path());
        thread.spawn(move || {
            mark.set();
            end.set(call(case, &record))
        })
    };
    let attempt = || match start() {
        Err(error) if diagnose::is_own_limit(&error) => Ok(Err(error)),
        other => other.map(Ok),
    };
    let thread = retry_beside_tests(heartbeat, attempt)
        .and_then(|result| result)
        .map_err(|error| diagnose::explain("start", "the test's thread", &error))?;
    let joined = process::join(thread);
    joined.map_err(|error| errno::failure("pthread_join", "the test's thread", &error))?;
    let end = end.get().copied().unwrap_or_else(|| {
        eprintln!(
            "netns-test: the test's thread has ended itself, without a return from the test \
             (pthread_exit, or a seccomp filter that kills a thread)"
        );
        End::Failed
    });
    if end == End::Panicked && fds::has_lost_standard_error(stderr) {
        record.note_unseen();
    }
    Ok(drop_leftover() && end == End::Passed)
}

/// Value of the test's thread that the first thread drops.
static LEFTOVER: Mutex<Option<Box<dyn Any + Send>>> = Mutex::new(None);

/// Stores `value`, without a system call. The first thread, which has no filter, drops it after the
/// end of the test's thread.
#[cfg(feature = "tokio")]
pub(crate) fn leave(value: Box<dyn Any + Send>) {
    *lock(&LEFTOVER) = Some(value);
}

/// Drops the stored value. Returns `false` if its destructor panics; the panic hook has reported
/// that.
fn drop_leftover() -> bool {
    let left = lock(&LEFTOVER).take();
    catch_unwind(AssertUnwindSafe(|| drop(left))).is_ok()
}

/// End of a test's function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Passed,
    Failed,
    Panicked,
}

/// Calls the test's function and writes the record, without a system call after the function: a
/// filter of the test might refuse it.
fn call(case: &Case, record: &Arc<BodyRecord>) -> End {
    drop(stack_overflow::note_overflow_in(record.memory().stack_overflow()));
    if case.should_panic == ShouldPanic::No {
        panic_hook::watch();
        #[cfg(feature = "lab")]
        allow_early_end(record);
    }
    #[cfg(feature = "lab")]
    body::set_name(case.path());
    log::note_returns(case.returns);
    match case.begins {
        Begins::AtOnce => stage::begin(),
        Begins::OnRuntime => {}
        Begins::ByItself => intercept_until_begin(record),
    }
    let result = catch_unwind(AssertUnwindSafe(|| __rust_begin_short_backtrace(case.body)));
    if !record.is_in_body() {
        // This process is a child that the test has forked, and that has returned from the
        // function.
        process::exit_now(if result.is_ok() { PASSED } else { FAILED });
    }
    match result {
        Ok(code) if code == ExitCode::SUCCESS => {
            record.write(&Record::Passed);
            End::Passed
        }
        Ok(code) => {
            record.write(&Record::Returned(number(code)));
            End::Failed
        }
        Err(value) => record_panic(value, record),
    }
}

/// Lets a panic on a node of a lab end the test.
#[cfg(feature = "lab")]
fn allow_early_end(record: &Arc<BodyRecord>) {
    let (record, stderr) = (Arc::clone(record), fds::standard_error());
    body::allow_early_end(move |message| {
        if !record.is_in_body() {
            return;
        }
        record.write_panic(message);
        if fds::has_lost_standard_error(stderr) {
            record.note_unseen();
        }
        process::exit_now(FAILED)
    });
}

/// Makes a panic before [`begin`] end the process, with the record that the test was not started.
fn intercept_until_begin(record: &Arc<BodyRecord>) {
    stage::reach(Stage::Attribute);
    let record = Arc::clone(record);
    panic_hook::intercept_until(stage::has_begun, move |message| {
        let (step, object) = Stage::Attribute.step();
        let failure = diagnose::explain(step, object, &panic_hook::error_of(message));
        record.write(&Record::NotStarted(failure));
        process::exit_now(FAILED)
    });
}

/// Notes that the test's function begins. The macro inserts a call of it before the first line of
/// the function, which may run on any thread of the test.
pub fn begin() {
    stage::begin();
}

/// Calls `function`. The standard library ends a short backtrace at a function of this name.
#[inline(never)]
fn __rust_begin_short_backtrace<T>(function: impl FnOnce() -> T) -> T {
    // The use of the result keeps this from being a tail call, which would remove this frame.
    std::hint::black_box(function())
}

fn record_panic(value: Box<dyn Any + Send>, record: &BodyRecord) -> End {
    // This crate panics with a `Failure` if a body cannot begin, as without a runtime.
    let value = match value.downcast::<Failure>() {
        Ok(failure) if stage::has_begun() => {
            record.write(&Record::Lacked(*failure));
            return End::Failed;
        }
        Ok(failure) => {
            record.write(&Record::NotStarted(*failure));
            return End::Failed;
        }
        Err(value) => value,
    };
    let Some(message) = panic_text(&*value) else {
        record.write(&Record::PanickedWithValue);
        // Its destructor might panic in turn.
        forget(value);
        return End::Panicked;
    };
    match isolation::lack_in(message) {
        Some(lack) => record.write(&Record::Lacked(explained(&lack))),
        None => record.write_panic(message),
    }
    End::Panicked
}

/// Returns the failure for what the machine has refused to the test's lab, with the limit that is
/// reached.
fn explained(lack: &Lack) -> Failure {
    let error = match lack.errno {
        Some(number) => io::Error::from_raw_os_error(number),
        None => io::Error::other(lack.reason.as_str()),
    };
    diagnose::explain(&lack.step, &format!("node {}", lack.node), &error)
}

/// Returns the status in an [`ExitCode`], which only its `Debug` shows.
fn number(code: ExitCode) -> u32 {
    let text = format!("{code:?}");
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_have_numbers() {
        assert_eq!(number(ExitCode::FAILURE), 1);
        assert_eq!(number(ExitCode::from(42)), 42);
    }
}
