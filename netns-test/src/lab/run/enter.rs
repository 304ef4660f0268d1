//! A thread of the caller that goes to a node and comes back.

use std::fmt;
use std::marker::PhantomData;

use crate::error::{Result, located};
use crate::lab::run::node::Node;
use crate::sys::errno;
use crate::sys::ns::ns_set::Place;

/// Keeps the calling thread on a host; dropped, it moves the thread back.
///
/// It belongs to its thread and cannot be sent to another. Where the way back is barred the
/// process is aborted, rather than let the thread go on in the wrong place.
#[must_use = "dropped at once, it moves the thread back at once"]
pub struct NodeGuard<'host> {
    back: Place,
    /// Not `Send`: the thread it moves is the one that drops it.
    _thread: PhantomData<(*const (), &'host Node)>,
}

impl Node {
    /// Moves the calling thread to the host, for as long as the guard lives. Threads that it starts
    /// begin there. From then on its working directory is its own.
    ///
    /// So do threads that a library starts meanwhile for all of the process, such as those of a runtime's
    /// blocking pool (name lookups of tokio): they stay there. [`run`](Self::run) and
    /// [`spawn`](Self::spawn) leave the caller's thread alone.
    ///
    /// Under a runtime with several threads do not hold the guard across an `.await`. Guards must be
    /// dropped in the reverse of their order, as local variables are.
    ///
    /// # Errors
    ///
    /// EPERM without `CAP_SYS_ADMIN` in the caller's user namespace, and where the thread could not come
    /// back since its own mounts or hostname are an outer user namespace's; where the host is powered
    /// off. It is where it was then.
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
        // Who may go there may not always come back. It may if it may go where it is.
        back.enter().map_err(|error| {
            let advice = "the thread could not come back to where it is; under unshare(1), give it -m and -u, too";
            self.failure("setns", "to the network", &error).advise(advice)
        })?;
        if let Err(error) = here.place.enter() {
            // It may have come half of the way.
            drop(NodeGuard { back, _thread: PhantomData });
            return Err(self.failure("setns", "to", &error).into());
        }
        Ok(NodeGuard { back, _thread: PhantomData })
    }
}

impl fmt::Debug for NodeGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeGuard").finish_non_exhaustive()
    }
}

impl Drop for NodeGuard<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.back.enter() {
            // No panic: the thread may be unwinding, and would be in the wrong place all the same.
            eprintln!(
                "netns-test: a thread cannot return from a host: {}",
                errno::describe(&error)
            );
            std::process::abort();
        }
    }
}
