//! Futures on a host: a runtime whose threads all live there.

use std::future::Future;
use std::io;
use std::sync::{Mutex, PoisonError};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

use crate::lab::run::node;
use crate::lab::run::node::Node;
use crate::runtime::build::build;
use crate::sys::ns::ns_set::Place;
use crate::sys::process;

/// A host's runtime, which is made when it is first wanted.
#[derive(Debug)]
pub(crate) struct Tasks {
    /// Taken when the lab ends.
    runtime: Mutex<Option<Runtime>>,
    handle: Handle,
    /// The process whose threads they are.
    owner: process::Pid,
}

impl Node {
    /// Starts a task on the host's own runtime, whose worker threads and blocking threads live on
    /// the host. A panic of it is told by its handle, and again when the lab is dropped, which
    /// panics then.
    ///
    /// It ends with the lab, or when the host is powered off, at its next `.await`.
    ///
    /// # Panics
    ///
    /// Where the runtime cannot be built, or the host is powered off.
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.runtime().spawn(self.panics.of_task(self.name(), future))
    }

    /// Runs a future on the host to its end. The calling thread waits.
    ///
    /// # Panics
    ///
    /// As [`run`](Self::run), and where the runtime cannot be built.
    #[track_caller]
    pub fn block_on<F: Future<Output: Send> + Send>(&self, future: F) -> F::Output {
        let runtime = self.runtime();
        self.run_as("block_on", || runtime.block_on(future))
    }

    #[track_caller]
    fn runtime(&self) -> Handle {
        let here = self.on();
        if let Some(tasks) = here.tasks.get() {
            return tasks.handle.clone();
        }
        match Tasks::new(&here.place, self.name()) {
            // Another thread may have been faster; its runtime is the one then.
            Ok(new) => here.tasks.get_or_init(|| new).handle.clone(),
            Err(error) => self.give_up("build the runtime of", &error),
        }
    }
}

impl Tasks {
    fn new(place: &Place, name: &str) -> io::Result<Self> {
        let (place, own) = (place.try_clone()?, name.to_owned());
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(2).enable_all().thread_name(name);
        let runtime = build(&mut builder, move || node::go(&place, &own))?;
        let handle = runtime.handle().clone();
        Ok(Self { runtime: Mutex::new(Some(runtime)), handle, owner: process::id() })
    }

    /// Ends its tasks, and waits for none of them.
    pub(crate) fn end(&self) {
        let runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner).take();
        if process::id() != self.owner {
            // A fork has none of its threads, which may have held its locks.
            std::mem::forget(runtime);
            return;
        }
        if let Some(runtime) = runtime {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.end();
    }
}
