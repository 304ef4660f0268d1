//! The state of a lab, which all handles share.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use crate::error::Result;
#[cfg(feature = "dns")]
use crate::isolation::{IsolationMode, isolation};
#[cfg(feature = "dns")]
use crate::lab::dns::serve::{servers::Servers, socket::Bound};
use crate::lab::fabric::ends::{End, LinkEnds};
use crate::lab::fabric::hub::Hub;
use crate::lab::fabric::node::{LiveNode, Made};
#[cfg(feature = "dns")]
use crate::lab::fabric::on_thread;
use crate::lab::fabric::own_network::undo::Journal;
use crate::lab::fabric::partitions::Partitions;
use crate::lab::fabric::ready;
use crate::lab::fabric::ready::Awaited;
use crate::lab::impair::hash::Seed;
use crate::lab::plan::Plan;
use crate::lab::plan::ifindex::Indexes;
use crate::lab::plan::labels::name_of;
use crate::lab::topology::{NodeKind, Topology};
use crate::netlink;
use crate::sys::lock::lock;

/// A plan that has been built. `extend` makes a new one, which shares its parts with the old one.
#[derive(Debug)]
pub(crate) struct Fabric {
    /// Number of the lab in its process.
    pub(crate) number: u32,
    /// Seed of all that happens to packets at random.
    pub(crate) seed: Seed,
    /// Topology that was built, with all extensions.
    pub(crate) topology: Topology,
    pub(crate) plan: Arc<Plan>,
    /// Topology and plan with the NATs and firewalls that were set while the lab runs; none as long
    /// as they are as declared.
    live: Mutex<Option<Live>>,
    /// The nodes, in the order of the plan.
    pub(crate) nodes: Vec<Arc<LiveNode>>,
    pub(crate) indexes: Indexes,
    pub(crate) links: Arc<LinkEnds>,
    pub(crate) partitions: Arc<Partitions>,
    /// Changes in the caller's own network.
    pub(crate) journal: Arc<Journal>,
    /// The hub of links that can be impaired, if there are any.
    pub(crate) hub: Option<Arc<Hub>>,
    #[cfg(feature = "dns")]
    pub(crate) dns: Arc<Servers>,
}

/// A topology in which NATs and firewalls are as they are now, and its plan.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    pub(crate) topology: Topology,
    pub(crate) plan: Arc<Plan>,
}

impl Fabric {
    /// Returns the state of a lab whose nodes are `made`, in the order of the plan.
    pub(crate) fn new(
        seed: Seed,
        (topology, plan): (Topology, Plan),
        indexes: Indexes,
        made: Vec<Made>,
        journal: Arc<Journal>,
    ) -> Self {
        let nodes = made.into_iter().zip(plan.nodes());
        Self {
            number: next_number(),
            seed,
            nodes: nodes.map(|(made, node)| Arc::new(LiveNode::new(node, made))).collect(),
            links: Arc::new(LinkEnds::new(&plan, &indexes)),
            partitions: Arc::default(),
            journal,
            hub: None,
            topology,
            plan: Arc::new(plan),
            live: Mutex::new(None),
            indexes,
            #[cfg(feature = "dns")]
            dns: Arc::default(),
        }
    }

    /// Returns the state of the lab after it was extended to `plan`, with `made` for its new nodes.
    /// `hub` is its hub then, if it has one, and `live` what was set while it runs.
    pub(crate) fn grown(
        &self,
        (topology, plan, live): (Topology, Arc<Plan>, Option<Live>),
        indexes: Indexes,
        made: Vec<Made>,
        hub: Option<Arc<Hub>>,
    ) -> Self {
        self.links.grow(&plan, &indexes);
        let added = made.into_iter().zip(&plan.nodes()[self.nodes.len()..]);
        let added = added.map(|(made, node)| Arc::new(LiveNode::new(node, made)));
        Self {
            number: self.number,
            seed: self.seed,
            nodes: self.nodes.iter().cloned().chain(added).collect(),
            links: Arc::clone(&self.links),
            partitions: Arc::clone(&self.partitions),
            journal: Arc::clone(&self.journal),
            hub,
            topology,
            plan,
            live: Mutex::new(live),
            indexes,
            #[cfg(feature = "dns")]
            dns: Arc::clone(&self.dns),
        }
    }

    /// Returns the plan with the NATs and firewalls that the nodes have now. Links are where the
    /// topology has them.
    pub(crate) fn now(&self) -> Arc<Plan> {
        lock(&self.live)
            .as_ref()
            .map_or_else(|| Arc::clone(&self.plan), |live| Arc::clone(&live.plan))
    }

    /// Returns what was set while the lab runs.
    pub(crate) fn live(&self) -> Option<Live> {
        lock(&self.live).clone()
    }

    /// Replaces what was set while the lab runs. The caller has locked the links.
    pub(crate) fn set_live(&self, live: Live) {
        *lock(&self.live) = Some(live);
    }

    /// Makes the server of port mapping of a node that of its present plan and interfaces. With
    /// `forgets` all leases end.
    pub(crate) fn serve_port_mapping(&self, at: usize, forgets: bool) -> Result<()> {
        let (node, planned) = (&self.nodes[at], self.now());
        let Ok(here) = node.here() else { return Ok(()) };
        Ok(node.mapper.follow(&planned.nodes()[at], &here.place, forgets)?)
    }

