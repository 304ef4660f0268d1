//! Calls that block a tokio runtime while they wait for one of its tasks, as in an `async` test on
//! one thread: the task never runs. The error of such a call says so. A call without a limit says
//! so on stderr.

use std::fmt::Display;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use crate::error::{Failure, Result};
use crate::sys::lock::{lock, wait_while};

/// Time after which a call without a limit examines the runtime.
const LATE: Duration = Duration::from_secs(1);

/// Time that a runnable task may take to run on a busy machine.
const GRACE: Duration = Duration::from_secs(1);

/// Shortest wait that can have failed because the runtime was blocked.
const SHORTEST: Duration = Duration::from_millis(50);

const RUNTIME: &str = "the calling thread is one of a tokio runtime that runs no task meanwhile: the call \
    blocks it";

const WORKER: &str = "the calling thread is a worker of a tokio runtime: a task that it has started may \
    wait until the call comes back";

const ADVICE: &str = "call it in `tokio::task::spawn_blocking`, or start what it waits for on a node: \
    `lab[node].spawn(…)`; `flavor = \"multi_thread\"` runs a test on more threads";

/// Calls `wait`, which has a time limit, and adds the cause to its error if it has blocked a
/// runtime.
pub(crate) fn explained<T>(wait: impl FnOnce() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    wait().map_err(|error| match Handle::try_current() {
        Ok(handle) if start.elapsed() >= SHORTEST => match cause(&handle) {
            Some(cause) => Failure::from(error).advise(cause).advise(ADVICE).into(),
            None => error,
        },
        _ => error,
    })
}

/// Waits until the other end of the channel is dropped. Reports `call` on stderr if that is late
/// since the calling thread blocks a runtime.
pub(crate) fn wait_for(end: &Receiver<()>, call: impl Display) {
    if let Ok(handle) = Handle::try_current() {
        watch(&handle, end, call);
    }
}

/// Calls `work`, which has no limit. Reports `call` on stderr if it blocks a runtime.
pub(crate) fn watched<T>(call: impl Display + Send, work: impl FnOnce() -> T) -> T {
    let Ok(handle) = Handle::try_current() else { return work() };
    thread::scope(|scope| {
        let (over, end) = mpsc::channel();
        let watcher = thread::Builder::new().name("lab watcher".into());
        // If the thread is refused, only the report is missing.
        drop(watcher.spawn_scoped(scope, move || watch(&handle, &end, call)));
        let value = work();
        drop(over);
        value
    })
}

fn watch(handle: &Handle, end: &Receiver<()>, call: impl Display) {
    let is_late = |limit| end.recv_timeout(limit) == Err(RecvTimeoutError::Timeout);
    if is_late(LATE) {
        let cause = cause(handle);
        if let Some(cause) = cause.filter(|_| is_late(Duration::ZERO)) {
            eprintln!("netns-test: {call} does not come back: {cause}; {ADVICE}");
        }
    }
}

/// Returns which tasks the runtime does not run while the calling thread is blocked, or none if it
/// runs all.
fn cause(handle: &Handle) -> Option<&'static str> {
    // A worker keeps the task that it has spawned last for itself (tokio's LIFO slot).
    let own = Probe::on(handle);
    let other = thread::scope(|scope| {
        let starter = thread::Builder::new().spawn_scoped(scope, || Probe::on(handle));
        starter.ok()?.join().ok()
    })?;
    let deadline = Instant::now() + GRACE;
    if !other.runs_until(deadline) {
        Some(RUNTIME)
    } else if !own.runs_until(deadline) {
        Some(WORKER)
    } else {
        None
    }
}

/// Task that does nothing, to find out whether the runtime runs it.
struct Probe(Arc<Run>);

/// State of the task: whether it has run, or was dropped by a runtime that ends.
#[derive(Default)]
struct Run {
    is_over: Mutex<bool>,
    changed: Condvar,
}

struct Task(Arc<Run>);

impl Drop for Task {
    fn drop(&mut self) {
        *lock(&self.0.is_over) = true;
        self.0.changed.notify_all();
    }
}

impl Probe {
    fn on(handle: &Handle) -> Self {
        let run = Arc::new(Run::default());
        let task = Task(Arc::clone(&run));
        drop(handle.spawn(async move { drop(task) }));
        Self(run)
    }

    fn runs_until(&self, deadline: Instant) -> bool {
        let limit = deadline.saturating_duration_since(Instant::now());
        let is_over = lock(&self.0.is_over);
        *wait_while(&self.0.changed, is_over, limit, |is_over| !*is_over).0
    }
}
