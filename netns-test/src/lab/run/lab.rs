//! A running lab.

use std::fmt;
use std::ops::Index;
use std::os::fd::AsFd;
use std::sync::Arc;

use crate::error::{Result, located};
use crate::lab::build::assemble::{Own, assemble};
use crate::lab::build::etc_files::Covered;
use crate::lab::build::local::Guest;
use crate::lab::fabric::limitation;
use crate::lab::fabric::state::Fabric;
use crate::lab::plan::Plan;
use crate::lab::run::link::Link;
use crate::lab::run::node::Node;
use crate::lab::run::panics::Panics;
use crate::lab::run::programs::spawner::Common;
use crate::lab::topology::{LinkId, NodeId, NodeKind, Topology};
use crate::sys::ns::ns_set;
use crate::sys::process;

/// A network that has been built ([`Topology::build`](crate::Topology::build)): `lab[node]` is a
/// [`Node`], `lab[link]` a [`Link`].
///
/// Dropped, it ends all that runs on its hosts: tasks, and every process that has a thread in one of
/// their networks, by SIGKILL; on a [`local`](crate::Topology::local) host, the programs that the lab
/// has started there. What programs have written is printed then. With the last thread that was there the kernel takes the network down.
///
/// # Panics
///
/// When it is dropped, if a task or a thread on a host has panicked, a process is there ten seconds after
/// it was killed, or the caller's own network is not as it was: the test is not to pass then.
pub struct Lab {
    fabric: Arc<Fabric>,
    nodes: Vec<Node>,
    links: Vec<Link>,
    panics: Panics,
    /// The process that has built it.
    builder: process::Pid,
    common: Common,
    own: Own,
}

/// The names of nodes or links, in the order of declaration; of many the first ones.
struct Names(Vec<String>);

/// How many names of nodes, and of links, the `Debug` text of a lab has.
const NAMED: usize = 8;

impl Topology {
    /// Builds the network that this describes: the one step that touches the kernel.
    ///
    /// When it comes back, every pair of nodes that the plan says can talk, can (but for switches with
    /// the spanning tree protocol, which takes half a minute to settle).
    ///
    /// It takes `CAP_SYS_ADMIN` and `CAP_NET_ADMIN`: those of a [`netns_test`](crate::netns_test) body, of
    /// a program under `unshare -Urnm`, or of root. The caller stays where it is, and what is built
    /// is gone when the [`Lab`] is dropped.
    ///
    /// # Errors
    ///
    /// The mistakes of the [plan](Topology::plan), all at once; a step that the kernel refuses, with
    /// the object's name and the reason. Nothing is left then.
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
        let common = Common::new(plan.hosts_text());
        let (fabric, own) = assemble(plan)?;
        if fabric.hosts.iter().any(|host| host.kind() == NodeKind::Local) {
            // Programs of the caller's own host begin where this thread is.
            common.programs.prepare()?;
        }
        Ok(Lab::new(Arc::new(fabric), Panics::default(), common, own))
    }
}

impl Lab {
    fn new(fabric: Arc<Fabric>, panics: Panics, common: Common, own: Own) -> Self {
        let builder = process::id();
        let mut lab =
            Self { fabric, nodes: Vec::new(), links: Vec::new(), panics, builder, common, own };
        lab.make_handles();
        lab
    }

    /// What an extended lab is.
    pub(crate) fn grow_into(&mut self, fabric: Arc<Fabric>) {
        self.fabric = fabric;
        self.make_handles();
    }

    /// Makes the handles of all nodes and links.
    fn make_handles(&mut self) {
        let fabric = &self.fabric;
        let shared = || (self.panics.clone(), self.common.clone());
        let nodes = 0..fabric.hosts.len();
        self.nodes = nodes.map(|at| Node::new(Arc::clone(fabric), at, shared())).collect();
        let links = 0..fabric.plan.links().len();
        self.links = links.map(|at| Link::new(Arc::clone(fabric), at)).collect();
    }

