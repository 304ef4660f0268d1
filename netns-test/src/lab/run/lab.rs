//! A running lab.

use std::fmt;
use std::ops::Index;
use std::os::fd::AsFd;
use std::sync::Arc;

use crate::error::Result;
use crate::lab::build::{Covered, Guest, Indexes, label, name_of};
use crate::lab::fabric::ends::{Cables, End};
use crate::lab::fabric::own_network::undo::Journal;
use crate::lab::fabric::partitions::Partitions;
use crate::lab::fabric::ready;
use crate::lab::fabric::ready::Awaited;
use crate::lab::plan::Plan;
use crate::lab::run::link::Link;
use crate::lab::run::node::Node;
use crate::lab::run::panics::Panics;
use crate::lab::run::spawner::Common;
use crate::lab::topology::{LinkId, NodeId, NodeKind};
use crate::netlink;
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

/// What is to be taken back in the caller's own network and files, if it is a node, too.
#[derive(Debug, Default)]
pub(crate) struct Own {
    /// Its `/etc/hosts`.
    pub(crate) covered: Option<Covered>,
    pub(crate) guest: Option<Guest>,
}

/// What hosts and links have in common.
#[derive(Debug)]
pub(crate) struct Fabric {
    pub(crate) plan: Plan,
    pub(crate) hosts: Vec<Arc<Node>>,
    pub(crate) indexes: Indexes,
    pub(crate) cables: Arc<Cables>,
    pub(crate) partitions: Arc<Partitions>,
    /// Of the caller's own network.
    pub(crate) journal: Arc<Journal>,
}

impl Lab {
    pub(crate) fn new(fabric: Arc<Fabric>, panics: Panics, common: Common, own: Own) -> Self {
        let links = links_of(&fabric);
        Self { fabric, links, panics, builder: process::id(), common, own }
    }

    /// What an extended lab is.
    pub(crate) fn grow_into(&mut self, fabric: Arc<Fabric>) {
        self.links = links_of(&fabric);
        self.fabric = fabric;
    }

    /// What hosts that are added share with the others.
    pub(crate) fn shared(&self) -> (Panics, Common) {
        (self.panics.clone(), self.common.clone())
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
        self.fabric.hosts.iter().map(|host| &**host)
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

    pub(crate) fn fabric(&self) -> &Arc<Fabric> {
        &self.fabric
    }
}

impl fmt::Debug for Lab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes = Names(self.nodes().map(|host| host.name().to_owned()).collect());
        let ends = |at| label(&self.fabric.plan, at).trim_start_matches("link ").to_owned();
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

fn links_of(fabric: &Arc<Fabric>) -> Vec<Link> {
    (0..fabric.plan.links().len()).map(|at| Link::new(Arc::clone(fabric), at)).collect()
}

impl Fabric {
    /// Deletes the ends of links that have been moved to the caller's own network.
    fn remove_moved(&self) {
        let cables = self.cables.lock();
        for end in cables.iter().flatten().filter(|end| end.planned.is_none()) {
            let host = &self.hosts[end.node];
            if let (NodeKind::Local, Ok(here)) = (host.kind(), host.here()) {
                // One that is gone already is as good.
                drop(here.netlink.ask_all(&[netlink::link::delete(self.label(end), end.index)]));
            }
        }
    }

    /// What is waited for at the end of a link.
    pub(crate) fn awaited(&self, end: &End) -> Awaited {
        Awaited { index: end.index, label: self.label(end), may_be_down: false }
    }

    /// Waits until the end of a link carries packets.
    pub(crate) fn wait_on(&self, end: &End) -> Result<()> {
        ready::wait_on(&*self.hosts[end.node].here()?, &[self.awaited(end)])
    }

    /// The same of one that may be down, or become so meanwhile.
    pub(crate) fn wait_on_if_up(&self, end: &End) -> Result<()> {
        ready::wait_on(&*self.hosts[end.node].here()?, &[self.awaited(end).if_up()])
    }

    /// Has the nodes that are on forget that others have not answered them: those may answer now. In the
    /// caller's own network that is done on interfaces of the lab alone.
    pub(crate) fn forget_failures(&self, cables: &[[End; 2]]) -> Result<()> {
        for (at, (host, node)) in self.hosts.iter().zip(self.plan.nodes()).enumerate() {
            let Ok(here) = host.here() else { continue };
            let places = (0..node.interfaces.len()).map(|place| self.indexes.at(at, place));
            let ends = cables.iter().flatten().filter(|end| end.node == at).map(|end| end.index);
            let own: Vec<u32> = places.chain(ends).collect();
            let is_meant = |index| host.kind() != NodeKind::Local || own.contains(&index);
            here.netlink.forget_failures(is_meant)?;
        }
        Ok(())
    }

    /// What a message calls the end of a link.
    pub(crate) fn label(&self, end: &End) -> String {
        name_of(&self.plan, end.node, &end.name)
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
        &self.fabric.hosts[at]
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
            drop(self.heal());
            self.fabric.remove_moved();
        }
        self.common.programs.start_no_more();
        let own = here.iter().filter(|(host, _)| host.kind() != NodeKind::Local);
        let past: Vec<_> = self.nodes().flat_map(Node::take_past).collect();
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
