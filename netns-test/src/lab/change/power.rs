//! Nodes that are powered off and on.
//!
//! The ends of links cannot be left without an owner, so the namespaces that a node will have are made
//! when it is powered off, and the ends go there, where they are down.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use crate::addr::link_local::link_local;
use crate::error::{Failure, Result, located};
use crate::lab::build::etc_files;
use crate::lab::build::namespaces;
use crate::lab::build::requests::set_up_node;
use crate::lab::fabric::ends::End;
use crate::lab::fabric::moved::{Current, current};
use crate::lab::fabric::node::Here;
use crate::lab::fabric::ready;
use crate::lab::fabric::ready::Awaited;
use crate::lab::fabric::state::Fabric;
use crate::lab::plan::InterfaceKind;
use crate::lab::run::lab::Lab;
use crate::lab::topology::{NodeId, NodeKind};
use crate::netlink;
use crate::sys::ns::ns_set;

impl Lab {
    /// Powers a node off, as by a power cut: its links lose their carrier, then its programs are killed,
    /// its tasks are ended at their next `.await`, and its network is gone, with all that was set in it.
    /// Nobody is told: connections of others to it hang.
    ///
    /// Threads of the test that are on the host go on, and so do sockets that the test holds: in a network
    /// without interfaces. Programs that such a thread starts from then on end with the lab. [`run`](crate::Node::run) and the like panic until the node is
    /// [on](Self::power_on), what can fail fails.
    ///
    /// # Errors
    ///
    /// A node that is off, or is the caller's own network; what the kernel refuses; a process that is there
    /// ten seconds after it was killed, with the node off.
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
        located(self.try_power_off(node))
    }

    fn try_power_off(&self, node: NodeId) -> Result<()> {
        let step = "power off";
        let (at, fabric) = (self.position_of(step, node)?, self.fabric());
        let host = &fabric.hosts[at];
        let cables = fabric.cables.lock();
        let mistake = |why| Err(Failure::new(step, host.name(), why).into());
        let Ok(here) = host.here() else { return mistake("it is off") };
        if host.kind() == NodeKind::Local {
            return mistake("it is the caller's own network");
        }
        let old = here.place.network().try_clone_to_owned();
        let old = old.map_err(|error| host.failure("duplicate", "the network", &error))?;
        // First, so that nothing gets out of what is killed.
        let moved = cut_off(fabric, at, &here, &cables)?;
        if let Some(tasks) = here.tasks.get() {
            tasks.end();
        }
        // Also those that have gone to another network.
        self.end_programs_on(host.name());
        let killed = ns_set::kill_all_in(&[here.place.network()]);
        drop(here);
        host.keep(old);
        fabric.partitions.forget(at);
        moved?;
        for (_, far) in pairs_at(&cables, at) {
            if let Ok(there) = fabric.hosts[far.node].here() {
                ready::wait_off(&there, &[fabric.awaited(far)])?;
            }
        }
        Ok(killed?)
    }

    /// Powers a node on: with fresh namespaces, and the interfaces, addresses, routes and sysctls that
    /// the plan has for it, or that moves of links have given it since. It comes back when its links carry
    /// packets, but for those that are down at the other end.
    ///
    /// # Errors
    ///
    /// A node that is on; what the kernel refuses, which leaves it off; a link that carries nothing after
    /// half a minute.
    #[track_caller]
    pub fn power_on(&self, node: NodeId) -> Result<()> {
        located(self.try_power_on(node))
    }

    fn try_power_on(&self, node: NodeId) -> Result<()> {
        let (at, fabric) = (self.position_of("power on", node)?, self.fabric());
        let host = &fabric.hosts[at];
        let cables = fabric.cables.lock();
        let is_on = || Failure::new("power on", host.name(), "it is on");
        let here = host.off().ok_or_else(is_on)?;
        let now = current(&fabric.plan, &fabric.indexes, &cables);
        // Before the first packet.
        let new = addresses(&now, at);
        let expected = fabric.partitions.expect(&fabric.hosts, &new, Some((at, Arc::clone(&here))));
        let started = expected.and_then(|()| start(fabric, &now, at, &here, &cables));
        let carrying = started.inspect_err(|_| {
            // What has been done so far goes with these namespaces.
            drop(cut_off(fabric, at, &here, &cables));
            fabric.partitions.forget(at);
            drop(fabric.partitions.arrived(&fabric.hosts, &new));
        })?;
        host.turn_on();
        let names = now.plan.hosts_text();
        if names != fabric.plan.hosts_text() {
            let written = host.run(|| etc_files::rewrite(Path::new("/etc/hosts"), names))?;
            written.map_err(|error| host.failure("write", "/etc/hosts", &error))?;
        }
        fabric.partitions.arrived(&fabric.hosts, &new)?;
        carrying.iter().try_for_each(|end| fabric.wait_on_if_up(end))?;
        // What stands on them.
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
        fabric.forget_failures(&cables)
    }
}

