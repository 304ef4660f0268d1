//! A running lab.

use std::ops::Index;
use std::os::fd::AsFd;
use std::sync::Arc;

use super::build::ready::{self, Awaited};
use super::build::{Covered, Guest, Indexes, name_of};
use super::cables::{Cables, End};
use super::host::Host;
use super::journal::Journal;
use super::link::Link;
use super::panics::Panics;
use super::partition::Partitions;
use super::plan::Plan;
use super::programs::Common;
use super::topology::{LinkId, NodeId, NodeKind};
use crate::error::Result;
use crate::netlink::requests;
use crate::sys::{place, process};

/// A network that has been built ([`Topology::build`](super::Topology::build)): `lab[node]` is a
/// [`Host`], `lab[link]` a [`Link`].
///
/// Dropped, it ends all that runs on its hosts: tasks, and every process that is in one of their
/// networks, by SIGKILL; on a [`local`](super::Topology::local) host, the programs that the lab
/// has started there. What programs have written is printed then. With the last thread that was there the kernel takes the network down.
///
/// # Panics
///
/// When it is dropped, if a task or a thread on a host has panicked, a process is there ten seconds after
/// it was killed, or the caller's own network is not as it was: the test is not to pass then.
#[derive(Debug)]
pub struct Lab {
    fabric: Arc<Fabric>,
    links: Vec<Link>,
    panics: Panics,
    /// The process that has built it.
    builder: process::Pid,
    common: Common,
    own: Own,
}

/// What is to be taken back in the caller's own network and files, if it is a node, too.
#[derive(Debug, Default)]
pub(super) struct Own {
    /// Its `/etc/hosts`.
    pub(super) covered: Option<Covered>,
    pub(super) guest: Option<Guest>,
}

/// What hosts and links have in common.
#[derive(Debug)]
pub(super) struct Fabric {
    pub(super) plan: Plan,
    pub(super) hosts: Vec<Arc<Host>>,
    pub(super) indexes: Indexes,
    pub(super) cables: Arc<Cables>,
    pub(super) partitions: Arc<Partitions>,
    /// Of the caller's own network.
    pub(super) journal: Arc<Journal>,
}

impl Lab {
    pub(super) fn new(fabric: Arc<Fabric>, panics: Panics, common: Common, own: Own) -> Self {
        let links = links_of(&fabric);
        Self { fabric, links, panics, builder: process::id(), common, own }
    }

    /// What an extended lab is.
    pub(super) fn grow_into(&mut self, fabric: Arc<Fabric>) {
        self.common.rename(fabric.plan.hosts_text());
        self.links = links_of(&fabric);
        self.fabric = fabric;
    }

    /// What hosts that are added share with the others.
    pub(super) fn shared(&self) -> (Panics, Common) {
        (self.panics.clone(), self.common.clone())
    }

    pub(super) fn own(&mut self) -> &mut Own {
        &mut self.own
    }

    /// What was built.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.fabric.plan
    }

    /// The nodes, in the order of declaration.
    pub fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.fabric.hosts.iter().map(|host| &**host)
    }

    /// The links, in the order of declaration.
    pub fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.iter()
    }

    /// The node of that name, if there is one.
    #[must_use]
    pub fn host(&self, name: &str) -> Option<&Host> {
        self.hosts().find(|host| host.name() == name)
    }

    pub(super) fn fabric(&self) -> &Arc<Fabric> {
        &self.fabric
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
                drop(here.netlink.ask_all(&[requests::no_interface(self.label(end), end.index)]));
            }
        }
    }

    /// What is waited for at the end of a link.
    pub(super) fn awaited(&self, end: &End) -> Awaited {
        Awaited { index: end.index, label: self.label(end) }
    }

    /// Waits until the end of a link carries packets.
    pub(super) fn wait_on(&self, end: &End) -> Result<()> {
        ready::wait_on(&self.hosts[end.node].here()?.netlink, &[self.awaited(end)])
    }

    /// What a message calls the end of a link.
    pub(super) fn label(&self, end: &End) -> String {
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
    type Output = Host;

    #[track_caller]
    fn index(&self, node: NodeId) -> &Host {
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
            self.hosts().filter_map(|host| Some((host, host.here().ok()?))).collect();
        for tasks in here.iter().filter_map(|(_, here)| here.tasks.get()) {
            tasks.end();
        }
        if self.hosts().any(|host| host.kind() == NodeKind::Local) {
            // The caller's own network stays.
            drop(self.heal());
            self.fabric.remove_moved();
        }
        self.common.programs.start_no_more();
        let own = here.iter().filter(|(host, _)| host.kind() != NodeKind::Local);
        let past: Vec<_> = self.hosts().flat_map(Host::take_past).collect();
        let networks =
            own.map(|(_, here)| here.place.network()).chain(past.iter().map(AsFd::as_fd));
        let killed = place::kill_all_in(&networks.collect::<Vec<_>>());
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
