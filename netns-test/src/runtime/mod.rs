//! The tokio runtime of an `async fn` test.

#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod build;
#[cfg(all(target_os = "linux", not(miri)))]
mod interception;

use std::future::Future;

use tokio::runtime::Builder;

/// Scheduler of a runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavor {
    /// All tasks run on the test's thread.
    CurrentThread,
    /// Tasks run on worker threads.
    MultiThread,
}

/// Properties of the runtime, as those of `#[tokio::test]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Runtime {
    /// Scheduler.
    pub flavor: Flavor,
    /// Number of threads of a multi-thread runtime; `None` for one each processor.
    pub worker_threads: Option<usize>,
    /// Whether tokio's clock is paused at the start.
    pub start_paused: bool,
}

/// Runs `body` to its end.
///
/// # Panics
///
/// Panics if the runtime cannot be built, so that the test is reported as not started, and when
/// `body` does.
pub fn block_on<T>(runtime: Runtime, body: impl Future<Output = T>) -> T {
    let mut builder = match runtime.flavor {
        Flavor::CurrentThread => Builder::new_current_thread(),
        Flavor::MultiThread => Builder::new_multi_thread(),
    };
    if let Some(threads) = runtime.worker_threads {
        builder.worker_threads(threads);
    }
    builder.enable_all();
    builder.start_paused(runtime.start_paused);
    run(&mut builder, body)
}

/// Builds the runtime and runs `body`. Raises a failure as a panic value of its own type: the
/// harness does not take it for a panic of the test, which would pass a `#[should_panic]` test.
#[cfg(all(target_os = "linux", not(miri)))]
fn run<T>(builder: &mut Builder, body: impl Future<Output = T>) -> T {
    use crate::harness;
    use crate::harness::child::stage;
    use crate::harness::protocol::stage::Stage;

    let is_first = !stage::has_begun();
    if is_first {
        stage::reach(Stage::Runtime);
    }
    let built = harness::retry_threads(|| build::build(builder, || {}));
    let runtime = built.unwrap_or_else(|error| {
        let failure = crate::diagnose::explain("build", "the test's tokio runtime", &error);
        std::panic::resume_unwind(Box::new(failure))
    });
    let own = Own { runtime: Some(Box::new(runtime)), is_first };
    let runtime = own.runtime.as_deref().expect("it is there until the drop");
    runtime.block_on(async {
        harness::begin();
        body.await
    })
}

/// Runtime that is shut down by another thread than the test's: a seccomp filter of the test may
/// refuse the system calls for it.
#[cfg(all(target_os = "linux", not(miri)))]
struct Own {
    runtime: Option<Box<tokio::runtime::Runtime>>,
    /// Whether this is the runtime of the body's own test, and not of one that the body calls.
    is_first: bool,
}

#[cfg(all(target_os = "linux", not(miri)))]
impl Drop for Own {
    fn drop(&mut self) {
        if let (Some(runtime), true) = (self.runtime.take(), self.is_first) {
            crate::harness::leave(runtime);
        }
    }
}

#[cfg(not(all(target_os = "linux", not(miri))))]
fn run<T>(builder: &mut Builder, body: impl Future<Output = T>) -> T {
    let runtime = builder.build();
    runtime
        .unwrap_or_else(|error| panic!("tokio's runtime cannot be built: {error}"))
        .block_on(body)
}
