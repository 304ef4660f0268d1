//! Panics on the nodes of a lab. None is lost, even if nothing joins the thread or task.
//!
//! A panic is recorded once it has unwound to the end of the thread or task. Before that, the panic
//! hook prints for a tenth of a second, and longer with `RUST_BACKTRACE=1`. The test may end
//! meanwhile. So a hook counts panics that are under way, and the end of the lab and of the process
//! wait for them.

use std::cell::Cell;
use std::future::Future;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Once};
use std::task::{Context, Poll};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::error::panic_text;
use crate::evidence::body;
use crate::lab::run::early_end;
use crate::sys::lock::{lock, wait_timeout, wait_while};
use crate::sys::process;

/// Time limit for a panic hook.
const LONGEST_HOOK: Duration = Duration::from_secs(60);

/// Time limit for the destructors between the hook and the end of the thread or task. A panic that
/// is still under way then has been caught: there is no event for that.
const LONGEST_UNWINDING: Duration = Duration::from_secs(1);

const NO_END: &str = "the panic hook of a thread or task on a node of a lab does not end";

/// Recorded panics of one lab.
#[derive(Clone, Debug, Default)]
pub(crate) struct Panics(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    recorded: Mutex<Recorded>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Recorded {
    panics: Vec<String>,
    /// Whether panics are meant by the test.
    are_expected: bool,
    /// Whether the end of the lab has begun, which reports all panics.
    is_ending: bool,
    /// Whether the lab has ended, and reports no panic any more.
    has_ended: bool,
    /// Thread that ends the test after a panic.
    ender: Option<JoinHandle<()>>,
}

/// Whether the test's thread has panicked: it ends the test itself.
static TEST_HAS_PANICKED: AtomicBool = AtomicBool::new(false);

/// Number of panics that no lab has reported yet.
static UNREPORTED: AtomicUsize = AtomicUsize::new(0);

/// Watched work of this process that is panicking, by number.
static UNDER_WAY: Mutex<UnderWay> =
    Mutex::new(UnderWay { printing: Vec::new(), unwinding: Vec::new() });

static CHANGED: Condvar = Condvar::new();

/// Number of them that unwind, for a cheap check at the end of each work.
static UNWINDING: AtomicUsize = AtomicUsize::new(0);

/// Process that is watched, but not its forked children.
static OWNER: AtomicI32 = AtomicI32::new(0);

#[derive(Debug)]
struct UnderWay {
    /// Work whose panic hook runs.
    printing: Vec<u64>,
    /// Work whose panic hook has returned.
    unwinding: Vec<u64>,
}

thread_local! {
    /// Number of the watched work of this thread; 0 for none.
    static OWN: Cell<u64> = const { Cell::new(0) };
}

/// Watch over a thread or task, whose panics are recorded.
#[derive(Debug)]
struct Watch {
    panics: Panics,
    what: &'static str,
    node: String,
}

/// Task whose panics are recorded, also those of its destructors.
struct Watched<F> {
    watch: Watch,
    /// The future; none once it is complete.
    task: Option<Pin<Box<F>>>,
}

/// Scope in which the calling thread does watched work.
struct Within {
    number: u64,
    before: u64,
}

impl Panics {
    /// Returns `work` as watched work, for a thread of `node`.
    pub(crate) fn of_thread<T, W: FnOnce() -> T>(
        &self,
        node: &str,
        work: W,
    ) -> impl FnOnce() -> T + use<T, W> {
        let watch = self.watch("a thread", node);
        move || watch.during(work)
    }

    /// Returns `task` as a watched future, for a task of `node`.
    pub(crate) fn of_task<F: Future>(
        &self,
        node: &str,
        task: F,
    ) -> impl Future<Output = F::Output> + use<F> {
        Watched { watch: self.watch("a task", node), task: Some(Box::pin(task)) }
    }

    /// Returns the first panic, if panics are not expected.
    pub(crate) fn first(&self) -> Option<String> {
        lock(&self.0.recorded).panics.first().cloned()
    }

    /// Forgets all panics, and those to come.
    pub(crate) fn expect(&self) {
        let mut recorded = lock(&self.0.recorded);
        recorded.are_expected = true;
        UNREPORTED.fetch_sub(recorded.panics.len(), Ordering::Relaxed);
        recorded.panics.clear();
        self.0.changed.notify_all();
    }

    /// Begins the end of the lab: from now on a panic does not end the test early.
    pub(crate) fn close(&self) {
        let mut recorded = lock(&self.0.recorded);
        recorded.is_ending = true;
        self.0.changed.notify_all();
        let ender = recorded.ender.take();
        drop(recorded);
        if let Some(ender) = ender {
            // It does not panic.
            drop(ender.join());
        }
    }

    /// Takes all panics, and waits for those that are under way. A panic from now on aborts the
    /// process.
    pub(crate) fn take(&self) -> Vec<String> {
        let is_over = thread::panicking() || wait_until_over();
        let mut recorded = lock(&self.0.recorded);
        recorded.has_ended = true;
        UNREPORTED.fetch_sub(recorded.panics.len(), Ordering::Relaxed);
        let mut panics = std::mem::take(&mut recorded.panics);
        if !is_over {
            panics.push(NO_END.to_owned());
        }
        panics
    }

    fn watch(&self, what: &'static str, node: &str) -> Watch {
        install();
        Watch { panics: self.clone(), what, node: node.to_owned() }
    }

    fn note(&self, text: String) {
        let mut recorded = lock(&self.0.recorded);
        if recorded.are_expected {
            return;
        }
        if recorded.has_ended {
            // A test must not pass after it, and its lab is gone.
            eprintln!("netns-test: {text}, after its lab has ended");
            std::process::abort();
        }
        UNREPORTED.fetch_add(1, Ordering::Relaxed);
        recorded.panics.push(text);
        if recorded.ender.is_none() && !recorded.is_ending && body::may_end_early() {
            let (shared, own) = (Arc::clone(&self.0), Arc::clone(&self.0));
            let start = early_end::start(
                move |pause| shared.goes_on(pause),
                move |waited| {
                    own.end_test(waited);
                },
            );
            // Without the thread, the test ends by itself.
            recorded.ender = start.ok();
        }
    }
}

impl Shared {
    /// Waits for `pause`. Returns whether the test may still be ended by a panic of this lab.
    fn goes_on(&self, pause: Duration) -> bool {
        let recorded = lock(&self.recorded);
        let recorded = match recorded.is_over() {
            true => recorded,
            false => wait_timeout(&self.changed, recorded, pause),
        };
        !recorded.is_over()
    }

    fn end_test(&self, waited: Duration) {
        // Locked, so that the end of the lab does not report it, too.
        let recorded = lock(&self.recorded);
        let first = recorded.panics.first().filter(|_| !recorded.is_over());
        if let Some(first) = first {
            eprintln!(
                "netns-test: {first}; the test has not ended {:.1} s later, and is ended",
                waited.as_secs_f32()
            );
            body::end_early(first);
        }
    }
}

impl Recorded {
    fn is_over(&self) -> bool {
        let is_settled = self.is_ending || self.are_expected;
        is_settled || TEST_HAS_PANICKED.load(Ordering::Relaxed)
    }
}

impl Watch {
    /// Does the work. Records its panic and resumes it.
    fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        let within = Within::enter();
        match catch_unwind(AssertUnwindSafe(work)) {
            Ok(value) => value,
            Err(payload) => {
                let message =
                    panic_text(&*payload).map_or_else(String::new, |text| format!(": {text}"));
                let text = format!("node {}: {} has panicked{message}", self.node, self.what);
                self.panics.note(text);
                drop(within);
                resume_unwind(payload)
            }
        }
    }
}

