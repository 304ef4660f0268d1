//! The handle of a running lab, and `Topology::build`, which returns it.

use std::fmt;
use std::ops::Index;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;

use crate::env;
use crate::error::{Result, located};
use crate::evidence::body;
use crate::evidence::facts::event::{Event, EventKind};
use crate::evidence::log;
use crate::lab::build::assemble::{Own, assemble};
use crate::lab::build::etc_files::names::Names;
use crate::lab::build::local::Guest;
use crate::lab::fabric::described;
use crate::lab::fabric::hub::lost::note_lost;
use crate::lab::fabric::limitation;
use crate::lab::fabric::state::Fabric;
use crate::lab::impair::hash::Seed;
use crate::lab::plan::Plan;
use crate::lab::run::escapes;
use crate::lab::run::link::Link;
use crate::lab::run::node::Node;
use crate::lab::run::panics::Panics;
use crate::lab::run::programs::spawner::{Common, Programs};
use crate::lab::topology::{LinkId, NodeId, NodeKind, Topology};
use crate::note::{artifact_dir, note};
use crate::sys::ns::ns_set;
use crate::sys::process;

/// Network that [`Topology::build`](crate::Topology::build) has built: `lab[node]` is a [`Node`],
/// `lab[link]` a [`Link`].
///
/// Dropping it ends the tasks on its nodes, and kills each process that has a thread in one of
/// their networks (SIGKILL). On a [`local`](crate::Topology::local) node, only the programs that
/// the lab has started are killed. The remaining output of programs is printed. The kernel destroys
/// each namespace after its last use.
///
/// A panic of a task or a thread on a node ends the waits of the lab ([`Wait`](crate::lab::Wait))
/// at once. It also ends the test, as a failure with the message of the panic, if the test does not
/// end by itself: one second later if its thread has been blocked since, such as in a `read` or
/// `join`, and otherwise five seconds later. [`expect_panics`](Self::expect_panics) turns this off,
/// and so does `#[should_panic]` for the end of the test.
///
/// # Panics
///
/// The drop panics, so that the test fails, if a task or a thread on a node has panicked, if a
/// process still exists ten seconds after it was killed, or if the caller's own network could not
/// be restored.
pub struct Lab {
    fabric: Arc<Fabric>,
    nodes: Vec<Node>,
    links: Vec<Link>,
    panics: Panics,
    /// Process that has built the lab.
    builder: process::Pid,
    common: Common,
    own: Own,
}

/// Names of nodes or links, in the order of declaration. `Debug` prints the first ones.
struct NodeNames(Vec<String>);

/// Number of names of nodes, and of links, in the `Debug` text of a lab.
const NAMED: usize = 8;

impl Topology {
    /// Builds the network in the kernel. Nothing else in a topology touches the kernel.
    ///
    /// When it returns, packets pass between all nodes that [reach](crate::lab::Plan::can_reach)
    /// each other by the plan. An exception is a switch with the spanning tree protocol, whose
    /// ports forward after half a minute.
    ///
    /// The call needs `CAP_SYS_ADMIN` and `CAP_NET_ADMIN`, as a [`netns_test`](crate::netns_test)
    /// body, a program under `unshare -Urnm`, and root have them. The calling thread stays in its
    /// namespaces. The network ends when the [`Lab`] is dropped.
    ///
    /// # Errors
    ///
    /// All errors of the [plan](Topology::plan) at once; a step that the kernel refuses, with the
    /// object's name and the reason. After an error nothing of the network is left.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn main() -> netns_test::Result<()> {
    /// use netns_test::Topology;
    ///
    /// let mut net = Topology::new();
    /// let (client, server) = (net.host("client"), net.host("server"));
    /// net.link(client, server);
    /// let lab = net.build()?;
    /// println!("{}", lab.plan());
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn build(&self) -> Result<Lab> {
        located(self.try_build())
    }

    fn try_build(&self) -> Result<Lab> {
        let plan = self.plan()?;
        let names = Names::of(&plan);
        let name = || body::name().unwrap_or_default();
        let seed = env::seed().map_or_else(|| Seed::of_test(name()), Seed);
        let (fabric, own) = assemble(self.clone(), (plan, &names), seed)?;
        let common = Common::new(names, own.covered.as_ref());
        if fabric.nodes.iter().any(|node| node.kind() == NodeKind::Local) {
            // Programs on the caller's own node inherit the namespaces of this thread.
            common.programs.prepare()?;
        }
        Ok(Lab::new(Arc::new(fabric), (common, own)))
    }
}

