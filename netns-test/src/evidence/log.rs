//! The log of the calling process: what happens in a test, for the case that it fails.
//!
//! In a test body it is memory that init reads. In any other process there is none, and nothing is
//! recorded.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::evidence::code::Fact as _;
use crate::evidence::facts::event::{Event, EventKind};
use crate::evidence::here;
use crate::evidence::record::Record;
use crate::sys::process;
use crate::sys::process::progress;
use crate::sys::process::shared_record::ForkMark;
#[cfg(feature = "lab")]
use crate::sys::process::signals;
#[cfg(feature = "lab")]
use crate::sys::shared_log::Numbers;
use crate::sys::shared_log::SharedLog;

/// Most time that panicking threads wait for looks, in all: a test may panic, and catch it,
/// thousands of times.
const MOST: Duration = Duration::from_millis(600);

/// Time after which init sees a question at the latest.
pub(crate) const POLL: Duration = Duration::from_millis(20);

/// Most panics that are recorded.
const MOST_PANICS: u32 = 5_000;

/// Most panics of a test of which those on other threads ask for a look.
const MOST_UNAWAITED: u32 = 4;

/// Most bytes of the message of a panic that are recorded.
const MESSAGE: usize = 2 << 10;

/// Most bytes of events of which there may be very many.
#[cfg(feature = "tracing")]
const MOST_LIMITED: usize = 1 << 20;

/// Time limit of one look.
const LOOK: Duration = Duration::from_millis(300);

static LOG: OnceLock<Own> = OnceLock::new();

#[derive(Debug)]
struct Own {
    log: SharedLog,
    /// Mark of the body: a child that it forks has the same memory, and records nothing.
    body: ForkMark,
    panics: AtomicU32,
    /// Number of the last report to init; 0 if init could not be woken.
    #[cfg(feature = "lab")]
    reported: AtomicU32,
    /// Whether panics on nodes are meant.
    expects_panics: AtomicBool,
    /// Nanoseconds that panicking threads have waited for looks.
    waited: AtomicU64,
    /// Bytes that may still be taken by records of which there may be very many.
    #[cfg(feature = "tracing")]
    limited: std::sync::atomic::AtomicUsize,
    /// Whether the test's function returns a value: whether it is an error is known only after its
    /// labs have been dropped.
    returns: AtomicBool,
}

/// Makes `log` the log of this process, which is a body.
pub(crate) fn install(log: SharedLog, body: ForkMark) {
    let returns = AtomicBool::new(false);
    let own = Own {
        log,
        body,
        panics: AtomicU32::new(0),
        #[cfg(feature = "lab")]
        reported: AtomicU32::new(0),
        expects_panics: AtomicBool::new(false),
        waited: AtomicU64::new(0),
        #[cfg(feature = "tracing")]
        limited: MOST_LIMITED.into(),
        returns,
    };
    drop(LOG.set(own));
}

/// Returns whether records are kept.
pub(crate) fn is_kept() -> bool {
    own().is_some()
}

/// Notes whether the test's function returns a value.
pub(crate) fn note_returns(returns: bool) {
    if let Some(own) = own() {
        own.returns.store(returns, Ordering::Relaxed);
    }
}

/// Notes that panics on nodes are meant.
#[cfg(feature = "lab")]
pub(crate) fn expect_panics() {
    if let Some(own) = own() {
        own.expects_panics.store(true, Ordering::Relaxed);
    }
}

/// Returns whether the networks of a lab are wanted after it was dropped: its end may be that of a
/// function that returns an error.
#[cfg(feature = "lab")]
pub(crate) fn may_return_an_error() -> bool {
    own().is_some_and(|own| own.returns.load(Ordering::Relaxed))
}

/// Appends an event. Its time is now, unless it is set. A note and a panic are on the node of the
/// calling thread.
pub(crate) fn note(event: impl FnOnce() -> Event) {
    append(|| {
        let mut event = event();
        if event.node.is_empty() && matches!(event.kind, EventKind::Note | EventKind::Panic) {
            event.node = here::node();
        }
        if event.at.is_zero() {
            event.at = progress::now();
        }
        Record::Event(event)
    });
}

