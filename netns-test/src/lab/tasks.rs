//! Futures on a host: a runtime whose threads all live there.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

use super::host::{self, Host};
use crate::sys::place::Place;
use crate::sys::process;

/// A host's runtime, which is made when it is first wanted.
#[derive(Debug)]
pub(super) struct Tasks {
    /// Taken when the lab ends.
    runtime: Mutex<Option<Runtime>>,
    handle: Handle,
    /// The process whose threads they are.
    owner: process::Pid,
}

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

/// Notes a panic if it is dropped by one.
pub(super) struct Watch {
    panics: Panics,
    what: &'static str,
    host: String,
}

impl Host {
    /// Starts a task on the host's own runtime, whose worker threads and blocking threads live on
    /// the host. A panic of it is told by its handle, and again when the lab is dropped, which
    /// panics then.
    ///
    /// It ends with the lab, or when the host is powered off, at its next `.await`.
    ///
    /// # Panics
    ///
    /// Where the runtime cannot be built, or the host is powered off.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let watch = self.panics.watch("a task", self.name());
        self.runtime().spawn(async move {
            let output = future.await;
            drop(watch);
            output
        })
    }

    /// Runs a future on the host to its end. The calling thread waits.
    ///
    /// # Panics
    ///
    /// As [`run`](Self::run), and where the runtime cannot be built.
    pub fn block_on<F: Future<Output: Send> + Send>(&self, future: F) -> F::Output {
        let runtime = self.runtime();
        self.run(|| runtime.block_on(future))
    }

    fn runtime(&self) -> Handle {
        let here = self.on();
        here.tasks.get_or_init(|| Tasks::new(&here.place, self.name())).handle.clone()
    }
}

impl Tasks {
    fn new(place: &Place, name: &str) -> Self {
        let give_up = |error: std::io::Error| -> ! {
            panic!("host {name}: its runtime cannot be built: {error}")
        };
        let place = place.try_clone().unwrap_or_else(|error| give_up(error));
        let name = name.to_owned();
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .thread_name(&name)
            .on_thread_start(move || host::go(&place, &name))
            .build();
        let runtime = runtime.unwrap_or_else(|error| give_up(error));
        let handle = runtime.handle().clone();
        Self { runtime: Mutex::new(Some(runtime)), handle, owner: process::id() }
    }

    /// Ends its tasks, and waits for none of them.
    pub(super) fn end(&self) {
        let runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner).take();
        if process::id() != self.owner {
            // A fork has none of its threads, which may have held its locks.
            std::mem::forget(runtime);
            return;
        }
        if let Some(runtime) = runtime {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.end();
    }
}

impl Panics {
    /// To be dropped when `what` has come to its end.
    pub(super) fn watch(&self, what: &'static str, host: &str) -> Watch {
        Watch { panics: self.clone(), what, host: host.to_owned() }
    }

    /// All there are. What panics from now on ends the process.
    pub(super) fn take(&self) -> Vec<String> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.has_ended = true;
        UNTOLD.fetch_sub(told.panics.len(), Ordering::Relaxed);
        std::mem::take(&mut told.panics)
    }

    fn note(&self, text: String) {
        static AT_EXIT: Once = Once::new();
        AT_EXIT.call_once(|| process::at_exit(check));
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

/// At the end of the process: a lab that was never dropped has not told of its panics.
extern "C" fn check() {
    if UNTOLD.load(Ordering::Relaxed) > 0 {
        eprintln!("netns-test: something has panicked on a host of a lab that was not dropped");
        process::exit_now(101);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let told = format!("host {}: {} has panicked", self.host, self.what);
            self.panics.note(told);
        }
    }
}