impl Lab {
    fn new(fabric: Arc<Fabric>, (common, own): (Common, Own)) -> Self {
        let (builder, panics) = (process::id(), Panics::default());
        let (nodes, links) = (Vec::new(), Vec::new());
        let mut lab = Self { fabric, nodes, links, panics, builder, common, own };
        lab.make_handles();
        lab.describe("built");
        lab
    }

    /// Replaces the state of the lab by that of an extended one.
    pub(crate) fn grow_into(&mut self, fabric: Arc<Fabric>) {
        self.fabric = fabric;
        self.make_handles();
        described::report_networks(&self.fabric);
        self.describe("extended");
    }

    /// Describes the lab in the log of the test.
    fn describe(&self, what: &str) {
        described::describe(&self.fabric);
        let count = self.nodes.len();
        log::note(|| Event::of(EventKind::Build, "", format!("lab {what}: {count} nodes")));
        if self.fabric.hub.is_some() {
            let Seed(seed) = self.fabric.seed;
            log::note(|| {
                let text = format!("seed of links that lose packets: NETNS_TEST_SEED={seed:#x}");
                Event::of(EventKind::Build, "", text).with("seed", seed)
            });
        }
    }

    /// Creates the handles of all nodes and links.
    fn make_handles(&mut self) {
        let fabric = &self.fabric;
        let shared = || (self.panics.clone(), self.common.clone());
        let nodes = 0..fabric.nodes.len();
        self.nodes = nodes.map(|at| Node::new(Arc::clone(fabric), at, shared())).collect();
        let links = 0..fabric.plan.links().len();
        self.links = links.map(|at| Link::new(Arc::clone(fabric), at)).collect();
    }

    /// Returns the programs that have been started.
    pub(crate) fn programs(&self) -> &Arc<Programs> {
        &self.common.programs
    }

    /// Writes these names to existing nodes, and makes them known to waits.
    pub(crate) fn rename(&self, names: Names) -> Result<()> {
        self.common.rename(&self.fabric.nodes, names)
    }

    pub(crate) fn own(&mut self) -> &mut Own {
        &mut self.own
    }

    /// Returns the plan that was built.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.fabric.plan
    }

    /// Returns the nodes, in the order of declaration.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter()
    }

    /// Returns the links, in the order of declaration.
    pub fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.iter()
    }

    /// Returns the node called `name`, if there is one.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes().find(|node| node.name() == name)
    }

    /// Returns a sentence for each feature that the kernel has refused to nodes, such as a new
    /// `/sys` or unprivileged ping. It names the nodes and the kernel's reason. The list is empty
    /// if nothing was refused. The sentences are for people, and may change between versions.
    ///
    /// Each sentence is also printed on stderr when the lab is built, or the partition made. A test
    /// runner shows this output for tests that fail.
    #[must_use]
    pub fn limitations(&self) -> Vec<String> {
        let there = self.nodes().enumerate().map(|(at, node)| {
            let own = node.live().limitations();
            let more = self.fabric.partitions.limitation(at);
            (node.name(), own.into_iter().chain(more).collect::<Vec<_>>())
        });
        let there: Vec<_> = there.collect();
        limitation::sentences(there.iter().map(|(name, all)| (*name, all.as_slice())))
    }

    /// Does the same as [`note`](crate::note()): adds a line to the timeline that a failed test
    /// prints.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn test(lab: netns_test::Lab) {
    /// lab.note("the leader is elected, the link goes down now");
    /// # }
    /// ```
    pub fn note(&self, text: impl fmt::Display) {
        note(text);
    }

    /// Does the same as [`artifact_dir`]: returns a directory for files that explain a failure.
    ///
    /// # Errors
    ///
    /// As [`artifact_dir`].
    pub fn artifact_dir(&self) -> Result<PathBuf> {
        artifact_dir()
    }

    /// Declares that panics of tasks and threads on the nodes are expected: those before this call,
    /// and all later ones. They do not end waits or the test, and the drop of the lab does not
    /// panic for them.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn test(lab: netns_test::Lab, server: netns_test::NodeId) {
    /// lab.expect_panics();
    /// let thread = lab[server].spawn_thread(|| panic!("the disk is full"));
    /// assert!(thread.join().is_err());
    /// # }
    /// ```
    pub fn expect_panics(&self) {
        log::expect_panics();
        self.panics.expect();
        log::note(|| {
            let event = Event::of(EventKind::Note, "", "panics on nodes are expected");
            event.with("panics", "expected")
        });
    }

    pub(crate) fn fabric(&self) -> &Arc<Fabric> {
        &self.fabric
    }
}

