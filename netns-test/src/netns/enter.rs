//! Into a namespace and back.

use std::marker::PhantomData;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use crate::error::{Error, Result};
use crate::netns::handle::NetNs;
use crate::sys::errno;
use crate::sys::ns::nsfs;

/// Keeps the calling thread in a namespace; dropped, it moves the thread back.
///
/// It belongs to its thread and cannot be sent to another. Where the way back is barred the
/// process is aborted, rather than let the thread go on in the wrong namespace.
#[must_use = "dropped at once, it moves the thread back at once"]
#[derive(Debug)]
pub struct NetNsGuard<'home> {
    home: Home<'home>,
    /// Not `Send`: the thread it moves is the one that drops it.
    _thread: PhantomData<*const ()>,
}

/// Where a guard moves its thread back to.
#[derive(Debug)]
enum Home<'home> {
    Found(NetNs),
    Given(&'home NetNs),
}

/// The namespace (inode) to which a thread of this process was last seen to be able to come back.
/// It stays so unless the process, while it has one thread, goes into another user namespace; what
/// is not noticed then ends the process when the guard is dropped.
static WAY_BACK: AtomicU64 = AtomicU64::new(0);

impl NetNs {
    /// Moves the calling thread into the namespace, for as long as the guard lives.
    ///
    /// Sockets that the thread makes belong to the namespace, and stay there; threads that it
    /// starts begin there. Other threads are not moved: under a runtime with several threads do
    /// not hold the guard across an `.await`.
    ///
    /// Guards must be dropped in the reverse of their order, as local variables are.
    ///
    /// # Errors
    ///
    /// EPERM without `CAP_SYS_ADMIN` in the user namespaces of the caller, of the namespace, and
    /// of that which it comes from, to which it could not come back. The thread is where it was
    /// then.
    pub fn enter(&self) -> Result<NetNsGuard<'static>> {
        let home = Self::current()?;
        self.check_way_back(&home)?;
        self.set_current_thread()?;
        Ok(NetNsGuard { home: Home::Found(home), _thread: PhantomData })
    }

    /// As [`enter`](Self::enter), for a caller that knows where it is: the guard moves the thread to
    /// `home`. To find that out takes longer than to go there and back, so this is for threads that
    /// do so very often.
    ///
    /// # Errors
    ///
    /// Those of [`enter`](Self::enter).
    pub fn enter_from<'home>(&self, home: &'home Self) -> Result<NetNsGuard<'home>> {
        self.check_way_back(home)?;
        self.set_current_thread()?;
        Ok(NetNsGuard { home: Home::Given(home), _thread: PhantomData })
    }

    /// That a thread may go somewhere does not say that it may come back: root of a user namespace
    /// that still has the network of the outer one may not. It may if it may go where it is.
    fn check_way_back(&self, home: &Self) -> Result<()> {
        if WAY_BACK.load(Ordering::Relaxed) == home.id.inode {
            return Ok(());
        }
        nsfs::enter_network(&home.fd).map_err(|error| {
            let failure = errno::failure("setns", self.to_string(), &error);
            Error::from(failure.advise(format!("the thread could not come back to {home}")))
        })?;
        WAY_BACK.store(home.id.inode, Ordering::Relaxed);
        Ok(())
    }

    /// Calls `work` in the namespace, on the calling thread, which comes back also if it panics.
    ///
    /// # Errors
    ///
    /// Those of [`enter`](Self::enter); `work` has not been called then.
    pub fn run<T>(&self, work: impl FnOnce() -> T) -> Result<T> {
        let _guard = self.enter()?;
        Ok(work())
    }

    /// Starts a thread that lives in the namespace: a thread begins where its maker is, and the
    /// calling thread makes it in there.
    ///
    /// # Errors
    ///
    /// EAGAIN where no thread can be started, and those of [`enter`](Self::enter); `work` is not
    /// called then.
    pub fn spawn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<JoinHandle<T>> {
        let thread = self.run(|| thread::Builder::new().spawn(work))?;
        let object = format!("a thread in {self}");
        thread.map_err(|error| errno::failure("start", object, &error).into())
    }

    /// Moves the calling thread into the namespace for good. Other threads stay where they are,
    /// so this is for the start of a program or of a thread.
    ///
    /// # Errors
    ///
    /// As [`enter`](Self::enter).
    pub fn set_current_thread(&self) -> Result<()> {
        nsfs::enter_network(&self.fd)
            .map_err(|error| Error::from(errno::failure("setns", self.to_string(), &error)))
    }

    /// Has the program that `command` will start begin in the namespace. The caller is not moved.
    ///
    /// For `tokio::process::Command`, pass `as_std_mut()` of it. Where the new process may not
    /// enter the namespace, `spawn` gives the error, as for a program that is not there.
    ///
    /// # Errors
    ///
    /// EMFILE where the table of descriptors is full.
    pub fn set_for<'c>(&self, command: &'c mut Command) -> Result<&'c mut Command> {
        nsfs::enter_before_exec(command, self.try_clone()?.fd);
        Ok(command)
    }
}

impl Drop for NetNsGuard<'_> {
    fn drop(&mut self) {
        let home = match &self.home {
            Home::Found(home) => home,
            Home::Given(home) => home,
        };
        if let Err(error) = home.set_current_thread() {
            // No panic: the thread may be unwinding, and would be in the wrong place all the same.
            eprintln!("netns-test: a thread cannot return to its network namespace: {error}");
            std::process::abort();
        }
    }
}
