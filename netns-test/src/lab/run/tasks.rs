//! Futures on a node, on a runtime whose threads all live there.

use std::future::Future;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::lab::fabric::node_runtime::Tasks;
use crate::lab::run::node::Node;

impl Node {
    /// Starts a task on the runtime of the node, whose worker threads and blocking threads are on
    /// the node. If the task panics, the handle returns an error, and the drop of the lab panics,
    /// too.
    ///
    /// When the lab ends or the node is powered off, the task ends at its next `.await`.
    ///
    /// # Panics
    ///
    /// If the runtime cannot be built, or the node is powered off.
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

    /// Runs a future on the node until it is complete, while the calling thread waits.
    ///
    /// # Panics
    ///
    /// As [`run`](Self::run), and if the runtime cannot be built.
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
            // If another thread was faster, its runtime is used.
            Ok(new) => here.tasks.get_or_init(|| new).handle.clone(),
            Err(error) => self.give_up("build the runtime of", &error),
        }
    }
}