impl fmt::Debug for Lab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes = NodeNames(self.nodes().map(|node| node.name().to_owned()).collect());
        let links = 0..self.links.len();
        let links = NodeNames(links.map(|at| self.fabric.plan.link_name(at)).collect());
        f.debug_struct("Lab").field("nodes", &nodes).field("links", &links).finish()
    }
}

/// `3 (client, server, home)`
impl fmt::Debug for NodeNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = self.0[..self.0.len().min(NAMED)].join(", ");
        let more = if self.0.len() > NAMED { ", …" } else { "" };
        write!(f, "{} ({named}{more})", self.0.len())
    }
}

#[track_caller]
fn no_such(what: &str) -> ! {
    panic!("this {what} is not in the lab: its id is of another topology, or newer than the lab")
}

/// # Panics
///
/// If the node is of another topology, or is newer than the lab.
impl Index<NodeId> for Lab {
    type Output = Node;

    #[track_caller]
    fn index(&self, node: NodeId) -> &Node {
        let Some(at) = self.plan().position(node) else { no_such("node") };
        &self.nodes[at]
    }
}

/// # Panics
///
/// If the link is of another topology, or is newer than the lab.
impl Index<LinkId> for Lab {
    type Output = Link;

    #[track_caller]
    fn index(&self, link: LinkId) -> &Link {
        let Some(at) = self.plan().link_position(link) else { no_such("link") };
        &self.links[at]
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // A forked child has a copy of the lab, and none of its threads and programs.
        if process::id() != self.builder {
            return;
        }
        self.panics.close();
        described::dropped();
        let here: Vec<_> =
            self.nodes().filter_map(|node| Some((node, node.here().ok()?))).collect();
        for tasks in here.iter().filter_map(|(_, here)| here.tasks.get()) {
            tasks.end();
        }
        self.nodes().for_each(|node| node.live().mapper.end());
        #[cfg(feature = "dns")]
        self.fabric.dns.end();
        if self.nodes().any(|node| node.kind() == NodeKind::Local) {
            // The caller's own network outlives the lab.
            drop(self.fabric.heal(None));
            self.fabric.remove_moved();
        }
        self.common.programs.close();
        let own = here.iter().filter(|(node, _)| node.kind() != NodeKind::Local);
        let past: Vec<_> = self.nodes().flat_map(|node| node.live().take_past()).collect();
        let networks =
            own.map(|(_, here)| here.place.network()).chain(past.iter().map(AsFd::as_fd));
        let killed = ns_set::kill_all_in(&networks.collect::<Vec<_>>());
        self.common.programs.end();
        if let Some(hub) = &self.fabric.hub {
            note_lost(hub, &self.fabric.plan, &self.fabric.links.lock());
        }
        let is_in_closure = self.fabric.hub.as_ref().is_some_and(|hub| hub.is_own_thread());
        let of_hub = self.fabric.hub.as_ref().map(|hub| hub.stop()).unwrap_or_default();
        let left = killed.err().map(|failure| format!("end of the lab: {failure}"));
        let escapes = escapes::failures(&here);
        #[cfg(feature = "dns")]
        let escapes = [escapes, escapes::names(&self.fabric.dns.state().outside())].concat();
        let kept = self.own.guest.as_mut().map(Guest::take_back);
        let of_mappers = self.nodes().flat_map(|node| {
            let faults = node.live().mapper.take_faults().into_iter();
            faults.map(|fault| format!("node {}: {fault}", node.name()))
        });
        let left = left.into_iter().chain(kept.into_iter().flatten()).chain(of_mappers);
        let left: Vec<String> = left.collect();
        let panics = self.panics.take();
        let failures = panics.into_iter().chain(left.clone()).chain(escapes);
        let failures = failures.chain(of_hub.iter().cloned());
        #[cfg(feature = "dns")]
        let failures = failures.chain(self.fabric.dns.take_failures());
        let failures: Vec<String> = failures.collect();
        if is_in_closure {
            // No thread would see a panic here, and a test must not pass after it.
            eprintln!("netns-test: a lab was dropped in the closure of a rule of its own links");
            std::process::abort();
        }
        if !std::thread::panicking() {
            assert!(failures.is_empty(), "{}", failures.join("\n"));
        }
        // The panics have been printed already. What was wrong with links may be their reason.
        left.iter().chain(&of_hub).for_each(|left| eprintln!("netns-test: {left}"));
    }
}