impl<F: Future> Future for Watched<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let Self { watch, task } = self.get_mut();
        watch.during(|| {
            let polled = task.as_mut().expect("it has not ended").as_mut().poll(context);
            if polled.is_ready() {
                drop(task.take());
            }
            polled
        })
    }
}

impl<F> Drop for Watched<F> {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            self.watch.during(|| drop(task));
        }
    }
}

impl Within {
    fn enter() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        Self { number, before: OWN.replace(number) }
    }
}

impl Drop for Within {
    /// Ends the scope: a panic of the work has been recorded or caught.
    fn drop(&mut self) {
        OWN.set(self.before);
        // This thread sees at least its own increment.
        if UNWINDING.load(Ordering::Relaxed) > 0 {
            under_way().change(|unwinding| unwinding.retain(|number| *number != self.number));
        }
    }
}

impl UnderWay {
    fn change(&mut self, change: impl FnOnce(&mut Vec<u64>)) {
        change(&mut self.unwinding);
        UNWINDING.store(self.unwinding.len(), Ordering::Relaxed);
        CHANGED.notify_all();
    }
}

/// Installs a panic hook before the present one, once for a process.
fn install() {
    static HOOK: Once = Once::new();
    // The standard library does not allow it while the thread panics.
    if thread::panicking() {
        return;
    }
    HOOK.call_once(|| {
        OWNER.store(process::id(), Ordering::Relaxed);
        process::at_exit(check);
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| observe(info, &*before)));
    });
}

fn observe(info: &PanicHookInfo<'_>, before: &(dyn Fn(&PanicHookInfo<'_>) + Send + Sync)) {
    let own = OWN.get();
    if own == 0 {
        if body::is_test_thread() {
            TEST_HAS_PANICKED.store(true, Ordering::Relaxed);
        }
        return before(info);
    }
    under_way().printing.push(own);
    before(info);
    let mut under_way = under_way();
    if let Some(place) = under_way.printing.iter().position(|number| *number == own) {
        under_way.printing.swap_remove(place);
    }
    under_way.change(|unwinding| {
        // Work that has caught a panic is listed already.
        if !unwinding.contains(&own) {
            unwinding.push(own);
        }
    });
}

/// Waits for panics that are under way, except the calling thread's own. Returns whether all hooks
/// have ended.
fn wait_until_over() -> bool {
    let own = OWN.get();
    let others = |all: &[u64]| all.iter().any(|number| *number != own);
    let is_printing = |under_way: &mut UnderWay| others(&under_way.printing);
    let (under_way, end) = wait_while(&CHANGED, under_way(), LONGEST_HOOK, is_printing);
    if end.timed_out() {
        return false;
    }
    let is_unwinding = |under_way: &mut UnderWay| others(&under_way.unwinding);
    // The rest has been caught. If such work panics again, it is listed again.
    let (mut under_way, _) = wait_while(&CHANGED, under_way, LONGEST_UNWINDING, is_unwinding);
    under_way.change(|unwinding| unwinding.retain(|number| *number == own));
    true
}

fn under_way() -> MutexGuard<'static, UnderWay> {
    lock(&UNDER_WAY)
}

/// Checks at the end of the process for panics of a lab that was never dropped.
extern "C" fn check() {
    let is_over = process::id() != OWNER.load(Ordering::Relaxed) || wait_until_over();
    let has_panicked = UNREPORTED.load(Ordering::Relaxed) > 0;
    if has_panicked {
        eprintln!(
            "netns-test: a thread or task has panicked on a node of a lab that was not dropped"
        );
    } else if !is_over {
        eprintln!("netns-test: {NO_END}");
    }
    if has_panicked || !is_over {
        process::exit_now(101);
    }
}
