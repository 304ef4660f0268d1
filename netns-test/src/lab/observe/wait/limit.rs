//! How long a wait lasts at most.

use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Failure, Result};
use crate::lab::fabric::node::Here;
use crate::lab::run::blocked;
use crate::lab::run::node::Node;
use crate::lab::run::spawner::Common;
use crate::sys::errno;
use crate::sys::ns::ns_set::Place;

/// How long a wait lasts unless [`Node::within`] or [`NodeChild::within`](super::NodeChild::within)
/// says otherwise.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A host, or a program on one, with the time that a wait for something there may take.
#[must_use = "it waits for nothing by itself"]
#[derive(Debug)]
pub struct Within<'lab, T> {
    pub(crate) of: &'lab T,
    pub(crate) limit: Duration,
}

/// When a wait is over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    limit: Duration,
    /// None for one that is too far away to be told.
    at: Option<Instant>,
}

impl Deadline {
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, at: Instant::now().checked_add(limit) }
    }

    /// What is left of it.
    pub(crate) fn left(self) -> Duration {
        self.at.map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now()))
    }

    pub(crate) fn is_over(self) -> bool {
        self.left().is_zero()
    }

    /// Looks until there is something to be found; none when the time is over. The kernel tells
    /// nobody of it, so there is a millisecond between two looks, or as long as the last one took.
    pub(crate) fn poll<T>(self, mut look: impl FnMut() -> Result<Option<T>>) -> Result<Option<T>> {
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
impl std::fmt::Display for Deadline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "within {:?}", self.limit)
    }
}

/// Where a wait looks: on a thread of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct There<'lab> {
    pub(crate) place: &'lab Place,
    pub(crate) host: &'lab str,
}

impl<'lab> There<'lab> {
    pub(crate) fn on(here: &'lab Here, host: &'lab Node) -> Self {
        Self { place: &here.place, host: host.name() }
    }

    /// Calls `work` there.
    pub(crate) fn run<T: Send>(self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let failed = |step, what: &str, error: std::io::Error| {
            errno::failure(step, format!("{what} {}", self.host), &error)
        };
        let start = || {
            self.place.enter().map_err(|error| failed("setns", "to", error))?;
            work()
        };
        blocked::explained(|| {
            let ended = thread::scope(|scope| {
                let builder = thread::Builder::new().name(self.host.to_owned());
                let thread = builder.spawn_scoped(scope, start);
                Ok::<_, Failure>(
                    thread.map_err(|error| failed("start", "a thread for", error))?.join(),
                )
            })?;
            ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

impl Common {
    /// The node that has an address, as the lab knows it.
    pub(crate) fn name_of(&self, address: IpAddr) -> Option<String> {
        self.entries().into_iter().find(|(own, _)| *own == address).map(|(_, name)| name)
    }

    /// The addresses of all nodes, with their names.
    pub(crate) fn entries(&self) -> Vec<(IpAddr, String)> {
        let names = self.names();
        let entries = names.lines().filter_map(|line| {
            let (address, name) = line.split_once('\t')?;
            Some((address.parse().ok()?, name.to_owned()))
        });
        entries.collect()
    }
}
