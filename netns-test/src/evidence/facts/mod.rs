//! What is known of a test that has not passed: plain data, collected in the test's namespaces and
//! judged by the runner. Pure.

pub(crate) mod artifact;
pub(crate) mod event;
pub(crate) mod link;
pub(crate) mod network;
pub(crate) mod process;
pub(crate) mod stacks;
pub(crate) mod topology;

use std::time::Duration;

use crate::evidence::code::facts;
use crate::evidence::facts::artifact::Artifact;
use crate::evidence::facts::event::Event;
use crate::evidence::facts::link::Way;
use crate::evidence::facts::network::Network;
use crate::evidence::facts::process::Process;
use crate::evidence::facts::stacks::Stacks;
use crate::evidence::facts::topology::LabFacts;

facts! {
    /// All that init sends about a test that has not passed. Times are of the monotonic clock.
    struct Facts {
        /// Time of the first line of the test's function; none if the test did not come so far.
        began: Option<Duration>,
        /// Time at which init had noticed the end of the test.
        ended: Duration,
        /// The events, in the order in which they were recorded.
        events: Vec<Event>,
        /// Number of events that did not fit into the log.
        lost: u64,
        /// The labs, as they were described last, in the order of their numbers.
        labs: Vec<LabFacts>,
        /// The states that were read, in the order of time. The first is of the first failure: what
        /// comes later may follow from it.
        looks: Vec<Look>,
        /// Sentences about evidence that could not be had.
        gaps: Vec<String>,
        /// Files of the test itself.
        artifacts: Vec<Artifact>,
        /// The stacks of the test's threads at the time limit; none without a debugger.
        stacks: Option<Stacks>,
    }
}

facts! {
    /// The state of processes and networks at one moment.
    struct Look {
        at: Duration,
        reason: Reason,
        /// The processes of the test but init and what init has started, by process id.
        processes: Vec<Process>,
        /// The networks: of the test itself, whose node is empty, then of the nodes.
        networks: Vec<Network>,
        /// Sentences about what could not be read.
        gaps: Vec<String>,
        /// Time that it took.
        took: Duration,
        /// The directions of the links that pass the engine.
        ways: Vec<Way>,
        /// Whether its time was over before all was read: what is not listed may be there.
        is_cut: bool,
    }
}

crate::evidence::code::words! {
    /// The moment of a look.
    enum Reason {
        /// Within a panic, before it unwinds.
        Panic = "panic",
        /// When the time limit is over, before the processes are killed.
        TimeLimit = "time limit",
        /// When the test's process has ended: its sockets are closed.
        End = "end",
    }
}

impl Facts {
    /// Returns the look that shows the failure best: the last one at which the processes lived.
    pub(crate) fn look(&self) -> Option<&Look> {
        let living = self.looks.iter().rev().find(|look| look.reason != Reason::End);
        living.or(self.looks.last())
    }

    /// Returns the lab that was described last.
    pub(crate) fn lab(&self) -> Option<&LabFacts> {
        self.labs.last()
    }
}

impl Look {
    /// Returns the network of a node; of the test itself if `node` is empty.
    pub(crate) fn network(&self, node: &str) -> Option<&Network> {
        let is_own = |network: &&Network| node.is_empty() && network.is_own;
        let named = self.networks.iter().find(|network| network.node == node);
        named.or_else(|| self.networks.iter().find(is_own))
    }

    /// Adds a part that was read later. Networks are the same if their inodes are.
    pub(crate) fn join(&mut self, part: Self) {
        self.processes.extend(part.processes);
        self.gaps.extend(part.gaps);
        self.ways.extend(part.ways);
        self.took = self.took.max(part.took);
        self.is_cut |= part.is_cut;
        for network in part.networks {
            match self.networks.iter_mut().find(|known| known.inode == network.inode) {
                Some(known) => known.join(network),
                None => self.networks.push(network),
            }
        }
    }
}
