//! Futures on a host: a runtime whose threads all live there.

use std::io;
use std::sync::Mutex;

use tokio::runtime::{Builder, Handle, Runtime};

use crate::lab::fabric::on_thread;
use crate::runtime::build::build;
use crate::sys::lock::lock;
use crate::sys::ns::ns_set::Place;
use crate::sys::process;

/// A host's runtime, which is made when it is first wanted.
#[derive(Debug)]
pub(crate) struct Tasks {
    /// Taken when the lab ends.
    runtime: Mutex<Option<Runtime>>,
    pub(crate) handle: Handle,
    /// The process whose threads they are.
    owner: process::Pid,
}

impl Tasks {
    pub(crate) fn new(place: &Place, name: &str) -> io::Result<Self> {
        let (place, own) = (place.try_clone()?, name.to_owned());
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(2).enable_all().thread_name(name);
        let runtime = build(&mut builder, move || on_thread::go(&place, &own))?;
        let handle = runtime.handle().clone();
        Ok(Self { runtime: Mutex::new(Some(runtime)), handle, owner: process::id() })
    }

    /// Ends its tasks, and waits for none of them.
    pub(crate) fn end(&self) {
        let runtime = lock(&self.runtime).take();
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
