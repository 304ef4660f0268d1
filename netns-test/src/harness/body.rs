//! The body: a process that looks like the runner did when the test was asked for, except
//! for its namespaces, and that leaves a record when the test function has ended.

use std::any::Any;
use std::ffi::CString;
use std::io;
use std::mem::{ManuallyDrop, forget};
use std::os::fd::{AsRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use super::caller::Caller;
use super::case::Case;
use super::init::{Origin, Site};
use super::order::{Arrived, Order, descriptors_lost};
use super::parts;
use super::patience::insist_beside_others;
use super::pulse::{Mark, Pulse};
use super::wire::{self, Record};
use crate::error::Failure;
use crate::sys::process::{self, SingleThreaded};
use crate::sys::{environ, errno, fds, limits, memory, signals, stack, unfailing};
use crate::{diagnose, isolation, premain};

/// The status with which a failed test's process exits, as libtest's would.
const FAILED: i32 = 101;

static RUNNING: AtomicBool = AtomicBool::new(false);

/// Whether this process is a body, or was forked by one; also of another version of this crate.
pub(super) fn is_running() -> bool {
    RUNNING.load(Ordering::Relaxed) || premain::serves_another()
}

/// How a body learns which test it is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Start<'a> {
    This(Order<'a>),
    /// It waits for its order at `hand`, and passes it on to `init`.
    Awaited {
        hand: &'a OwnedFd,
        init: &'a OwnedFd,
    },
}

/// The body's whole life. It gets ready while init sets up the sandbox, and begins at its `word`, and a
/// spare's at its order after that.
pub(super) fn main(
    site: &Site<'_>,
    (start, word): (Start<'_>, OwnedFd),
    (record, seal): (memory::Record, u64),
    alone: &SingleThreaded,
) -> ! {
    RUNNING.store(true, Ordering::Relaxed);
    let body = match memory::ForkMark::new() {
        Ok(mark) => mark,
        Err(error) => {
            let failure = errno::failure("mmap", "the mark of the test's process", &error);
            write(&record, seal, &Record::NotStarted(failure));
            process::exit_now(FAILED)
        }
    };
    let last_word = Arc::new(LastWord { record, seal, body });
    let not_started = |failure| -> ! {
        last_word.say(&Record::NotStarted(failure));
        process::exit_now(FAILED)
    };
    if let Err(failure) = prepare(site) {
        not_started(failure)
    }
    let case = get_ready(site, start, word, alone).unwrap_or_else(|failure| not_started(failure));
    premain::run_later_constructors(alone);
    let passed = run_on_thread(case, &last_word, site.pulse).unwrap_or_else(|failure| {
        last_word.say(&Record::NotStarted(failure));
        false
    });
    // Not `_exit`: coverage and leak checkers do their work in exit handlers. Here, and not on the test's
    // thread: that has ended, with all that C libraries keep for it, and what constructors have kept for
    // this one ends as in the runner.
    std::process::exit(if passed { 0 } else { FAILED })
}

/// Waits for the word, and where the test is not known yet, for the order; makes the surroundings those
/// of the runner, before a constructor sees them.
fn get_ready(
    site: &Site<'_>,
    start: Start<'_>,
    word: OwnedFd,
    alone: &SingleThreaded,
) -> Result<&'static Case, Failure> {
    match start {
        // If a first sandbox is refused, another one gets what the runner has sent.
        Start::This(order) if site.news.is_some() => {
            wait_for_word(site, &word)?;
            forget(word);
            settle(order, None, site.origin, alone)?;
            Ok(order.case)
        }
        Start::This(order) => {
            settle(order, Some(&word), site.origin, alone)?;
            wait_for_word(site, &word)?;
            Ok(order.case)
        }
        Start::Awaited { hand, init } => {
            wait_for_word(site, &word)?;
            forget(word);
            // Its descriptors are closed with all others.
            let arrived = ManuallyDrop::new(wait_for_order(hand, init));
            let order = arrived.order().ok_or_else(descriptors_lost)?;
            settle(order, None, site.origin, alone)?;
            Ok(arrived.case)
        }
    }
}

/// Returns when the sandbox stands, and not at all if it does not: init tells why. An error if what init
/// says cannot be read.
fn wait_for_word(site: &Site<'_>, word: &OwnedFd) -> Result<(), Failure> {
    let Some(wire::Word { limitations }) = receive_word(word)? else { process::exit_now(FAILED) };
    isolation::set(site.mode.is_privileged(), limitations);
    Ok(())
}

/// Nothing if init has gone without one.
fn receive_word(word: &OwnedFd) -> Result<Option<wire::Word>, Failure> {
    let received = match parts::receive(word) {
        Err(error) if parts::is_hang_up(&error) => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        received => received,
    };
    let word = received.and_then(|bytes| {
        wire::Word::decode(&bytes).ok_or_else(|| io::ErrorKind::InvalidData.into())
    });
    word.map(Some).map_err(|error| errno::failure("receive", "the word of the test's init", &error))
}

/// For the body of a spare. Ends where there will be no order, or it cannot be taken: init sees that
/// it has no test, and the server whether the order is still there.
fn wait_for_order(hand: &OwnedFd, init: &OwnedFd) -> Arrived {
    match Arrived::wait_for(hand) {
        Some(arrived) if arrived.take(hand, init).is_ok() => arrived,
        _ => process::exit_now(FAILED),
    }
}

/// The record, and what makes it the body's.
struct LastWord {
    record: memory::Record,
    seal: u64,
    /// Where the body is, and not a child that it has forked.
    body: memory::ForkMark,
}

impl LastWord {
    fn say(&self, record: &Record) {
        write(&self.record, self.seal, record);
    }
}

fn write(memory: &memory::Record, seal: u64, record: &Record) {
    let (kind, text) = record.to_parts();
    memory.write(seal, kind, &text);
}

/// What can be done before the test is known.
fn prepare(site: &Site<'_>) -> Result<(), Failure> {
    let step = |step, object| move |error: io::Error| diagnose::explain(step, object, &error);
    process::make_dumpable().map_err(step("prctl", "PR_SET_DUMPABLE"))?;
    site.identity.assume().map_err(diagnose::completed)?;
    if site.origin.ignores_children {
        signals::ignore_children();
    }
    process::set_name(&site.origin.name).map_err(step("prctl", "PR_SET_NAME"))?;
    signals::ignore_sigpipe();
    // Without it an overflow is still fatal, only less well explained.
    drop(stack::prepare());
    Ok(())
}

/// Makes the surroundings those of the runner; of the harness's descriptors only `kept` is left.
fn settle(
    order: Order<'_>,
    kept: Option<&OwnedFd>,
    origin: &Origin,
    alone: &SingleThreaded,
) -> Result<(), Failure> {
    let step = |step, object| move |error: io::Error| diagnose::explain(step, object, &error);
    let caller = parts::receive(order.control)
        .and_then(|bytes| Caller::decode(&bytes).ok_or(io::ErrorKind::InvalidData.into()))
        .map_err(step("receive", "the runner's surroundings"))?;
    fds::install_stdio(order.stdout, 1).map_err(step("dup2", "stdout"))?;
    fds::install_stdio(order.stderr, 2).map_err(step("dup2", "stderr"))?;
    let keep: Vec<_> = kept.map(AsRawFd::as_raw_fd).into_iter().collect();
    fds::close_all_except(&keep).map_err(step("close_range", "the harness's descriptors"))?;
    limits::set(&caller.limits, &origin.limits).map_err(step("setrlimit", "the test's process"))?;
    unfailing::set_umask(caller.umask).map_err(step("umask", "the test's process"))?;
    if let Some(variables) = caller.environment {
        let variables = variables.into_iter().filter_map(|text| CString::new(text).ok());
        environ::replace(variables.collect(), alone);
    }
    signals::set_mask(caller.mask).map_err(step("sigprocmask", "the test's process"))
}

/// Runs the test on a thread of its own, named after it, as libtest does; whether it passed.
fn run_on_thread(
    case: &'static Case,
    last_word: &Arc<LastWord>,
    (pulse, mark): (Pulse, Mark),
) -> Result<bool, Failure> {
    let passed = Arc::new(OnceLock::new());
    let start = || {
        let (last_word, passed) = (Arc::clone(last_word), Arc::clone(&passed));
        let thread = std::thread::Builder::new().name(case.path());
        thread.spawn(move || {
            mark.set();
            passed.set(run(case, &last_word))
        })
    };
    let attempt = || match start() {
        Err(error) if diagnose::is_own_limit(&error) => Ok(Err(error)),
        other => other.map(Ok),
    };
    let thread = insist_beside_others(pulse, attempt)
        .and_then(|result| result)
        .map_err(|error| diagnose::explain("start", "the test's thread", &error))?;
    let joined = process::join(thread);
    joined.map_err(|error| errno::failure("pthread_join", "the test's thread", &error))?;
    Ok(passed.get().copied().unwrap_or_else(|| {
        eprintln!("netns-test: the test's thread has ended itself, without a return from the test");
        false
    }))
}

/// Whether the test passed.
fn run(case: &Case, last_word: &LastWord) -> bool {
    let stderr = fds::standard_error();
    drop(stack::note_overflow_in(last_word.record.stack_overflow()));
    let result = catch_unwind(AssertUnwindSafe(|| __rust_begin_short_backtrace(case.body)));
    if !last_word.body.is_here() {
        // A child that the test forked has come back from the test's function.
        process::exit_now(if result.is_ok() { 0 } else { FAILED });
    }
    let record = match result {
        Ok(code) if code == ExitCode::SUCCESS => Record::Passed,
        Ok(code) => Record::Returned(number(code)),
        Err(value) => match panicked(value) {
            Record::Panicked(message) if fds::standard_error() != stderr => {
                Record::PanickedUnseen(message)
            }
            record => record,
        },
    };
    last_word.say(&record);
    record == Record::Passed
}

/// The standard library leaves out what is below a function of this name in a backtrace.
#[inline(never)]
fn __rust_begin_short_backtrace<T>(function: impl FnOnce() -> T) -> T {
    // Used after the call, so that it is no tail call, whose frame would be gone.
    std::hint::black_box(function())
}

fn panicked(value: Box<dyn Any + Send>) -> Record {
    // Raised by this crate where a body cannot begin, as without a runtime.
    let value = match value.downcast::<Failure>() {
        Ok(failure) => return Record::NotStarted(*failure),
        Err(value) => value,
    };
    let message = value
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| value.downcast_ref::<&'static str>().map(|&text| text.to_owned()));
    if message.is_none() {
        // Its destructor might panic in turn.
        forget(value);
    }
    message.map_or(Record::PanickedWithValue, Record::Panicked)
}

/// The status in an [`ExitCode`], which only its `Debug` tells.
fn number(code: ExitCode) -> u32 {
    let text = format!("{code:?}");
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::socket;

    #[test]
    fn a_word_that_cannot_be_understood_is_a_failure_and_none_is_not() {
        let (init, body) = socket::pair().unwrap();
        let word = wire::Word { limitations: vec!["some".into()] };
        let send = |bytes: &[u8]| parts::send(&init, bytes, || Ok(())).unwrap();
        send(&word.encode());
        assert_eq!(receive_word(&body).unwrap(), Some(word));
        send(b"?");
        let failure = receive_word(&body).unwrap_err().to_string();
        assert!(failure.contains("receive the word of the test's init"), "{failure}");
        drop(init);
        assert_eq!(receive_word(&body).unwrap(), None);
    }

    #[test]
    fn exit_codes_have_numbers() {
        assert_eq!(number(ExitCode::FAILURE), 1);
        assert_eq!(number(ExitCode::from(42)), 42);
    }
}