/// Moves the ends of links that a node has to fresh namespaces, which it has from then on, off. The inner
/// error is one of the moves.
fn cut_off(
    fabric: &Fabric,
    at: usize,
    here: &Here,
    cables: &[[End; 2]],
) -> Result<Result<(), Failure>> {
    let later = Arc::new(Here::new(namespaces::make_one(&fabric.plan, at)?));
    let own = cables.iter().flatten().filter(|end| end.node == at);
    let there = later.place.network();
    let moves =
        own.map(|end| netlink::link::move_to(fabric.label(end), end.index, there, &end.name));
    let moves: Vec<_> = moves.collect();
    // First, so that who misses them can say why.
    drop(fabric.hosts[at].turn_off(Arc::clone(&later)));
    Ok(here.netlink.ask_all(&moves))
}

/// The addresses that a node is to have, link-local ones, too.
fn addresses(now: &Current<'_>, at: usize) -> Vec<(usize, IpAddr)> {
    let all = now.plan.nodes()[at].interfaces.iter();
    let own = all.flat_map(|one| {
        let given = one.addresses.iter().map(|address| address.address());
        given.chain(one.mac.map(link_local))
    });
    own.map(|address| (at, address)).collect()
}

/// Sets a node up that has the ends of its links. Gives the ends that will carry packets, at both sides.
fn start<'a>(
    fabric: &Fabric,
    now: &Current<'_>,
    at: usize,
    here: &Here,
    cables: &'a [[End; 2]],
) -> Result<Vec<&'a End>> {
    let planned = fabric.plan.nodes()[at].interfaces.len();
    let own: Vec<&End> = cables.iter().flatten().filter(|end| end.node == at).collect();
    // What has come to the node is after the planned ones.
    let is_there = |place: usize| place >= planned || is_there(fabric, at, place, &own);
    set_up_node(&now.plan, at, &now.indexes, here, is_there)?;
    let mut carrying = Vec::new();
    for (near, far) in pairs_at(cables, at) {
        let Ok(there) = fabric.hosts[far.node].here() else { continue };
        if is_up(&there, far)? {
            carrying.extend([near, far]);
        }
    }
    Ok(carrying)
}

/// Whether the plan's interface can be there: an end that has not been moved away, or what does not
/// stand on one that has.
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

/// The ends at a node, each with the other one of its link.
fn pairs_at(cables: &[[End; 2]], at: usize) -> impl Iterator<Item = (&End, &End)> {
    let both = cables.iter().flat_map(|[one, other]| [(one, other), (other, one)]);
    both.filter(move |(near, _)| near.node == at)
}

fn is_up(here: &Here, end: &End) -> Result<bool> {
    let there = here.netlink.interfaces()?;
    Ok(there.iter().any(|one| one.index == end.index && one.is_up))
}

impl Fabric {
    /// The index of the bridge of a switch.
    pub(crate) fn bridge_of(&self, node: usize) -> Option<u32> {
        let interfaces = &self.plan.nodes()[node].interfaces;
        let is_bridge = |kind: &InterfaceKind| matches!(kind, InterfaceKind::Bridge { .. });
        let at = interfaces.iter().position(|interface| is_bridge(&interface.kind));
        at.map(|at| self.indexes.at(node, at))
    }
}
