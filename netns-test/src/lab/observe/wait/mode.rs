//! The two ways to wait: on the calling thread, or in a future.
//!
//! Each wait is written once, as a future of steps that block. [`Blocking`] runs the steps in
//! place, so that one poll completes the future. [`Nonblocking`] runs each step on a thread of its
//! own.

use std::any::Any;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{self, AssertUnwindSafe, Location};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::thread;

use tokio::runtime::Handle;

use crate::diagnose;
use crate::error::{Error, Failure, Result};
use crate::lab::observe::wait::deadline::{Deadline, Limit};
use crate::lab::run::blocked;
use crate::sys::lock::lock;

/// Way to wait: [`Blocking`] or [`Nonblocking`].
pub trait WaitMode: sealed::Sealed + Sized + 'static {
    /// Value that a method of [`Wait`](super::limit::Wait) returns.
    type Output<'lab, T: 'lab>;

    /// Makes a wait of a function that returns its future. Errors get the place `at`.
    #[doc(hidden)]
    fn start<'lab, T: 'lab, F: Future<Output = Result<T>> + Send + 'lab>(
        at: &'static Location<'static>,
        limit: Limit,
        wait: impl FnOnce(Deadline) -> F + Send + 'lab,
    ) -> Self::Output<'lab, T>;

    /// Runs one part of a wait, which blocks the thread that it runs on.
    #[doc(hidden)]
    fn step<T: Send + 'static>(
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> impl Future<Output = Result<T>> + Send;
}

mod sealed {
    pub trait Sealed {}
}

/// Waits on the calling thread. The methods return a [`Result`].
#[derive(Clone, Copy, Debug)]
pub enum Blocking {}

/// Waits in a future. The methods return a [`Waiting`], and other tasks of the runtime go on.
#[derive(Clone, Copy, Debug)]
pub enum Nonblocking {}

impl sealed::Sealed for Blocking {}
impl sealed::Sealed for Nonblocking {}

/// Future of a wait. The wait, and its limit, begin when the future is first polled.
///
/// The future runs on any executor. Within a tokio runtime the wait uses a thread of the runtime's
/// blocking pool, elsewhere a new thread. When the future is dropped, that thread stops waiting
/// within 100 ms.
#[must_use = "a future waits only while it is polled"]
pub struct Waiting<'lab, T>(Pin<Box<dyn Future<Output = Result<T>> + Send + 'lab>>);

impl WaitMode for Blocking {
    type Output<'lab, T: 'lab> = Result<T>;

    fn start<'lab, T: 'lab, F: Future<Output = Result<T>> + Send + 'lab>(
        at: &'static Location<'static>,
        limit: Limit,
        wait: impl FnOnce(Deadline) -> F + Send + 'lab,
    ) -> Result<T> {
        let complete = || {
            let mut context = Context::from_waker(Waker::noop());
            match pin!(wait(limit.begin())).poll(&mut context) {
                Poll::Ready(ended) => ended,
                Poll::Pending => unreachable!("a step that blocks is complete when it is polled"),
            }
        };
        blocked::explained(complete).map_err(|error| error.at(at))
    }

    async fn step<T: Send + 'static>(
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        work()
    }
}

impl WaitMode for Nonblocking {
    type Output<'lab, T: 'lab> = Waiting<'lab, T>;

    fn start<'lab, T: 'lab, F: Future<Output = Result<T>> + Send + 'lab>(
        at: &'static Location<'static>,
        limit: Limit,
        wait: impl FnOnce(Deadline) -> F + Send + 'lab,
    ) -> Waiting<'lab, T> {
        Waiting(Box::pin(async move {
            let deadline = limit.begin();
            let _stop = StopOnDrop(deadline.clone());
            wait(deadline).await.map_err(|error| error.at(at))
        }))
    }

    async fn step<T: Send + 'static>(
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let slot = Arc::new(Slot::default());
        let sender = Sender(Arc::clone(&slot));
        start_thread(move || sender.send(panic::catch_unwind(AssertUnwindSafe(work))))?;
        match poll_fn(|context| slot.poll(context)).await {
            Some(Ok(ended)) => ended,
            Some(Err(panic)) => panic::resume_unwind(panic),
            None => Err(Failure::new("wait for", "a step", "its tokio runtime has ended").into()),
        }
    }
}

