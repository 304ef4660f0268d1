//! Nodes whose programs are stopped for a time, as those of a laptop while its lid is closed.

use crate::error::{Failure, Result, located};
use crate::evidence::facts::event::{Event, EventKind};
use crate::evidence::log;
use crate::lab::fabric::node::LiveNode;
use crate::lab::run::node::Node;
use crate::lab::topology::NodeKind;
use crate::sys::ns::inhabitants;

impl Node {
    /// Stops all programs on the node, with the processes that they have started, as a laptop does
    /// whose lid is closed. Returns when none of them runs. Time passes: timers that expire
    /// meanwhile are due at [`thaw`](Self::thaw), and a clock has jumped forward for the program.
    ///
    /// The means is SIGSTOP, so some things go on:
    ///
    /// - The kernel of the node. It still acknowledges TCP segments, queues connections for a
    ///   listening socket, forwards packets, and answers `ping`. For a node that is silent as well,
    ///   take its links [down](crate::Link::down).
    /// - Threads and tasks of the test on the node ([`run`](Self::run),
    ///   [`spawn_thread`](Self::spawn_thread), [`spawn`](Self::spawn)): they are part of the test's
    ///   own process.
    /// - Programs that a [`tokio_command`](Self::tokio_command), or a command made by
    ///   [`into_std`](crate::NodeCommand::into_std), starts while the node is frozen.
    ///
    /// Until the node is thawed, [`spawn`](crate::NodeCommand::spawn) of a command on it is an
    /// error. A power cut and the end of the lab kill frozen programs as others.
    ///
    /// # Errors
    ///
    /// A node that is frozen already, is powered off, or is the caller's own network; a process
    /// that still runs ten seconds later, or that the test may not signal, such as one that has
    /// changed its user. The programs run on after an error.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn test(lab: netns_test::Lab, laptop: netns_test::NodeId) -> netns_test::Result<()> {
    /// let client = lab[laptop].command("my-client").spawn()?;
    /// lab[laptop].freeze()?;
    /// std::thread::sleep(std::time::Duration::from_secs(5)); // Its keepalive is missing.
    /// lab[laptop].thaw()?;
    /// let limit = std::time::Duration::from_secs(30);
    /// client.wait(limit).line(|line| line.contains("reconnected"))?;
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn freeze(&self) -> Result<()> {
        located(self.try_freeze())
    }

    fn try_freeze(&self) -> Result<()> {
        let (step, node) = ("freeze", self.live());
        let here = node.here()?;
        if node.kind() == NodeKind::Local {
            return Err(Failure::new(step, node.name(), "it is the caller's own network").into());
        }
        if node.set_frozen(true) {
            let failure = Failure::new(step, node.name(), "it is frozen already");
            return Err(failure.advise("`thaw` it first").into());
        }
        let network = here.place.network();
        if let Err(failure) = inhabitants::stop_all(network) {
            node.set_frozen(false);
            drop(inhabitants::continue_all(network));
            return Err(failure.into());
        }
        note(node, "frozen");
        Ok(())
    }

    /// Lets the programs of a [frozen](Self::freeze) node run on, also those that were stopped
    /// before the node was frozen.
    ///
    /// # Errors
    ///
    /// A node that is not frozen, also because it has lost power since; a process that the test may
    /// not signal.
    #[track_caller]
    pub fn thaw(&self) -> Result<()> {
        located(self.try_thaw())
    }

    fn try_thaw(&self) -> Result<()> {
        let node = self.live();
        let here = node.here()?;
        if !node.set_frozen(false) {
            return Err(Failure::new("thaw", node.name(), "it is not frozen").into());
        }
        inhabitants::continue_all(here.place.network())?;
        note(node, "thawed");
        Ok(())
    }

    /// Returns whether the node is [frozen](Self::freeze).
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        self.live().is_frozen()
    }
}

fn note(node: &LiveNode, state: &str) {
    log::note(|| Event::of(EventKind::Power, node.name(), state).with("state", state));
}
