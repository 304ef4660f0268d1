//! A link of a running lab.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::addr::cidr::Cidr;
use crate::addr::link_local::is_link_local;
use crate::error::{Result, located};
use crate::lab::build::requests::routes_of;
use crate::lab::fabric::ends::End;
use crate::lab::fabric::moved::current;
use crate::lab::fabric::ready;
use crate::lab::fabric::state::Fabric;
use crate::lab::plan::{InterfaceKind, InterfacePlan, NodePlan, Plan, RoutePlan};
use crate::netlink;

/// A link of a [`Lab`](crate::Lab): a cable with its two ends.
pub struct Link {
    fabric: Arc<Fabric>,
    at: usize,
}

impl Link {
    pub(crate) fn new(fabric: Arc<Fabric>, at: usize) -> Self {
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
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn main() -> netns_test::Result<()> {
    /// use netns_test::Topology;
    ///
    /// let mut net = Topology::new();
    /// let (client, server) = (net.host("client"), net.host("server"));
    /// let wan = net.link(client, server).id();
    /// let lab = net.build()?;
    /// lab[wan].down()?;
    /// let error = lab[client].run(|| std::net::TcpStream::connect("server:80")).unwrap_err();
    /// assert_eq!(error.kind(), std::io::ErrorKind::NetworkUnreachable);
    /// lab[wan].up()?;
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn down(&self) -> Result<()> {
        located(self.try_down())
    }

    fn try_down(&self) -> Result<()> {
        // Nobody moves it meanwhile.
        let cables = self.fabric.cables.lock();
        let ends = &cables[self.at];
        let nodes = ends.iter().map(|end| self.fabric.hosts[end.node].here());
        let nodes = nodes.collect::<Result<Vec<_>, _>>()?;
        // Nobody takes an address away meanwhile, which would come back.
        let _turns: Vec<_> = nodes.iter().map(|here| here.change()).collect();
        let before = nodes.iter().map(|here| here.netlink.addresses());
        let before = before.collect::<Result<Vec<_>, _>>()?;
        self.set_up(ends, false)?;
        // Those of IPv6 go where the node's sysctls could not be set.
        for ((here, before), end) in nodes.iter().zip(before).zip(ends) {
            let after = here.netlink.addresses()?;
            let lost = before.iter().filter(|one| !after.contains(one));
            let lost = lost.filter(|one| !is_link_local(one.cidr.address())).map(|one| {
                let object = format!("{} again on {}", one.cidr.address(), self.fabric.label(end));
                netlink::addr::add(object, one.index, one.cidr)
            });
            here.netlink.ask_all(&lost.collect::<Vec<_>>())?;
        }
        Ok(())
    }

    /// Brings both ends up, with the routes that the plan, or a move of a link, has through them and the
    /// VLANs on them, and waits until packets pass. A node gets no route whose gateway it reached by an
    /// address that it has lost.
    ///
    /// # Errors
    ///
    /// As [`down`](Self::down); at once for an end that a program takes down meanwhile.
    #[track_caller]
    pub fn up(&self) -> Result<()> {
        located(self.try_up())
    }

    fn try_up(&self) -> Result<()> {
        let Fabric { plan, hosts, indexes, cables, .. } = &*self.fabric;
        let cables = cables.lock();
        let ends = &cables[self.at];
        self.set_up(ends, true)?;
        let now = current(plan, indexes, &cables);
        for end in ends {
            let here = hosts[end.node].here()?;
            // Or a gateway could be lost between the look and the route.
            let _turn = here.change();
            let own = here.netlink.addresses()?;
            let own = own.iter().map(|own| own.cidr);
            let lost = lost(&now.plan.nodes()[end.node], &own.collect::<Vec<_>>());
            let is_wanted =
                |route: &RoutePlan| stands_on(&now.plan, end, &route.dev) && !lost.contains(&route);
            let requests = routes_of(&now.plan, end.node, &now.indexes, &here, is_wanted)?;
            let added = here.netlink.ask_all(&requests);
            // A link that is down at this moment is the reason for all else.
            added.or_else(|error| self.fabric.wait_on(end).and(Err(error.into())))?;
        }
        ends.iter().try_for_each(|end| self.fabric.wait_on(end))?;
        for end in ends.iter().filter(|end| end.planned.is_some()) {
            let is_wanted =
                |one: &InterfacePlan| one.name != end.name && stands_on(plan, end, &one.name);
            let awaited = ready::awaited(plan, end.node, indexes, is_wanted);
            ready::wait_on(&*hosts[end.node].here()?, &awaited)?;
        }
        self.fabric.forget_failures(&cables)
    }

    fn set_up(&self, ends: &[End; 2], up: bool) -> Result<()> {
        let Fabric { plan, hosts, .. } = &*self.fabric;
        // Both or none.
        let here = [hosts[ends[0].node].here()?, hosts[ends[1].node].here()?];
        for (end, here) in ends.iter().zip(here) {
            let request = netlink::link::set_up(plan.link_label(self.at), end.index, up, None);
            here.netlink.ask_all(&[request])?;
        }
        Ok(())
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({})", self.fabric.plan.link_label(self.at))
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
