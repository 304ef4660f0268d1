//! Builds tokio runtimes, and returns an error where tokio panics or hangs.
//!
//! If a worker thread cannot be started, `Builder::build` panics, and a destructor then waits for
//! the workers that were started, which wait for work. Older versions of tokio go on with too few
//! workers. So each worker waits at a [`Gate`] until all have started, and ends there if one is
//! missing.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime, RuntimeFlavor};

use crate::harness::child::panic_hook;
use crate::runtime::interception;
use crate::sys::{errno, lock};

/// Time that a started worker may take to its first instruction.
const LATEST: Duration = Duration::from_secs(5);

/// Builds the runtime that `builder` describes. Each of its threads calls `on_start` first.
pub(crate) fn build(
    builder: &mut Builder,
    on_start: impl Fn() + Send + Sync + 'static,
) -> io::Result<Runtime> {
    let gate = Arc::new(Gate::default());
    let (at_gate, closer) = (Arc::clone(&gate), Arc::clone(&gate));
    builder.on_thread_start(move || at_gate.pass(&on_start));
    let interception = interception::intercept(Box::new(move |_| closer.close(None)));
    let built = catch_unwind(AssertUnwindSafe(|| builder.build()));
    drop(interception);
    match built {
        Ok(Ok(runtime)) => gate.open(runtime),
        Ok(Err(error)) => Err(error),
        Err(panic) => Err(panic_hook::error_of(&panic_hook::message(&*panic))),
    }
}

/// Barrier at which the threads of a runtime wait until all of its workers have started.
#[derive(Debug, Default)]
struct Gate {
    is_open: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Number of threads that have arrived.
    came: usize,
    is_open: bool,
    /// Whether the build has failed, so that the threads must end.
    is_closed: bool,
    /// Panic message of a thread whose `on_start` has failed.
    refusal: Option<String>,
}

/// Panic payload that ends a thread of a failed build.
struct NoRuntime;

impl Gate {
    /// Waits at the gate. Called by each thread of the runtime at its start.
    fn pass(&self, on_start: impl Fn()) {
        if self.is_open.load(Ordering::Acquire) {
            return on_start();
        }
        let started = catch_unwind(AssertUnwindSafe(on_start));
        if let Err(panic) = started {
            self.close(Some(panic_hook::message(&*panic)));
            resume_unwind(panic);
        }
        let mut state = self.state();
        state.came += 1;
        self.changed.notify_all();
        while !state.is_open && !state.is_closed {
            state = lock::wait(&self.changed, state);
        }
        if state.is_closed {
            drop(state);
            resume_unwind(Box::new(NoRuntime));
        }
    }

    /// Makes the threads end.
    fn close(&self, refusal: Option<String>) {
        let mut state = self.state();
        state.is_closed = true;
        state.refusal = state.refusal.take().or(refusal);
        self.changed.notify_all();
    }

    /// Lets the workers go on when all have arrived.
    fn open(&self, runtime: Runtime) -> io::Result<Runtime> {
        let workers = match runtime.handle().runtime_flavor() {
            RuntimeFlavor::CurrentThread => 0,
            _ => runtime.metrics().num_workers(),
        };
        let are_missing = |state: &mut State| state.came < workers && !state.is_closed;
        let (mut state, _) = lock::wait_while(&self.changed, self.state(), LATEST, are_missing);
        if state.came >= workers && !state.is_closed {
            state.is_open = true;
            self.is_open.store(true, Ordering::Release);
            self.changed.notify_all();
            return Ok(runtime);
        }
        let refusal = state.refusal.take();
        drop(state);
        self.close(None);
        runtime.shutdown_background();
        Err(match refusal {
            Some(refusal) => panic_hook::error_of(&refusal),
            None => errno::too_many_threads(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock::lock(&self.state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_cannot_start_is_an_error_and_no_wait() {
        let mut builder = Builder::new_multi_thread();
        let count = Arc::new(Mutex::new(0));
        let counted = Arc::clone(&count);
        let result = build(builder.worker_threads(4), move || {
            let mut count = lock::lock(&counted);
            *count += 1;
            assert!(*count < 3, "the third (os error {})", errno::EAGAIN);
        });
        assert_eq!(result.unwrap_err().raw_os_error(), Some(errno::EAGAIN));
        let runtime = build(&mut builder, || {}).unwrap();
        assert_eq!(runtime.metrics().num_workers(), 4);
        runtime.block_on(async { tokio::task::spawn_blocking(|| {}).await }).unwrap();
        let mut builder = Builder::new_current_thread();
        build(&mut builder, || {}).unwrap();
    }

    /// No address space holds a stack of this size.
    #[test]
    fn a_thread_that_the_system_refuses_is_an_error_and_no_panic() {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(3).thread_stack_size(usize::MAX / 4);
        let error = build(&mut builder, || {}).unwrap_err();
        assert!(error.raw_os_error().is_some(), "{error:?}");
    }
}