    /// Makes the name servers know what the present plan says, and answer on all nodes that are on.
    #[cfg(feature = "dns")]
    pub(crate) fn serve_names(&self) -> Result<()> {
        self.dns.follow(&self.now());
        (0..self.nodes.len()).try_for_each(|at| self.serve_names_on(at))
    }

    /// Opens the name server of a node that is on.
    #[cfg(feature = "dns")]
    pub(crate) fn serve_names_on(&self, at: usize) -> Result<()> {
        let Ok(here) = self.nodes[at].here() else { return Ok(()) };
        let planned = self.now();
        // In the machine's own network there may be another server at that address.
        let is_machine = self.nodes[at].kind() == NodeKind::Local
            && isolation().mode() == IsolationMode::Outside;
        if is_machine && planned.dns.on(at) == planned.dns.everywhere() {
            return Ok(());
        }
        let Some(wanted) = self.dns.wanted(&planned, at)? else { return Ok(()) };
        let name = self.nodes[at].name();
        let bound = on_thread::within(&here.place, name, || Bound::open(&wanted, name))?;
        Ok(self.dns.add(bound)?)
    }

    /// Makes the hub follow the states of the ends of links.
    pub(crate) fn follow_ends(&self) -> Result<()> {
        self.hub.as_ref().map_or(Ok(()), |hub| hub.follow(&self.plan, &self.nodes))
    }

    /// Passes the states of both ends of a link on to the hub, if the link goes through it.
    pub(crate) fn reflect(&self, links: &[[End; 2]], at: usize) -> Result<()> {
        self.hub.as_ref().map_or(Ok(()), |hub| hub.reflect(links, at))
    }

    /// Passes the states of the ends at a node on to the hub.
    pub(crate) fn reflect_node(&self, links: &[[End; 2]], node: usize) -> Result<()> {
        self.hub.as_ref().map_or(Ok(()), |hub| hub.reflect_node(links, node))
    }

    /// Passes the states of all ends on to the hub.
    pub(crate) fn reflect_all(&self) -> Result<()> {
        self.hub.as_ref().map_or(Ok(()), |hub| hub.reflect_all(&self.links.lock()))
    }

    /// Makes the hub follow the ends at a node that has come on, or has got one.
    pub(crate) fn follow_node(&self, links: &[[End; 2]], node: usize) -> Result<()> {
        let live = &self.nodes[node];
        self.hub.as_ref().map_or(Ok(()), |hub| hub.follow_node(links, (node, live)))
    }

    /// Removes one partition, or all, and has nodes forget that others have not answered meanwhile.
    pub(crate) fn heal(&self, number: Option<u64>) -> Result<()> {
        let healed = self.partitions.heal(&self.nodes, number);
        // When no rule is left on any node: a request that fails before that fails rightly.
        let forgotten = self.forget_failures(&self.links.lock());
        healed.and(forgotten)
    }

    /// Deletes the ends of links that have been moved to the caller's own network.
    pub(crate) fn remove_moved(&self) {
        let links = self.links.lock();
        for end in links.iter().flatten().filter(|end| end.planned.is_none()) {
            let node = &self.nodes[end.node];
            if let (NodeKind::Local, Ok(here)) = (node.kind(), node.here()) {
                // It may be gone already.
                drop(here.netlink.ask_all(&[netlink::link::delete(self.label(end), end.index)]));
            }
        }
    }

    /// Returns the end of a link as something to wait for.
    pub(crate) fn awaited(&self, end: &End) -> Awaited {
        Awaited { index: end.index, label: self.label(end), may_be_down: false }
    }

    /// Waits until the end of a link carries packets.
    pub(crate) fn wait_on(&self, end: &End) -> Result<()> {
        ready::wait_on(&*self.nodes[end.node].here()?, &[self.awaited(end)])
    }

    /// Waits until the end of a link carries packets, unless it is down or goes down meanwhile.
    pub(crate) fn wait_on_if_up(&self, end: &End) -> Result<()> {
        ready::wait_on(&*self.nodes[end.node].here()?, &[self.awaited(end).if_up()])
    }

    /// Deletes the neighbour entries in state FAILED on the nodes that are on: these neighbours may
    /// answer now. In the caller's own network, only those on interfaces of the lab are deleted.
    pub(crate) fn forget_failures(&self, links: &[[End; 2]]) -> Result<()> {
        for (at, (node, planned)) in self.nodes.iter().zip(self.plan.nodes()).enumerate() {
            let Ok(here) = node.here() else { continue };
            let places = (0..planned.interfaces.len()).map(|place| self.indexes.at(at, place));
            let ends = links.iter().flatten().filter(|end| end.node == at).map(|end| end.index);
            let own: Vec<u32> = places.chain(ends).collect();
            let is_meant = |index| node.kind() != NodeKind::Local || own.contains(&index);
            here.netlink.forget_failures(is_meant)?;
        }
        Ok(())
    }

    /// Formats the end of a link for an error: `eth0 of server`.
    pub(crate) fn label(&self, end: &End) -> String {
        name_of(&self.plan, end.node, &end.name)
    }
}

/// Returns the number of the next lab of this process.
fn next_number() -> u32 {
    static LAST: AtomicU32 = AtomicU32::new(0);
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}