impl<T> Future for Waiting<'_, T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        self.0.as_mut().poll(context)
    }
}

impl<T> fmt::Debug for Waiting<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").finish_non_exhaustive()
    }
}

/// Makes the thread of a wait stop when the future is gone.
struct StopOnDrop(Deadline);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Result of a step on another thread.
struct Slot<T>(Mutex<State<T>>);

enum State<T> {
    Open(Option<Waker>),
    Ended(Option<Outcome<T>>),
}

/// Result of a step, or its panic.
type Outcome<T> = Result<Result<T>, Box<dyn Any + Send>>;

/// Writing end of a [`Slot`]. Dropped without a result, it reports that there is none.
struct Sender<T>(Arc<Slot<T>>);

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self(Mutex::new(State::Open(None)))
    }
}

impl<T> Slot<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        lock(&self.0)
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<Option<Outcome<T>>> {
        match &mut *self.lock() {
            State::Ended(outcome) => Poll::Ready(outcome.take()),
            State::Open(waker) => {
                *waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    fn end(&self, outcome: Option<Outcome<T>>) {
        let mut state = self.lock();
        if let State::Open(waker) = &mut *state {
            let waker = waker.take();
            *state = State::Ended(outcome);
            drop(state);
            waker.into_iter().for_each(Waker::wake);
        }
    }
}

impl<T> Sender<T> {
    fn send(self, outcome: Outcome<T>) {
        self.0.end(Some(outcome));
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.end(None);
    }
}

/// Runs `work` on a thread that may block. A thread of tokio's blocking pool keeps a paused clock
/// from advancing.
fn start_thread(work: impl FnOnce() + Send + 'static) -> Result<()> {
    if let Ok(runtime) = Handle::try_current() {
        drop(runtime.spawn_blocking(work));
        return Ok(());
    }
    let started = thread::Builder::new().name("lab wait".into()).spawn(work).map(drop);
    started.map_err(|error| Error::from(diagnose::explain("start", "a thread for a wait", &error)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::lab::run::panics::Panics;

    const LIMIT: Duration = Duration::from_secs(10);

    fn limit(limit: Duration) -> Limit {
        Limit::new(limit, &Panics::default())
    }

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    fn wait<M: WaitMode>() -> M::Output<'static, usize> {
        M::start(Location::caller(), limit(LIMIT), |_| async {
            let first = M::step(|| Ok(1)).await?;
            M::step(move || Ok(first + 1)).await
        })
    }

    #[test]
    fn each_mode_runs_the_steps_of_a_wait_in_order() {
        assert_eq!(wait::<Blocking>().unwrap(), 2);
        assert_eq!(block_on(wait::<Nonblocking>()).unwrap(), 2);
    }

    #[test]
    fn a_dropped_future_stops_its_wait() {
        let (sender, receiver) = std::sync::mpsc::channel();
        let wait = |deadline: Deadline| {
            Nonblocking::step(move || {
                while !deadline.is_over() {
                    thread::yield_now();
                }
                sender.send(deadline.is_stopped()).map_err(|_| unreachable!())
            })
        };
        let waiting = Nonblocking::start(Location::caller(), limit(Duration::MAX), wait);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut waiting = waiting;
            poll_fn(|context| {
                assert!(Pin::new(&mut waiting).poll(context).is_pending());
                Poll::Ready(())
            })
            .await;
        });
        assert!(receiver.recv_timeout(LIMIT).unwrap());
    }

    #[test]
    fn a_panic_of_a_step_is_a_panic_of_the_future() {
        let step = || Nonblocking::step(|| -> Result<()> { panic!("of a step") });
        let ended = panic::catch_unwind(|| block_on(step()));
        assert_eq!(ended.unwrap_err().downcast_ref(), Some(&"of a step"));
    }

    #[test]
    fn a_step_that_no_thread_runs_is_an_error() {
        let slot = Arc::new(Slot::<()>::default());
        drop(Sender(Arc::clone(&slot)));
        assert!(block_on(poll_fn(|context| slot.poll(context))).is_none());
    }
}
