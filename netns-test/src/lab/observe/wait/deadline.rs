//! Deadline of a wait, on a thread that may be stopped earlier.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Kind, Result};
use crate::lab::run::panics::Panics;

/// Limit of a wait that has not begun.
#[derive(Clone, Debug)]
#[doc(hidden)]
pub struct Limit {
    limit: Duration,
    panics: Panics,
}

impl Limit {
    /// Returns a limit of time. A panic on a node ends the wait earlier.
    pub(crate) fn new(limit: Duration, panics: &Panics) -> Self {
        Self { limit, panics: panics.clone() }
    }

    /// Begins the wait.
    pub(crate) fn begin(self) -> Deadline {
        Deadline { panics: Some(self.panics), ..Deadline::new(self.limit) }
    }
}

/// End of a wait: a time, or the moment when its result is no longer wanted, or when a node has
/// panicked.
#[derive(Clone, Debug)]
#[doc(hidden)]
pub struct Deadline {
    limit: Duration,
    /// Time of the end; none if it is too far away for an [`Instant`].
    at: Option<Instant>,
    is_stopped: Arc<AtomicBool>,
    /// Panics of the lab, after which the event is not expected any more.
    panics: Option<Panics>,
}

impl Deadline {
    pub(crate) fn new(limit: Duration) -> Self {
        let at = Instant::now().checked_add(limit);
        Self { limit, at, is_stopped: Arc::default(), panics: None }
    }

    /// Returns the time that is left.
    pub(crate) fn left(&self) -> Duration {
        if self.is_stopped() || self.panic().is_some() {
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

    /// Returns the first panic on a node.
    fn panic(&self) -> Option<String> {
        self.panics.as_ref()?.first()
    }

    /// Returns the kind of the error at the end.
    pub(crate) fn kind(&self) -> Kind {
        if self.panic().is_some() { Kind::Other } else { Kind::Timeout }
    }

    /// Calls `look` until it finds something, and returns none if the deadline comes first. The
    /// kernel reports no event for what is sought, so the calls are 1 ms apart, or as far as the
    /// last one took.
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

/// Prints `within 10s`, or `so far: node server: a task has panicked: …`.
impl fmt::Display for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.panic() {
            Some(panic) => write!(f, "so far: {panic}"),
            None => write!(f, "within {:?}", self.limit),
        }
    }
}
