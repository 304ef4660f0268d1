//! The calling thread on a node: `enter`, and the guard that moves it back.

use std::fmt;
use std::marker::PhantomData;

use crate::error::{Result, located};
use crate::evidence::here;
use crate::lab::run::node::Node;
use crate::sys::errno;
use crate::sys::ns::ns_set::Place;

/// Guard of a thread that [`enter`](Node::enter) has moved to a node. Dropping it moves the thread
/// back.
///
/// The guard cannot be sent to another thread. If the kernel refuses the way back, the process is
/// aborted, so that the thread does not go on in the wrong network.
#[must_use = "dropped at once, it moves the thread back at once"]
pub struct NodeGuard<'node> {
    back: Place,
    /// Name of the node before.
    before: String,
    /// Not `Send`: it must be dropped by the thread that it moves back.
    _thread: PhantomData<(*const (), &'node Node)>,
}

impl Node {
    /// Moves the calling thread to the node until the guard is dropped. Threads that it starts
    /// meanwhile are on the node, too. The thread no longer shares its working directory and umask
    /// with other threads, also after the guard (`CLONE_FS` of unshare(2)).
    ///
    /// A library may start threads for the whole process meanwhile, such as the blocking pool of
    /// tokio (used for name lookups). These stay on the node. [`run`](Self::run) and
    /// [`spawn`](Self::spawn) do not move the calling thread, so they avoid that.
    ///
    /// In a runtime with several threads, do not hold the guard across an `.await`. Guards must be
    /// dropped in reverse order, as local variables are.
    ///
    /// # Errors
    ///
    /// EPERM without `CAP_SYS_ADMIN` in the caller's user namespace. EPERM also if the thread could
    /// not return, because its mounts or hostname belong to an outer user namespace. A node that is
    /// powered off. After an error the thread is where it was.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn test(lab: netns_test::Lab, server: netns_test::NodeId) -> netns_test::Result<()> {
    /// let guard = lab[server].enter()?;
    /// let listener = std::net::TcpListener::bind("0.0.0.0:80")?; // On the server.
    /// drop(guard); // The thread is back.
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn enter(&self) -> Result<NodeGuard<'_>> {
        located(self.try_enter())
    }

    fn try_enter(&self) -> Result<NodeGuard<'_>> {
        let here = self.here()?;
        let back = Place::own();
        let back = back.map_err(|error| self.failure("open", "the way back from", &error))?;
        // A thread that may enter the node may not always come back. It may if it may enter its own
        // namespaces.
        back.enter().map_err(|error| {
            let advice = "the thread could not come back to where it is; under unshare(1), give it -m and -u, too";
            self.failure("setns", "to the network", &error).advise(advice)
        })?;
        if let Err(error) = here.place.enter() {
            // Some of the namespaces may have been entered already.
            drop(NodeGuard { back, before: here::node(), _thread: PhantomData });
            return Err(self.failure("setns", "to", &error).into());
        }
        Ok(NodeGuard { back, before: here::set(self.name()), _thread: PhantomData })
    }
}

impl fmt::Debug for NodeGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeGuard").finish_non_exhaustive()
    }
}

impl Drop for NodeGuard<'_> {
    fn drop(&mut self) {
        here::set(&self.before);
        if let Err(error) = self.back.enter() {
            // Not a panic: the thread may be unwinding already, and would go on in the wrong
            // network.
            eprintln!("netns-test: return of a thread from a node: {}", errno::describe(&error));
            std::process::abort();
        }
    }
}
