//! What the thread of the name servers shares with others.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use crate::error::Failure;
use crate::lab::dns::serve::socket::Bound;
use crate::lab::dns::state::State;
use crate::sys::errno;
use crate::sys::lock::{lock, wait_while};
use crate::sys::timer::Wakeup;

/// Limit for the thread to take over other sockets, between two messages.
const LIMIT: Duration = Duration::from_secs(60);

/// State, and the sockets.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) state: Arc<Mutex<State>>,
    sockets: Mutex<Sockets>,
    changed: Condvar,
    wakeup: Wakeup,
}

#[derive(Debug, Default)]
struct Sockets {
    all: Vec<Arc<Bound>>,
    /// Number of the last change, and of the one that the thread has taken over.
    last: u64,
    taken: u64,
    ends: bool,
    has_ended: bool,
}

impl Shared {
    pub(crate) fn new(state: Arc<Mutex<State>>) -> std::io::Result<Self> {
        let (sockets, changed) = (Mutex::default(), Condvar::new());
        Ok(Self { state, sockets, changed, wakeup: Wakeup::new()? })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    pub(crate) fn woken(&self) -> BorrowedFd<'_> {
        self.wakeup.descriptor().as_fd()
    }

    /// Returns the sockets that there are now; none at the end. The thread has let go of all
    /// others.
    pub(crate) fn take(&self) -> Option<Vec<Arc<Bound>>> {
        // Until it is cleared, it wakes once more.
        drop(self.wakeup.clear());
        let sockets = lock(&self.sockets);
        (!sockets.ends).then(|| sockets.all.clone())
    }

    /// Notes that the thread has the sockets that there are.
    pub(crate) fn taken(&self) {
        let mut sockets = lock(&self.sockets);
        sockets.taken = sockets.last;
        self.changed.notify_all();
    }

    /// Adds sockets.
    pub(crate) fn add(&self, bound: Bound) -> Result<(), Failure> {
        let mut sockets = lock(&self.sockets);
        sockets.all.push(Arc::new(bound));
        self.wait(sockets)
    }

    /// Closes the sockets of a node. Returns when they are closed.
    pub(crate) fn remove(&self, node: usize) -> Result<(), Failure> {
        let mut sockets = lock(&self.sockets);
        let before = sockets.all.len();
        sockets.all.retain(|one| one.node != node);
        if sockets.all.len() == before { Ok(()) } else { self.wait(sockets) }
    }

    /// Returns whether a node has sockets.
    pub(crate) fn has(&self, node: usize) -> bool {
        lock(&self.sockets).all.iter().any(|one| one.node == node)
    }

    /// Orders the end of the thread.
    pub(crate) fn end(&self) -> std::io::Result<()> {
        let mut sockets = lock(&self.sockets);
        sockets.ends = true;
        sockets.all.clear();
        self.wakeup.wake()
    }

    fn wait(&self, mut sockets: MutexGuard<'_, Sockets>) -> Result<(), Failure> {
        let failed = |why: &str| Failure::new("change", "the name servers", why);
        sockets.last += 1;
        let number = sockets.last;
        let woken = self.wakeup.wake();
        woken.map_err(|error| errno::failure("wake", "the name servers", &error))?;
        let is_open = |one: &mut Sockets| one.taken < number && !one.has_ended;
        let (sockets, end) = wait_while(&self.changed, sockets, LIMIT, is_open);
        match sockets.taken >= number {
            true => Ok(()),
            false if end.timed_out() => Err(failed("they have not answered within a minute")),
            false => Err(failed("their thread has panicked")),
        }
    }
}

/// Wakes threads that wait when the thread ends, also by a panic.
pub(crate) struct Ending(pub(crate) Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        lock(&self.0.sockets).has_ended = true;
        self.0.changed.notify_all();
    }
}
