//! Futures on a node, on a runtime whose threads all live there.

use std::future::Future;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::lab::fabric::node_runtime::Tasks;
use crate::lab::run::node::Node;

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
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn test(
    /// #     lab: netns_test::Lab,
    /// #     server: netns_test::NodeId,
    /// # ) -> Result<(), Box<dyn std::error::Error>> {
    /// use tokio::net::TcpListener;
    ///
    /// let binding = lab[server].spawn(TcpListener::bind("0.0.0.0:80"));
    /// let listener = binding.await??; // The first error is the task's, the second that of `bind`.
    /// # Ok(())
    /// # }
    /// ```
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
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn test(lab: netns_test::Lab, server: netns_test::NodeId) -> std::io::Result<()> {
    /// let listener = lab[server].block_on(tokio::net::TcpListener::bind("0.0.0.0:80"))?;
    /// # Ok(())
    /// # }
    /// ```
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
