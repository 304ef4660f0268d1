//! Panics on the hosts of a lab: none is lost, whether or not anybody joins what has panicked.
//!
//! A panic is known when it unwinds what is watched. Before that the panic hook prints, for a tenth of a
//! second and more with `RUST_BACKTRACE=1`, and the test may come to its end meanwhile. So a hook notes
//! the panics that are under way, and the end of a lab, and of the process, waits for these.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::{self, PanicHookInfo};
use std::pin::pin;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Once, PoisonError};
use std::thread;
use std::time::Duration;

use crate::sys::process;

/// For a hook that does not end.
const LONGEST_HOOK: Duration = Duration::from_secs(60);

/// For the destructors between a hook and the end of what is watched. A panic that is there after that
/// has been caught, which nothing tells.
const LONGEST_UNWINDING: Duration = Duration::from_secs(1);

/// What has panicked on the hosts of a lab, in words.
#[derive(Clone, Debug, Default)]
pub(super) struct Panics(Arc<Mutex<Told>>);

#[derive(Debug, Default)]
struct Told {
    panics: Vec<String>,
    /// Whether the lab has ended: nobody asks any more.
    has_ended: bool,
}

/// How many panics no lab has told of yet.
static UNTOLD: AtomicUsize = AtomicUsize::new(0);

/// The watched threads and tasks of this process that panic now.
static UNDER_WAY: Mutex<UnderWay> = Mutex::new(UnderWay { printing: 0, unwinding: 0 });

static CHANGED: Condvar = Condvar::new();

/// The process whose threads are meant, and not a fork of it.
static OWNER: AtomicI32 = AtomicI32::new(0);

#[derive(Debug)]
struct UnderWay {
    printing: usize,
    unwinding: usize,
}

/// What the calling thread does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Doing {
    /// Nothing that is watched.
    Other,
    Watched,
    /// The hook has been called for it.
    Panicking,
}

thread_local! {
    static DOING: Cell<Doing> = const { Cell::new(Doing::Other) };
    /// What it last panicked with.
    static MESSAGE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Notes a panic if it is dropped by one.
struct Watch {
    panics: Panics,
    what: &'static str,
    host: String,
}

/// The calling thread does what is watched.
struct Within;

impl Panics {
    /// Work that is watched, for a thread of that host.
    pub(super) fn of_thread<T, W: FnOnce() -> T>(
        &self,
        host: &str,
        work: W,
    ) -> impl FnOnce() -> T + use<T, W> {
        let watch = self.watch("a thread", host);
        move || {
            let watch = watch;
            let within = Within::enter();
            let value = work();
            drop((within, watch));
            value
        }
    }

    /// A future that is watched, for a task of that host.
    pub(super) fn of_task<F: Future>(
        &self,
        host: &str,
        task: F,
    ) -> impl Future<Output = F::Output> + use<F> {
        let watch = self.watch("a task", host);
        async move {
            let mut task = pin!(task);
            let output = std::future::poll_fn(|context| {
                let within = Within::enter();
                let polled = task.as_mut().poll(context);
                drop(within);
                polled
            });
            let output = output.await;
            drop(watch);
            output
        }
    }

    /// All there are, with those that are under way. What panics from now on ends the process.
    pub(super) fn take(&self) -> Vec<String> {
        let is_over = thread::panicking() || wait_until_over();
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.has_ended = true;
        UNTOLD.fetch_sub(told.panics.len(), Ordering::Relaxed);
        let mut panics = std::mem::take(&mut told.panics);
        if !is_over {
            panics.push("the panic hook of something on a host does not end".to_owned());
        }
        panics
    }

    fn watch(&self, what: &'static str, host: &str) -> Watch {
        install();
        Watch { panics: self.clone(), what, host: host.to_owned() }
    }

    fn note(&self, text: String) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.has_ended {
            // No test is to pass beside it, and its lab is no longer there to tell.
            eprintln!("netns-test: {text}, after its lab has ended");
            std::process::abort();
        }
        UNTOLD.fetch_add(1, Ordering::Relaxed);
        told.panics.push(text);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if thread::panicking() {
            let message = MESSAGE.try_with(RefCell::take).ok().flatten();
            let message = message.map_or_else(String::new, |message| format!(": {message}"));
            self.panics.note(format!("host {}: {} has panicked{message}", self.host, self.what));
            Within::leave();
        }
    }
}

impl Within {
    fn enter() -> Self {
        DOING.set(Doing::Watched);
        Self
    }

    /// What was under way has ended, or been caught.
    fn leave() {
        if DOING.replace(Doing::Other) == Doing::Panicking {
            let mut under_way = under_way();
            // The end of a lab may have taken it for caught.
            under_way.unwinding = under_way.unwinding.saturating_sub(1);
            CHANGED.notify_all();
        }
    }
}

impl Drop for Within {
    fn drop(&mut self) {
        // Otherwise it is over when it has been noted.
        if !thread::panicking() {
            Self::leave();
        }
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
    if DOING.get() == Doing::Other {
        return before(info);
    }
    let is_first = DOING.replace(Doing::Panicking) == Doing::Watched;
    let message = info.payload().downcast_ref::<String>().cloned();
    let message =
        message.or_else(|| info.payload().downcast_ref::<&str>().map(|text| (*text).to_owned()));
    // Without it the host is told all the same.
    let _at_the_end_of_the_thread = MESSAGE.try_with(|last| last.replace(message));
    under_way().printing += 1;
    before(info);
    let mut under_way = under_way();
    under_way.printing -= 1;
    // One that has been caught counts already.
    under_way.unwinding += usize::from(is_first);
    CHANGED.notify_all();
}

/// Waits for the panics that are under way; whether all hooks have ended.
fn wait_until_over() -> bool {
    let is_one = |under_way: &mut UnderWay| under_way.printing > 0;
    let waited = CHANGED.wait_timeout_while(under_way(), LONGEST_HOOK, is_one);
    let (under_way, end) = waited.unwrap_or_else(PoisonError::into_inner);
    if end.timed_out() {
        return false;
    }
    let is_one = |under_way: &mut UnderWay| under_way.unwinding > 0;
    let waited = CHANGED.wait_timeout_while(under_way, LONGEST_UNWINDING, is_one);
    waited.unwrap_or_else(PoisonError::into_inner).0.unwinding = 0;
    true
}

fn under_way() -> MutexGuard<'static, UnderWay> {
    UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// At the end of the process: a lab that was never dropped has not told of its panics.
extern "C" fn check() {
    let is_over = process::id() != OWNER.load(Ordering::Relaxed) || wait_until_over();
    if !is_over || UNTOLD.load(Ordering::Relaxed) > 0 {
        eprintln!("netns-test: something has panicked on a host of a lab that was not dropped");
        process::exit_now(101);
    }
}
