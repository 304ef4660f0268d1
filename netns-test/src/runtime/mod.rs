//! The tokio runtime of an `async fn` body.

#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod build;

use std::future::Future;

use tokio::runtime::Builder;

/// Which scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavor {
    /// All tasks on the test's thread.
    CurrentThread,
    /// Tasks on worker threads.
    MultiThread,
}

/// The runtime to build, as `#[tokio::test]` would.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Runtime {
    /// Which scheduler.
    pub flavor: Flavor,
    /// Threads of a multi-thread runtime; none: as many as there are cores.
    pub worker_threads: Option<usize>,
    /// Whether tokio's clock stands still at the start.
    pub start_paused: bool,
}

/// Runs `body` to its end.
///
/// # Panics
///
/// Panics if the runtime cannot be built, so that the test is told not to have started,
/// and when `body` does.
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

/// The failure is raised as it is: the harness knows it from the panic of a body, so a `#[should_panic]`
/// test does not pass by it.
#[cfg(all(target_os = "linux", not(miri)))]
fn run<T>(builder: &mut Builder, body: impl Future<Output = T>) -> T {
    use crate::harness;
    use crate::harness::child::stage;
    use crate::harness::protocol::stage::Stage;

    let is_first = !stage::has_begun();
    if is_first {
        stage::reach(Stage::Runtime);
    }
    let built = harness::insist_on_threads(|| build::build(builder, || {}));
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

/// A runtime, which is not ended on the thread of the test's function: the calls that this takes may be
/// refused there by a seccomp filter of the test.
#[cfg(all(target_os = "linux", not(miri)))]
struct Own {
    runtime: Option<Box<tokio::runtime::Runtime>>,
    /// Not one that a test makes in the body of another.
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
