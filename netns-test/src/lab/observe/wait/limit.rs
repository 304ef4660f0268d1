//! Waits as a value with a time limit.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use crate::lab::observe::wait::mode::{Blocking, Nonblocking};
use crate::lab::run::node::Node;
use crate::lab::run::programs::process::NodeChild;

/// Limit for waits that need no other: ten seconds, which a loaded machine does not use up.
pub const WAIT_LIMIT: Duration = Duration::from_secs(10);

/// Waits for events on a node, or of a program on it, with a time limit. Each method is one event.
///
/// `Wait` comes from [`Node::wait`] or [`NodeChild::wait`]. Its methods block the calling thread
/// and return a [`Result`]. In an `async` test that would keep the tasks of the test from running,
/// so [`nonblocking`](Self::nonblocking) makes them return a future instead:
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
/// A wait ends early when the event cannot happen any more: the node is powered off, or the program
/// has ended. [`Error::is_timeout`](crate::Error::is_timeout) is true only of an error at the
/// limit. Each error lists what was there instead.
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
    /// Other than `std::process::Child::wait`, no wait closes the program's standard input. For a
    /// program that reads to the end of its input, `drop(child.stdin.take())` first.
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