/// Appends an event as [`note`] does, while such events leave room for others.
#[cfg(feature = "tracing")]
pub(crate) fn note_limited(event: impl FnOnce() -> Event) {
    let Some(own) = own() else { return };
    let (at, event) = (progress::now(), event());
    let record = Record::Event(Event { at, node: here::node(), ..event }).encoded();
    let take = |left: usize| left.checked_sub(record.len());
    match own.limited.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
        Ok(_) => drop(own.log.append(&record)),
        Err(_) => own.log.lose(),
    }
}

/// Appends a record.
pub(crate) fn append(record: impl FnOnce() -> Record) {
    if let Some(own) = own() {
        own.log.append(&record().encoded());
    }
}

/// Appends a record that init acts on, such as one about networks that it is to keep. Does not wait
/// for that: see [`settle`].
#[cfg(feature = "lab")]
pub(crate) fn report(record: impl FnOnce() -> Record) {
    let Some(own) = own() else { return };
    own.log.append(&record().encoded());
    let number = own.log.ask();
    // Without the right to signal init, init reads the record when it wakes for another reason.
    let is_awake = signals::wake_init();
    own.reported.store(if is_awake { number } else { 0 }, Ordering::Relaxed);
}

/// Takes numbers that init can read at any time; none in a process without a log.
#[cfg(feature = "lab")]
pub(crate) fn numbers(count: usize) -> Option<Numbers> {
    own()?.log.take_numbers(count)
}

/// Waits until init has acted on the last [`report`], if it does so soon.
#[cfg(feature = "lab")]
pub(crate) fn settle() {
    let Some(own) = own() else { return };
    match own.reported.load(Ordering::Relaxed) {
        0 => {}
        number => drop(own.log.wait_for_answer(number, LOOK)),
    }
}

/// Records a panic of the calling thread, and asks init to look at processes and networks. If the
/// thread is the test's or a node's, waits until init has, as their state is lost when the panic
/// unwinds. Other threads do not wait, nor those of nodes whose panics are expected: the test may
/// watch how long they take.
///
/// Makes no system calls but gettid(2) and futex(2), which panic hooks and locks of Rust make, too:
/// a seccomp filter of the test may end the thread for others. So init is not woken, and looks
/// after [`POLL`].
pub(crate) fn panicked(message: &str, place: &str, thread: &str, is_test: bool) {
    let Some(own) = own() else { return };
    let count = own.panics.fetch_add(1, Ordering::Relaxed);
    if count >= MOST_PANICS {
        return;
    }
    let longest = MESSAGE.min(message.len());
    let end = (0..=longest).rev().find(|&end| message.is_char_boundary(end)).unwrap_or(0);
    let message = &message[..end];
    note(|| {
        let text = format!("{place}: {}", message.lines().next().unwrap_or_default());
        let kind = EventKind::Panic;
        let event = Event { kind, thread: process::thread_id(), text, ..Event::default() };
        let event = event.with("message", message).with("place", place).with("name", thread);
        event.with("visits", here::visits())
    });
    let waited = Duration::from_nanos(own.waited.load(Ordering::Relaxed));
    let is_on_node = !here::node().is_empty() && !own.expects_panics.load(Ordering::Relaxed);
    if !is_test && !is_on_node {
        if count < MOST_UNAWAITED {
            append(|| Record::Look);
            own.log.ask();
        }
    } else if waited < MOST {
        let start = progress::now();
        append(|| Record::Look);
        let number = own.log.ask();
        own.log.wait_for_answer(number, LOOK);
        let took = progress::now().saturating_sub(start).as_nanos();
        own.waited.fetch_add(u64::try_from(took).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

fn own() -> Option<&'static Own> {
    LOG.get().filter(|own| own.body.is_here())
}
