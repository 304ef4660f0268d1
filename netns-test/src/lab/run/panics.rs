//! Panics on the hosts of a lab: none is lost, whether or not anybody joins what has panicked.
//!
//! A panic is known when it has unwound what is watched. Before that the panic hook prints, for a tenth
//! of a second and more with `RUST_BACKTRACE=1`, and the test may come to its end meanwhile. So a hook
//! notes the panics that are under way, and the end of a lab, and of the process, waits for these.

use std::any::Any;
use std::cell::Cell;
use std::future::Future;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicI32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Once, PoisonError};
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use crate::sys::lock::lock;
use crate::sys::process;

/// For a hook that does not end.
const LONGEST_HOOK: Duration = Duration::from_secs(60);

/// For the destructors between a hook and the end of what is watched. A panic that is there after that
/// has been caught, which nothing tells.
const LONGEST_UNWINDING: Duration = Duration::from_secs(1);

const NO_END: &str = "the panic hook of something on a host of a lab does not end";

/// What has panicked on the hosts of a lab, in words.
#[derive(Clone, Debug, Default)]
pub(crate) struct Panics(Arc<Mutex<Told>>);

#[derive(Debug, Default)]
struct Told {
    panics: Vec<String>,
    /// Whether the lab has ended: nobody asks any more.
    has_ended: bool,
}

/// How many panics no lab has told of yet.
static UNTOLD: AtomicUsize = AtomicUsize::new(0);

/// The watched work of this process that panics now, by number.
static UNDER_WAY: Mutex<UnderWay> =
    Mutex::new(UnderWay { printing: Vec::new(), unwinding: Vec::new() });

static CHANGED: Condvar = Condvar::new();

/// How many of them unwind: most work that ends need not look who.
static UNWINDING: AtomicUsize = AtomicUsize::new(0);

/// The process whose threads are meant, and not a fork of it.
static OWNER: AtomicI32 = AtomicI32::new(0);

#[derive(Debug)]
struct UnderWay {
    /// Whose hook is called.
    printing: Vec<u64>,
    /// Whose hook has been called.
    unwinding: Vec<u64>,
}

thread_local! {
    /// The number of the watched work that this thread does; 0 for none.
    static OWN: Cell<u64> = const { Cell::new(0) };
}

/// Whose panics are noted.
#[derive(Debug)]
struct Watch {
    panics: Panics,
    what: &'static str,
    host: String,
}

/// A task whose panics are noted, also those of its destructors.
struct Watched<F> {
    watch: Watch,
    /// None when it has ended.
    task: Option<Pin<Box<F>>>,
}

/// The calling thread does what is watched.
struct Within {
    number: u64,
    before: u64,
}

impl Panics {
    /// Work that is watched, for a thread of that host.
    pub(crate) fn of_thread<T, W: FnOnce() -> T>(
        &self,
        host: &str,
        work: W,
    ) -> impl FnOnce() -> T + use<T, W> {
        let watch = self.watch("a thread", host);
        move || watch.during(work)
    }

    /// A future that is watched, for a task of that host.
    pub(crate) fn of_task<F: Future>(
        &self,
        host: &str,
        task: F,
    ) -> impl Future<Output = F::Output> + use<F> {
        Watched { watch: self.watch("a task", host), task: Some(Box::pin(task)) }
    }

    /// All there are, with those that are under way. What panics from now on ends the process.
    pub(crate) fn take(&self) -> Vec<String> {
        let is_over = thread::panicking() || wait_until_over();
        let mut told = lock(&self.0);
        told.has_ended = true;
        UNTOLD.fetch_sub(told.panics.len(), Ordering::Relaxed);
        let mut panics = std::mem::take(&mut told.panics);
        if !is_over {
            panics.push(NO_END.to_owned());
        }
        panics
    }

    fn watch(&self, what: &'static str, host: &str) -> Watch {
        install();
        Watch { panics: self.clone(), what, host: host.to_owned() }
    }

    fn note(&self, text: String) {
        let mut told = lock(&self.0);
        if told.has_ended {
            // No test is to pass beside it, and its lab is no longer there to tell.
            eprintln!("netns-test: {text}, after its lab has ended");
            std::process::abort();
        }
        UNTOLD.fetch_add(1, Ordering::Relaxed);
        told.panics.push(text);
    }
}

impl Watch {
    /// Does the work, and notes a panic of it before that goes on.
    fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        let within = Within::enter();
        match catch_unwind(AssertUnwindSafe(work)) {
            Ok(value) => value,
            Err(payload) => {
                let message =
                    message(&*payload).map_or_else(String::new, |text| format!(": {text}"));
                let text = format!("host {}: {} has panicked{message}", self.host, self.what);
                self.panics.note(text);
                drop(within);
                resume_unwind(payload)
            }
        }
    }
}

/// What a panic says, if that is a text.
pub(crate) fn message(payload: &(dyn Any + Send)) -> Option<&str> {
    let text = payload.downcast_ref::<&'static str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
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
    /// What was under way has been noted, or caught.
    fn drop(&mut self) {
        OWN.set(self.before);
        // What this thread has counted itself, it sees.
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

/// Puts a hook before the one that there is, once for a process.
fn install() {
    static HOOK: Once = Once::new();
    // The standard library lets nobody change it then.
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
        return before(info);
    }
    under_way().printing.push(own);
    before(info);
    let mut under_way = under_way();
    if let Some(place) = under_way.printing.iter().position(|number| *number == own) {
        under_way.printing.swap_remove(place);
    }
    under_way.change(|unwinding| {
        // One that has been caught is there already.
        if !unwinding.contains(&own) {
            unwinding.push(own);
        }
    });
}

/// Waits for the panics that are under way, but for the calling thread's own; whether all hooks have ended.
fn wait_until_over() -> bool {
    let own = OWN.get();
    let others = |all: &[u64]| all.iter().any(|number| *number != own);
    let is_printing = |under_way: &mut UnderWay| others(&under_way.printing);
    let waited = CHANGED.wait_timeout_while(under_way(), LONGEST_HOOK, is_printing);
    let (under_way, end) = waited.unwrap_or_else(PoisonError::into_inner);
    if end.timed_out() {
        return false;
    }
    let is_unwinding = |under_way: &mut UnderWay| others(&under_way.unwinding);
    let waited = CHANGED.wait_timeout_while(under_way, LONGEST_UNWINDING, is_unwinding);
    // What is left has been caught. If it panics again, it is there again.
    let (mut under_way, _) = waited.unwrap_or_else(PoisonError::into_inner);
    under_way.change(|unwinding| unwinding.retain(|number| *number == own));
    true
}

fn under_way() -> MutexGuard<'static, UnderWay> {
    lock(&UNDER_WAY)
}

/// At the end of the process: a lab that was never dropped has not told of its panics.
extern "C" fn check() {
    let is_over = process::id() != OWNER.load(Ordering::Relaxed) || wait_until_over();
    let has_panicked = UNTOLD.load(Ordering::Relaxed) > 0;
    if has_panicked {
        eprintln!("netns-test: something has panicked on a host of a lab that was not dropped");
    } else if !is_over {
        eprintln!("netns-test: {NO_END}");
    }
    if has_panicked || !is_over {
        process::exit_now(101);
    }
}
