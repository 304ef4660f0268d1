//! Power of nodes.
//!
//! An end of a link that is in no namespace would be destroyed with the whole link. So the
//! namespaces for the next power-on are made at power-off, and the ends wait there, down.

pub(crate) mod freeze;
pub(crate) mod shut_down;

use std::net::IpAddr;
use std::sync::Arc;

use crate::addr::link_local::link_local;
use crate::error::{Failure, Result, located};
use crate::evidence::facts::event::{Event, EventKind};
use crate::evidence::log;
use crate::lab::build::etc_files::names::Names;
use crate::lab::build::namespaces;
use crate::lab::build::requests::set_up_node;
use crate::lab::fabric::described;
use crate::lab::fabric::ends::End;
use crate::lab::fabric::moved::{Current, current};
use crate::lab::fabric::node::Namespaces;
use crate::lab::fabric::ready;
use crate::lab::fabric::ready::Awaited;
use crate::lab::fabric::state::Fabric;
use crate::lab::plan::InterfaceKind;
use crate::lab::run::lab::Lab;
use crate::lab::run::programs::spawner::Programs;
use crate::lab::topology::{NodeId, NodeKind};
use crate::netlink;
use crate::sys::ns::ns_set;

impl Lab {
    /// Cuts the power of a node. Its links lose carrier, then its programs are killed, and its
    /// tasks end at their next `.await`. Its network, with all changes to it, is lost. Peers get no
    /// FIN or RST, so their connections hang.
    ///
    /// Threads of the test on the node, and sockets that the test holds, continue in the old
    /// network, which has no interfaces to other nodes. Programs that such a thread starts later
    /// are killed with the lab. Until the node is [on](Self::power_on), calls that need its network
    /// return an error ([`is_powered_off`](crate::Error::is_powered_off)), and those without a
    /// `Result`, such as [`run`](crate::Node::run), panic.
    ///
    /// # Errors
    ///
    /// A node that is off already, or is the caller's own network; a request that the kernel
    /// refuses. A process that still exists ten seconds after SIGKILL is an error, too; the node is
    /// off then.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn test(
    /// #     lab: netns_test::Lab,
    /// #     [client, server]: [netns_test::NodeId; 2],
    /// # ) -> netns_test::Result<()> {
    /// lab.power_off(server)?;
    /// assert!(!lab[server].is_on());
    /// lab.power_on(server)?;
    /// lab[server].command("nginx").spawn()?; // Programs do not start again by themselves.
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn power_off(&self, node: NodeId) -> Result<()> {
        located(self.fabric().power_off(self.programs(), node))
    }

    /// Powers a node on, in new namespaces. It has the interfaces, addresses, routes and sysctls of
    /// the plan, as changed by moves of links. Returns when packets pass on its links, except links
    /// that are down at the other end.
    ///
    /// # Errors
    ///
    /// A node that is on; a request that the kernel refuses, which leaves the node off; a link
    /// without carrier after 30 seconds.
    #[track_caller]
    pub fn power_on(&self, node: NodeId) -> Result<()> {
        located(self.fabric().power_on(node))
    }
}

impl Fabric {
    pub(crate) fn power_off(&self, programs: &Programs, node: NodeId) -> Result<()> {
        let done = self.try_power_off(programs, node);
        self.note_power(node, "off");
        done
    }

    fn try_power_off(&self, programs: &Programs, node: NodeId) -> Result<()> {
        let step = "power off";
        let (at, fabric) = (self.position_of(step, node)?, self);
        let node = &fabric.nodes[at];
        let links = fabric.links.lock();
        let invalid = |why| Err(Failure::new(step, node.name(), why).into());
        let Ok(here) = node.here() else { return invalid("it is off") };
        if node.kind() == NodeKind::Local {
            return invalid("it is the caller's own network");
        }
        let old = here.place.network().try_clone_to_owned();
        let old = old.map_err(|error| node.failure("duplicate", "the network", &error))?;
        // The links go first, so that a killed program sends no FIN or RST.
        let moved = cut_off(fabric, at, &here, &links)?;
        if let Some(tasks) = here.tasks.get() {
            tasks.end();
        }
        node.mapper.end();
        #[cfg(feature = "dns")]
        let closed = fabric.dns.close(at);
        // Also programs that have moved to another network.
        programs.end_on(node.name());
        let killed = ns_set::kill_all_in(&[here.place.network()]);
        drop(here);
        node.keep(old);
        fabric.partitions.forget(at);
        moved?;
        #[cfg(feature = "dns")]
        closed?;
        for (_, far) in pairs_at(&links, at) {
            if let Ok(there) = fabric.nodes[far.node].here() {
                ready::wait_off(&there, &[fabric.awaited(far)])?;
            }
        }
        Ok(killed?)
    }

    pub(crate) fn power_on(&self, node: NodeId) -> Result<()> {
        let done = self.try_power_on(node);
        self.note_power(node, "on");
        done
    }

    /// Notes the change in the log of the test, with the networks that the nodes have now.
    fn note_power(&self, node: NodeId, state: &str) {
        let Some(at) = self.plan.position(node) else { return };
        let name = &self.plan.nodes()[at].name;
        log::note(|| Event::of(EventKind::Power, name, state).with("state", state));
        described::report_networks(self);
    }

