//! The body: a process that looks like the runner did when the test was asked for, except
//! for its namespaces, and that leaves a record when the test function has ended.

use std::any::Any;
use std::cell::RefCell;
use std::ffi::CString;
use std::io;
use std::mem::{ManuallyDrop, forget};
use std::os::fd::{AsRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::diagnose;
use crate::error::Failure;
use crate::harness::child::init::{Origin, Site};
use crate::harness::child::panic_hook;
use crate::harness::child::panic_hook::Interception;
use crate::harness::child::runner_env::Caller;
use crate::harness::child::stage;
use crate::harness::child::stage::Stage;
use crate::harness::protocol::framing;
use crate::harness::protocol::heartbeat::{Mark, Pulse};
use crate::harness::protocol::messages;
use crate::harness::protocol::messages::Record;
use crate::harness::protocol::retry;
use crate::harness::protocol::retry::insist_beside_others;
use crate::harness::runner::verdict::{FAILED, PASSED};
use crate::harness::server::test::{Arrived, Order, descriptors_lost};
use crate::isolation;
use crate::isolation::Lack;
use crate::registry::case::{Begins, Case};
use crate::registry::{constructors, versions};
use crate::sys::process;
use crate::sys::process::SingleThreaded;
use crate::sys::process::{environ, limits, shared_record, signals, stack_overflow, unfailing};
use crate::sys::{errno, fds};

static RUNNING: AtomicBool = AtomicBool::new(false);

/// Whether this process is a body, or was forked by one; also of another version of this crate.
pub(crate) fn is_running() -> bool {
    RUNNING.load(Ordering::Relaxed) || versions::serves_another()
}

/// How a body learns which test it is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Start<'a> {
    This(Order<'a>),
    /// It waits for its order at `hand`, and passes it on to `init`.
    Awaited {
        hand: &'a OwnedFd,
        init: &'a OwnedFd,
    },
}

/// The body's whole life. It gets ready while init sets up the sandbox, and begins at its `word`, and a
/// spare's at its order after that.
pub(crate) fn main(
    site: &Site<'_>,
    (start, word): (Start<'_>, OwnedFd),
    (record, seal): (shared_record::Record, u64),
    alone: &SingleThreaded,
) -> ! {
    RUNNING.store(true, Ordering::Relaxed);
    let body = match shared_record::ForkMark::new() {
        Ok(mark) => mark,
        Err(error) => {
            let failure = errno::failure("mmap", "the mark of the test's process", &error);
            write(&record, seal, &Record::NotStarted(failure));
            process::exit_now(FAILED)
        }
    };
    stage::note_in(record.progress());
    let last_word = Arc::new(LastWord { record, seal, body });
    let not_started = |failure| -> ! {
        last_word.say(&Record::NotStarted(failure));
        process::exit_now(FAILED)
    };
    if let Err(failure) = prepare(site) {
        not_started(failure)
    }
    let case = get_ready(site, start, word, alone).unwrap_or_else(|failure| not_started(failure));
    if let Err(failure) = site.identity.become_user() {
        not_started(failure)
    }
    stage::reach(Stage::Constructors);
    constructors::run_later(alone);
    stage::reach(Stage::Thread);
    let passed =
        run_on_thread(case, &last_word, site.pulse).unwrap_or_else(|failure| not_started(failure));
    // Not `_exit`: coverage and leak checkers do their work in exit handlers. Here, and not on the test's
    // thread: that has ended, with all that C libraries keep for it, and what constructors have kept for
    // this one ends as in the runner.
    std::process::exit(if passed { PASSED } else { FAILED })
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
    let Some(messages::Word { limitations }) = receive_word(word)? else {
        process::exit_now(FAILED)
    };
    isolation::set(site.mode.is_privileged(), limitations);
    Ok(())
}

/// Nothing if init has gone without one.
fn receive_word(word: &OwnedFd) -> Result<Option<messages::Word>, Failure> {
    let received = match framing::receive(word) {
        Err(error) if framing::is_hang_up(&error) => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        received => received,
    };
    let word = received.and_then(|bytes| {
        messages::Word::decode(&bytes).ok_or_else(|| io::ErrorKind::InvalidData.into())
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
    record: shared_record::Record,
    seal: u64,
    /// Where the body is, and not a child that it has forked.
    body: shared_record::ForkMark,
}

impl LastWord {
    fn say(&self, record: &Record) {
        write(&self.record, self.seal, record);
    }

    /// Says that the test panicked with `message`, without memory for a copy.
    fn say_panicked(&self, message: &str) {
        self.record.write(self.seal, messages::PANICKED, message.as_bytes());
    }
}

fn write(memory: &shared_record::Record, seal: u64, record: &Record) {
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
    drop(stack_overflow::prepare());
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
    let caller = framing::receive(order.control)
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
///
/// A seccomp filter that the test has put on its thread, as a rule, does not bind this one: what needs a
/// system call after the test's function is done here.
fn run_on_thread(
    case: &'static Case,
    last_word: &Arc<LastWord>,
    (pulse, mark): (Pulse, Mark),
) -> Result<bool, Failure> {
    retry::note_pulse(pulse);
    let stderr = fds::standard_error();
    let end = Arc::new(OnceLock::new());
    let start = || {
        let (last_word, end) = (Arc::clone(last_word), Arc::clone(&end));
        let thread = std::thread::Builder::new().name(case.path());
        thread.spawn(move || {
            mark.set();
            end.set(run(case, &last_word))
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
    let end = end.get().copied().unwrap_or_else(|| {
        eprintln!("netns-test: the test's thread has ended itself, without a return from the test");
        End::Failed
    });
    if end == End::Panicked && fds::has_lost_standard_error(stderr) {
        last_word.record.note_unseen();
    }
    Ok(drop_what_is_left() && end == End::Passed)
}

/// What the test's thread has left to be dropped by the first thread.
static LEFT: Mutex<Option<Box<dyn Any + Send>>> = Mutex::new(None);

/// Leaves `value` to be dropped when the test's thread has ended, by a thread without a filter. Makes no
/// system call.
#[cfg(feature = "tokio")]
pub(crate) fn leave(value: Box<dyn Any + Send>) {
    *LEFT.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
}

/// Drops what the test's thread has left; whether that went well. A panic has been reported.
fn drop_what_is_left() -> bool {
    let left = LEFT.lock().unwrap_or_else(PoisonError::into_inner).take();
    catch_unwind(AssertUnwindSafe(|| drop(left))).is_ok()
}

/// How a test's function has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Passed,
    Failed,
    Panicked,
}

/// Calls the test's function and writes the record. After the function there is no system call: a filter
/// of the test's might refuse it.
fn run(case: &Case, last_word: &Arc<LastWord>) -> End {
    drop(stack_overflow::note_overflow_in(last_word.record.stack_overflow()));
    match case.begins {
        Begins::AtOnce => stage::begin(),
        Begins::OnRuntime => {}
        Begins::ByItself => wait_for_beginning(last_word),
    }
    let result = catch_unwind(AssertUnwindSafe(|| __rust_begin_short_backtrace(case.body)));
    if !last_word.body.is_here() {
        // A child that the test forked has come back from the test's function.
        process::exit_now(if result.is_ok() { PASSED } else { FAILED });
    }
    match result {
        Ok(code) if code == ExitCode::SUCCESS => {
            last_word.say(&Record::Passed);
            End::Passed
        }
        Ok(code) => {
            last_word.say(&Record::Returned(number(code)));
            End::Failed
        }
        Err(value) => panicked(value, last_word),
    }
}

thread_local! {
    /// Takes the panics of the test's thread before the test's function.
    static BEFORE_THE_TEST: RefCell<Option<Interception>> = const { RefCell::new(None) };
}

/// Has a panic that comes before [`begin`] end the process, as one that is no panic of the test.
fn wait_for_beginning(last_word: &Arc<LastWord>) {
    stage::reach(Stage::Attribute);
    let last_word = Arc::clone(last_word);
    let action = move |message: &str| {
        let (step, object) = Stage::Attribute.step();
        let failure = diagnose::explain(step, object, &panic_hook::error_of(message));
        last_word.say(&Record::NotStarted(failure));
        process::exit_now(FAILED)
    };
    BEFORE_THE_TEST.set(panic_hook::intercept(Box::new(action)));
}

/// Notes that the test's function begins: called by what the macro has put before its first line.
pub fn begin() {
    stage::begin();
    drop(BEFORE_THE_TEST.take());
}

/// The standard library leaves out what is below a function of this name in a backtrace.
#[inline(never)]
fn __rust_begin_short_backtrace<T>(function: impl FnOnce() -> T) -> T {
    // Used after the call, so that it is no tail call, whose frame would be gone.
    std::hint::black_box(function())
}

fn panicked(value: Box<dyn Any + Send>, last_word: &LastWord) -> End {
    // Raised by this crate where a body cannot begin, as without a runtime.
    let value = match value.downcast::<Failure>() {
        Ok(failure) if stage::has_begun() => {
            last_word.say(&Record::Lacked(*failure));
            return End::Failed;
        }
        Ok(failure) => {
            last_word.say(&Record::NotStarted(*failure));
            return End::Failed;
        }
        Err(value) => value,
    };
    let text = value.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| value.downcast_ref::<&'static str>().copied());
    let Some(message) = text else {
        last_word.say(&Record::PanickedWithValue);
        // Its destructor might panic in turn.
        forget(value);
        return End::Panicked;
    };
    match isolation::lack_in(message) {
        Some(lack) => last_word.say(&Record::Lacked(lacked(&lack))),
        None => last_word.say_panicked(message),
    }
    End::Panicked
}

/// What the machine has refused to the test's lab, with the limit that is reached.
fn lacked(lack: &Lack) -> Failure {
    let error = match lack.errno {
        Some(number) => io::Error::from_raw_os_error(number),
        None => io::Error::other(lack.reason.as_str()),
    };
    diagnose::explain(&lack.step, &format!("host {}", lack.host), &error)
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
    use crate::sys::net::socket;

    #[test]
    fn a_word_that_cannot_be_understood_is_a_failure_and_none_is_not() {
        let (init, body) = socket::pair().unwrap();
        let word = messages::Word { limitations: vec!["some".into()] };
        let send = |bytes: &[u8]| framing::send(&init, bytes, || Ok(())).unwrap();
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
