//! A link of a running lab.

use std::net::IpAddr;
use std::sync::Arc;

use super::build::{label, ready, routes_of};
use super::cables::End;
use super::change::is_link_local;
use super::cidr::Cidr;
use super::plan::{InterfaceKind, InterfacePlan, NodePlan, Plan, RoutePlan};
use super::running::Fabric;
use crate::error::Result;
use crate::netlink::requests;

/// A link of a [`Lab`](super::Lab): a cable with its two ends.
#[derive(Debug)]
pub struct Link {
    fabric: Arc<Fabric>,
    at: usize,
}

impl Link {
    pub(super) fn new(fabric: Arc<Fabric>, at: usize) -> Self {
        Self { fabric, at }
    }

    /// The name of the link, if it was given one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.fabric.plan.links()[self.at].name.as_deref()
    }

    /// Takes both ends down, as `ip link set down` does: nothing passes, and neither node has a
    /// route through it. Addresses stay; link-local ones go.
    ///
    /// # Errors
    ///
    /// ENODEV where somebody has deleted it; where a node at one of its ends is powered off.
    pub fn down(&self) -> Result<()> {
        // Nobody moves it meanwhile.
        let cables = self.fabric.cables.lock();
        let ends = &cables[self.at];
        let nodes = ends.iter().map(|end| self.fabric.hosts[end.node].here());
        let nodes = nodes.collect::<Result<Vec<_>, _>>()?;
        let before = nodes.iter().map(|here| here.netlink.addresses());
        let before = before.collect::<Result<Vec<_>, _>>()?;
        self.set_up(ends, false)?;
        // Those of IPv6 go where the node's sysctls could not be set.
        for ((here, before), end) in nodes.iter().zip(before).zip(ends) {
            let after = here.netlink.addresses()?;
            let lost = before.iter().filter(|one| !after.contains(one));
            let lost = lost.filter(|one| !is_link_local(one.address)).map(|one| {
                let object = format!("{} again on {}", one.address, self.fabric.label(end));
                requests::address(object, one.index, one.address, one.prefix)
            });
            here.netlink.ask_all(&lost.collect::<Vec<_>>())?;
        }
        Ok(())
    }

    /// Brings both ends up, with the routes that the plan has through them and the VLANs on them, and waits
    /// until packets pass. An end that has been moved gets no routes, and a node none whose gateway it
    /// reached by an address that it has no more.
    ///
    /// # Errors
    ///
    /// As [`down`](Self::down).
    pub fn up(&self) -> Result<()> {
        let Fabric { plan, hosts, indexes, cables, .. } = &*self.fabric;
        let cables = cables.lock();
        let ends = &cables[self.at];
        self.set_up(ends, true)?;
        for end in ends.iter().filter(|end| end.planned.is_some()) {
            let here = hosts[end.node].here()?;
            let own = here.netlink.addresses()?;
            let own = own.iter().filter_map(|own| Cidr::new(own.address, own.prefix).ok());
            let lost = lost(&plan.nodes()[end.node], &own.collect::<Vec<_>>());
            let is_wanted =
                |route: &RoutePlan| stands_on(plan, end, &route.dev) && !lost.contains(&route);
            here.netlink.ask_all(&routes_of(plan, end.node, indexes, &here, is_wanted)?)?;
        }
        ends.iter().try_for_each(|end| self.fabric.wait_on(end))?;
        for end in ends.iter().filter(|end| end.planned.is_some()) {
            let is_wanted =
                |one: &InterfacePlan| one.name != end.name && stands_on(plan, end, &one.name);
            let awaited = ready::awaited(plan, end.node, indexes, is_wanted);
            ready::wait_on(&hosts[end.node].here()?.netlink, &awaited)?;
        }
        Ok(())
    }

    fn set_up(&self, ends: &[End; 2], up: bool) -> Result<()> {
        let Fabric { plan, hosts, .. } = &*self.fabric;
        // Both or none.
        let here = [hosts[ends[0].node].here()?, hosts[ends[1].node].here()?];
        for (end, here) in ends.iter().zip(here) {
            let request = requests::set_up(label(plan, self.at), end.index, up, None);
            here.netlink.ask_all(&[request])?;
        }
        Ok(())
    }
}

/// Whether the interface of this name is the end, or a VLAN on it: these go down and up with it.
fn stands_on(plan: &Plan, end: &End, name: &str) -> bool {
    let is_on_it = |kind: &InterfaceKind| matches!(kind, InterfaceKind::Vlan { lower, .. } if *lower == end.name);
    let mut all = plan.nodes()[end.node].interfaces.iter().filter(|one| one.name == name);
    end.name == name || all.any(|one| is_on_it(&one.kind))
}

/// The routes of a node that lead by an address which the plan gives it, and which it has no more.
fn lost<'a>(node: &'a NodePlan, own: &[Cidr]) -> Vec<&'a RoutePlan> {
    let planned: Vec<Cidr> =
        node.interfaces.iter().flat_map(|one| &one.addresses).copied().collect();
    let is_near = |all: &[Cidr], via: IpAddr| all.iter().any(|one| one.is_near(via));
    let is_lost = |route: &&RoutePlan| {
        route.via.is_some_and(|via| is_near(&planned, via) && !is_near(own, via))
    };
    node.routes.iter().filter(is_lost).collect()
}