    fn try_power_on(&self, node: NodeId) -> Result<()> {
        let (at, fabric) = (self.position_of("power on", node)?, self);
        let node = &fabric.nodes[at];
        let links = fabric.links.lock();
        let is_on = || Failure::new("power on", node.name(), "it is on");
        let here = node.off().ok_or_else(is_on)?;
        let planned = fabric.now();
        let now = current(&planned, &fabric.indexes, &links);
        // Partitions apply before the first packet.
        let new = addresses(&now, at);
        let expected = fabric.partitions.expect(&fabric.nodes, &new, Some((at, Arc::clone(&here))));
        let started = expected.and_then(|()| start(fabric, &now, at, &here, &links));
        let carrying = started.inspect_err(|_| {
            // The changes so far go with these namespaces.
            drop(cut_off(fabric, at, &here, &links));
            fabric.partitions.forget(at);
            drop(fabric.partitions.arrived(&fabric.nodes, &new));
        })?;
        node.turn_on();
        fabric.follow_node(&links, at)?;
        fabric.reflect_node(&links, at)?;
        Names::of(&now.plan).give(at, (node.name(), &here))?;
        fabric.partitions.arrived(&fabric.nodes, &new)?;
        carrying.iter().try_for_each(|end| fabric.wait_on_if_up(end))?;
        // VLANs and macvlans on these ends.
        let carries = |name: &str| carrying.iter().any(|end| end.node == at && end.name == name);
        let awaited = ready::awaited(&fabric.plan, at, &fabric.indexes, |one| match &one.kind {
            InterfaceKind::Veth { .. } => false,
            InterfaceKind::Vlan { lower, .. } | InterfaceKind::Macvlan { lower, .. } => {
                carries(lower)
            }
            _ => true,
        });
        let awaited: Vec<_> = awaited.into_iter().map(Awaited::if_up).collect();
        ready::wait_on(&here, &awaited)?;
        fabric.serve_port_mapping(at, true)?;
        #[cfg(feature = "dns")]
        fabric.serve_names_on(at)?;
        fabric.forget_failures(&links)
    }
}

/// Marks the node off, and moves the ends of its links to the namespaces for the next power-on. The
/// inner error is that of a move.
fn cut_off(
    fabric: &Fabric,
    at: usize,
    here: &Namespaces,
    links: &[[End; 2]],
) -> Result<Result<(), Failure>> {
    let planned = fabric.now();
    let names = Names::of(&planned);
    let next = Arc::new(Namespaces::new(namespaces::make_next(&planned, &names, at, here)?));
    let own = links.iter().flatten().filter(|end| end.node == at);
    let there = next.place.network();
    let moves =
        own.map(|end| netlink::link::move_to(fabric.label(end), end.index, there, &end.name));
    let moves: Vec<_> = moves.collect();
    // Marked first, so that others that miss the ends can report why.
    drop(fabric.nodes[at].turn_off(Arc::clone(&next)));
    let moved = here.netlink.ask_all(&moves);
    if let Some(hub) = &fabric.hub {
        hub.forget_node(at);
        hub.reflect_node(links, at)?;
    }
    Ok(moved)
}

/// Returns the addresses of a node after power-on, with link-local ones.
fn addresses(now: &Current<'_>, at: usize) -> Vec<(usize, IpAddr)> {
    let all = now.plan.nodes()[at].interfaces.iter();
    let own = all.flat_map(|one| {
        let given = one.addresses.iter().map(|address| address.address());
        given.chain(one.mac.map(link_local))
    });
    own.map(|address| (at, address)).collect()
}

/// Sets up a node whose namespaces have the ends of its links. Returns the ends that will have
/// carrier, of both sides.
fn start<'a>(
    fabric: &Fabric,
    now: &Current<'_>,
    at: usize,
    here: &Namespaces,
    links: &'a [[End; 2]],
) -> Result<Vec<&'a End>> {
    let planned = fabric.plan.nodes()[at].interfaces.len();
    let own: Vec<&End> = links.iter().flatten().filter(|end| end.node == at).collect();
    // Ends that have moved to the node come after the planned ones.
    let is_there = |place: usize| place >= planned || is_there(fabric, at, place, &own);
    set_up_node(&now.plan, at, &now.indexes, here, is_there)?;
    let mut carrying = Vec::new();
    for (near, far) in pairs_at(links, at) {
        let Ok(there) = fabric.nodes[far.node].here() else { continue };
        if is_up(&there, far)? {
            carrying.extend([near, far]);
        }
    }
    Ok(carrying)
}

/// Returns whether a planned interface can exist: not an end that has moved away, nor an interface
/// on top of such an end.
fn is_there(fabric: &Fabric, at: usize, place: usize, own: &[&End]) -> bool {
    let interfaces = &fabric.plan.nodes()[at].interfaces;
    match &interfaces[place].kind {
        InterfaceKind::Veth { .. } => own.iter().any(|end| end.planned == Some(place)),
        InterfaceKind::Vlan { lower, .. } | InterfaceKind::Macvlan { lower, .. } => {
            let lower = interfaces.iter().position(|interface| interface.name == *lower);
            lower.is_some_and(|lower| is_there(fabric, at, lower, own))
        }
        _ => true,
    }
}

/// Returns the ends at a node, each with the other end of its link.
fn pairs_at(links: &[[End; 2]], at: usize) -> impl Iterator<Item = (&End, &End)> {
    let both = links.iter().flat_map(|[one, other]| [(one, other), (other, one)]);
    both.filter(move |(near, _)| near.node == at)
}

fn is_up(here: &Namespaces, end: &End) -> Result<bool> {
    let there = here.netlink.interfaces()?;
    Ok(there.iter().any(|one| one.index == end.index && one.is_up))
}

impl Fabric {
    /// Returns the index of a switch's bridge.
    pub(crate) fn bridge_of(&self, node: usize) -> Option<u32> {
        let interfaces = &self.plan.nodes()[node].interfaces;
        let is_bridge = |kind: &InterfaceKind| matches!(kind, InterfaceKind::Bridge { .. });
        let at = interfaces.iter().position(|interface| is_bridge(&interface.kind));
        at.map(|at| self.indexes.at(node, at))
    }
}
