//! Moves threads into a namespace and back.

use std::marker::PhantomData;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use crate::error::{Error, Result};
use crate::netns::handle::NetNs;
use crate::sys::errno;
use crate::sys::ns::nsfs;

/// A guard that keeps the calling thread in a namespace, and moves it back when it is dropped.
///
/// It cannot be sent to another thread. If the thread cannot be moved back, the process is aborted,
/// because the thread would otherwise continue in the wrong namespace.
#[must_use = "dropped at once, it moves the thread back at once"]
#[derive(Debug)]
pub struct NetNsGuard<'home> {
    home: Home<'home>,
    /// Not `Send`: the thread it moves is the one that drops it.
    _thread: PhantomData<*const ()>,
}

/// The namespace that a guard moves its thread back to.
#[derive(Debug)]
enum Home<'home> {
    Found(NetNs),
    Borrowed(&'home NetNs),
}

/// The inode of the last namespace that a thread of this process was able to return to. That stays
/// true unless the process, while it has one thread, enters another user namespace. In that case
/// the drop of the guard aborts the process.
static WAY_BACK: AtomicU64 = AtomicU64::new(0);

impl NetNs {
    /// Moves the calling thread into the namespace until the guard is dropped.
    ///
    /// Sockets that the thread opens belong to the namespace for their whole life; threads that it
    /// starts begin in the namespace. Other threads are not moved: under a multi-threaded runtime,
    /// do not hold the guard across an `.await`.
    ///
    /// Drop guards in the reverse order of their creation, as local variables are.
    ///
    /// # Errors
    ///
    /// EPERM without `CAP_SYS_ADMIN` in the user namespaces of the caller, of the target, and of
    /// the namespace that the thread is in, because it could not return to that. After an error the
    /// thread has not moved.
    pub fn enter(&self) -> Result<NetNsGuard<'static>> {
        let home = Self::current()?;
        self.check_way_back(&home)?;
        self.set_current_thread()?;
        Ok(NetNsGuard { home: Home::Found(home), _thread: PhantomData })
    }

    /// Moves the calling thread as [`enter`](Self::enter) does; the guard moves it to `home` when
    /// dropped.
    ///
    /// To look up the current namespace, as `enter` does, takes longer than to move there and back.
    /// This is for threads that move very often.
    ///
    /// # Errors
    /// As [`enter`](Self::enter).
    pub fn enter_from<'home>(&self, home: &'home Self) -> Result<NetNsGuard<'home>> {
        self.check_way_back(home)?;
        self.set_current_thread()?;
        Ok(NetNsGuard { home: Home::Borrowed(home), _thread: PhantomData })
    }

    /// Checks that the thread may return to `home`, by joining it now. Root of a new user namespace
    /// that is still in the outer network namespace may enter others, but not return.
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

    /// Calls `work` in the namespace, on the calling thread, which is moved back even if `work`
    /// panics.
    ///
    /// # Errors
    /// As [`enter`](Self::enter). After an error `work` has not been called.
    pub fn run<T>(&self, work: impl FnOnce() -> T) -> Result<T> {
        let _guard = self.enter()?;
        Ok(work())
    }

    /// Starts a thread in the namespace. The calling thread enters the namespace to start it, and
    /// returns.
    ///
    /// # Errors
    ///
    /// EAGAIN if no thread can be started, and those of [`enter`](Self::enter). After an error
    /// `work` has not been called.
    pub fn spawn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<JoinHandle<T>> {
        let thread = self.run(|| thread::Builder::new().spawn(work))?;
        let object = format!("a thread in {self}");
        thread.map_err(|error| errno::failure("start", object, &error).into())
    }

    /// Moves the calling thread into the namespace permanently. Other threads are not moved, so
    /// call it at the start of a program or of a thread.
    ///
    /// # Errors
    ///
    /// As [`enter`](Self::enter).
    pub fn set_current_thread(&self) -> Result<()> {
        nsfs::enter_network(&self.fd)
            .map_err(|error| Error::from(errno::failure("setns", self.to_string(), &error)))
    }

    /// Makes the program that `command` starts begin in the namespace. The caller is not moved.
    ///
    /// For a `tokio::process::Command`, pass its `as_std_mut()`. If the new process may not enter
    /// the namespace, `spawn` returns the error.
    ///
    /// # Errors
    ///
    /// EMFILE if the table of descriptors is full.
    pub fn set_for<'c>(&self, command: &'c mut Command) -> Result<&'c mut Command> {
        nsfs::enter_before_exec(command, self.try_clone()?.fd);
        Ok(command)
    }
}

impl Drop for NetNsGuard<'_> {
    fn drop(&mut self) {
        let home = match &self.home {
            Home::Found(home) => home,
            Home::Borrowed(home) => home,
        };
        if let Err(error) = home.set_current_thread() {
            // No panic: the thread may be unwinding already, and would still be in the wrong
            // namespace.
            eprintln!("netns-test: a thread cannot return to its network namespace: {error}");
            std::process::abort();
        }
    }
}
