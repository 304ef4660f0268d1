//! Waits as a value with a time limit, and the thread on a node that looks for what is awaited.

use std::fmt;
use std::marker::PhantomData;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Failure, Result};
use crate::lab::observe::wait::mode::{Blocking, Nonblocking};
use crate::lab::run::node::{Here, Node};
use crate::lab::run::process::NodeChild;
use crate::lab::run::spawner::Common;
use crate::sys::errno;
use crate::sys::ns::ns_set::Place;

/// Limit for waits that need no other: ten seconds, which a loaded machine does not use up.
pub const WAIT_LIMIT: Duration = Duration::from_secs(10);

/// Waits for events on a node, or of a program on it, with a time limit. Each method is one event.
///
/// `Wait` comes from [`Node::wait`] or [`NodeChild::wait`]. Its methods block the calling thread and return a
/// [`Result`]. In an `async` test that would keep the tasks of the test from running, so
/// [`nonblocking`](Self::nonblocking) makes them return a future instead:
///
/// ```no_run
/// # async fn test(lab: netns_test::Lab, server: netns_test::NodeId) -> netns_test::Result<()> {
/// use std::time::Duration;
///
/// use netns_test::lab::WAIT_LIMIT;
///
/// lab[server].wait(WAIT_LIMIT).listening(80)?;
/// lab[server].wait(Duration::from_secs(60)).nonblocking().listening(443).await?;
/// # Ok(())
/// # }
/// ```
///
/// A wait ends early when the event cannot happen any more: the node is powered off, or the program has
/// ended. [`Error::is_timeout`](crate::Error::is_timeout) is true only of an error at the limit. Each error
/// lists what was there instead.
#[must_use = "only the methods of this value wait"]
pub struct Wait<'lab, T, M = Blocking> {
    pub(crate) of: &'lab T,
    pub(crate) limit: Duration,
    mode: PhantomData<fn() -> M>,
}

impl Node {
    /// Returns the waits for events on this node, which last `limit` at most: see [`Wait`].
    pub fn wait(&self, limit: Duration) -> Wait<'_, Self> {
        Wait { of: self, limit, mode: PhantomData }
    }
}

impl NodeChild {
    /// Returns the waits for this program, which last `limit` at most: see [`Wait`].
    ///
    /// Other than `std::process::Child::wait`, no wait closes the program's standard input. For a program
    /// that reads to the end of its input, `drop(child.stdin.take())` first.
    pub fn wait(&self, limit: Duration) -> Wait<'_, Self> {
        Wait { of: self, limit, mode: PhantomData }
    }
}

impl<'lab, T> Wait<'lab, T> {
    /// Returns the same waits as futures, which do not block the calling thread.
    pub fn nonblocking(self) -> Wait<'lab, T, Nonblocking> {
        Wait { of: self.of, limit: self.limit, mode: PhantomData }
    }
}

impl<T, M> Clone for Wait<'_, T, M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, M> Copy for Wait<'_, T, M> {}

impl<T: fmt::Debug, M> fmt::Debug for Wait<'_, T, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait").field("of", self.of).field("limit", &self.limit).finish()
    }
}

/// End of a wait: a time, or the moment when its result is no longer wanted.
#[derive(Clone, Debug)]
#[doc(hidden)]
pub struct Deadline {
    limit: Duration,
    /// Time of the end; none if it is too far away for an [`Instant`].
    at: Option<Instant>,
    is_stopped: Arc<AtomicBool>,
}

impl Deadline {
    pub(crate) fn new(limit: Duration) -> Self {
        let at = Instant::now().checked_add(limit);
        Self { limit, at, is_stopped: Arc::default() }
    }

    /// Returns the time that is left.
    pub(crate) fn left(&self) -> Duration {
        if self.is_stopped() {
            return Duration::ZERO;
        }
        self.at.map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now()))
    }

    pub(crate) fn is_over(&self) -> bool {
        self.left().is_zero()
    }

    /// Returns whether the deadline never comes.
    pub(crate) fn is_unlimited(&self) -> bool {
        self.at.is_none()
    }

    /// Ends the wait now, as nothing uses its result.
    pub(crate) fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed)
    }

    /// Calls `look` until it finds something, and returns none if the deadline comes first. The kernel
    /// reports no event for what is sought, so the calls are 1 ms apart, or as far as the last one took.
    pub(crate) fn poll<T>(&self, mut look: impl FnMut() -> Result<Option<T>>) -> Result<Option<T>> {
        loop {
            let (start, is_last) = (Instant::now(), self.is_over());
            let found = look()?;
            if found.is_some() || is_last {
                return Ok(found);
            }
            thread::sleep(start.elapsed().max(Duration::from_millis(1)).min(self.left()));
        }
    }
}

/// `within 10s`
impl fmt::Display for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "within {:?}", self.limit)
    }
}

/// The namespaces of a node, for a thread that looks at them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct There<'lab> {
    pub(crate) place: &'lab Place,
    pub(crate) host: &'lab str,
}

impl<'lab> There<'lab> {
    pub(crate) fn on(here: &'lab Here, host: &'lab Node) -> Self {
        Self { place: &here.place, host: host.name() }
    }

    /// Calls `work` on a new thread in these namespaces.
    pub(crate) fn run<T: Send>(self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let failed = |step, what: &str, error: std::io::Error| {
            errno::failure(step, format!("{what} {}", self.host), &error)
        };
        let start = || {
            self.place.enter().map_err(|error| failed("setns", "to", error))?;
            work()
        };
        let ended = thread::scope(|scope| {
            let builder = thread::Builder::new().name(self.host.to_owned());
            let thread = builder.spawn_scoped(scope, start);
            Ok::<_, Failure>(thread.map_err(|error| failed("start", "a thread for", error))?.join())
        })?;
        ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Common {
    /// Returns the name of the node that has an address, by the lab's hosts file.
    pub(crate) fn name_of(&self, address: IpAddr) -> Option<String> {
        self.entries().into_iter().find(|(own, _)| *own == address).map(|(_, name)| name)
    }

    /// Returns the addresses of all nodes, each with a name.
    pub(crate) fn entries(&self) -> Vec<(IpAddr, String)> {
        let names = self.names();
        let entries = names.lines().filter_map(|line| {
            let (address, name) = line.split_once('\t')?;
            Some((address.parse().ok()?, name.to_owned()))
        });
        entries.collect()
    }
}