    /// Kills and reaps the programs that have been started on a node.
    pub(crate) fn end_programs_on(&self, node: &str) {
        self.common.programs.end_on(node);
    }

    /// Has waits for nodes know the names of this text of `/etc/hosts`.
    pub(crate) fn rename(&self, names: &str) {
        self.common.rename(names);
    }

    pub(crate) fn covered(&self) -> Option<&Covered> {
        self.own.covered.as_ref()
    }

    pub(crate) fn own(&mut self) -> &mut Own {
        &mut self.own
    }

    /// What was built.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.fabric.plan
    }

    /// The nodes, in the order of declaration.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter()
    }

    /// The links, in the order of declaration.
    pub fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.iter()
    }

    /// The node of that name, if there is one.
    #[must_use]
    pub fn host(&self, name: &str) -> Option<&Node> {
        self.nodes().find(|host| host.name() == name)
    }

    /// What its nodes do without, where the kernel has refused it, as sentences with the node's name and
    /// the kernel's reason: a `/sys` of their own, ping without rights. Empty where nothing is lacking.
    /// They are for people: their words may change.
    ///
    /// They are printed on stderr, too, once they are known: a test runner shows that with a test that
    /// fails.
    #[must_use]
    pub fn limitations(&self) -> Vec<String> {
        let there = self.nodes().map(|host| (host.name(), host.live().limitations()));
        let there: Vec<_> = there.collect();
        limitation::sentences(there.iter().map(|(name, all)| (*name, all.as_slice())))
    }

    pub(crate) fn fabric(&self) -> &Arc<Fabric> {
        &self.fabric
    }
}

impl fmt::Debug for Lab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes = Names(self.nodes().map(|host| host.name().to_owned()).collect());
        let ends = |at| self.fabric.plan.link_label(at).trim_start_matches("link ").to_owned();
        let names = self.links().enumerate();
        let names = names.map(|(at, link)| link.name().map_or_else(|| ends(at), str::to_owned));
        let links = Names(names.collect());
        f.debug_struct("Lab").field("nodes", &nodes).field("links", &links).finish()
    }
}

/// `3 (client, server, home)`
impl fmt::Debug for Names {
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
/// For a node of another topology, and for one that the lab has not been built or extended with.
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
/// For a link of another topology, and for one that the lab has not been built or extended with.
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
        // A fork has copies of all this, and nothing of it is its own.
        if process::id() != self.builder {
            return;
        }
        let here: Vec<_> =
            self.nodes().filter_map(|host| Some((host, host.here().ok()?))).collect();
        for tasks in here.iter().filter_map(|(_, here)| here.tasks.get()) {
            tasks.end();
        }
        if self.nodes().any(|host| host.kind() == NodeKind::Local) {
            // The caller's own network stays.
            drop(self.fabric.heal());
            self.fabric.remove_moved();
        }
        self.common.programs.start_no_more();
        let own = here.iter().filter(|(host, _)| host.kind() != NodeKind::Local);
        let past: Vec<_> = self.nodes().flat_map(|host| host.live().take_past()).collect();
        let networks =
            own.map(|(_, here)| here.place.network()).chain(past.iter().map(AsFd::as_fd));
        let killed = ns_set::kill_all_in(&networks.collect::<Vec<_>>());
        self.common.programs.end();
        let left = killed.err().map(|failure| format!("end of the lab: {failure}"));
        let kept = self.own.guest.as_mut().map(Guest::take_back);
        let left: Vec<String> = left.into_iter().chain(kept.into_iter().flatten()).collect();
        let panics = self.panics.take();
        let told: Vec<String> = panics.into_iter().chain(left.clone()).collect();
        if !std::thread::panicking() {
            assert!(told.is_empty(), "{}", told.join("\n"));
        }
        // Nothing has printed these yet, other than a panic of a host.
        left.iter().for_each(|left| eprintln!("netns-test: {left}"));
    }
}
