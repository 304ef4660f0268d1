//! The handle of a link: takes it down and brings it up.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::addr::cidr::Cidr;
use crate::addr::link_local::is_link_local;
use crate::error::{Result, located};
use crate::evidence::facts::event::{Event, EventKind};
use crate::evidence::log;
use crate::lab::build::requests::routes_of;
use crate::lab::fabric::ends::End;
use crate::lab::fabric::moved::current;
use crate::lab::fabric::ready;
use crate::lab::fabric::state::Fabric;
use crate::lab::plan::{InterfaceKind, InterfacePlan, NodePlan, Plan, RoutePlan};
use crate::netlink;

/// Link of a [`Lab`](crate::Lab): a veth pair with its two ends. The frames of a link that can be
/// impaired are passed from one veth pair to another.
pub struct Link {
    fabric: Arc<Fabric>,
    at: usize,
}

impl Link {
    pub(crate) fn new(fabric: Arc<Fabric>, at: usize) -> Self {
        Self { fabric, at }
    }

    /// Returns the name of the link, if it has one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.fabric.plan.links()[self.at].name.as_deref()
    }

    /// Takes both ends down, as `ip link set down` does: no packet passes, and neither node has a
    /// route through the link. Addresses stay, except link-local ones.
    ///
    /// # Errors
    ///
    /// ENODEV if another program has deleted an end; a node at one of the ends that is powered off.
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
        self.note("down");
        located(self.try_down())
    }

    pub(crate) fn fabric(&self) -> &Fabric {
        &self.fabric
    }

    /// Returns the position of the link in the plan.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// Notes the change in the log of the test.
    pub(crate) fn note(&self, state: &str) {
        log::note(|| {
            let label = self.fabric.plan.link_label(self.at);
            let event = Event::of(EventKind::Link, "", format!("{label} {state}"));
            event.with("link", self.at).with("state", state)
        });
    }

    fn try_down(&self) -> Result<()> {
        // The lock keeps the ends from being moved meanwhile.
        let links = self.fabric.links.lock();
        let ends = &links[self.at];
        let nodes = ends.iter().map(|end| self.fabric.nodes[end.node].here());
        let nodes = nodes.collect::<Result<Vec<_>, _>>()?;
        // These locks keep addresses from being removed meanwhile: they would be added again.
        let _turns: Vec<_> = nodes.iter().map(|here| here.change()).collect();
        let before = nodes.iter().map(|here| here.netlink.addresses());
        let before = before.collect::<Result<Vec<_>, _>>()?;
        self.set_up(&links, false)?;
        // IPv6 addresses are lost if the sysctl that keeps them was refused.
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

    /// Brings both ends up and waits until packets pass. Adds the routes through the ends, and
    /// through VLANs on them, again: those of the plan, or of the last move of a link. A route is
    /// left out if the node no longer has an address in the gateway's subnet.
    ///
    /// # Errors
    ///
    /// As [`down`](Self::down); also if another program takes an end down meanwhile.
    #[track_caller]
    pub fn up(&self) -> Result<()> {
        self.note("up");
        located(self.try_up())
    }

    fn try_up(&self) -> Result<()> {
        let Fabric { nodes, indexes, links, .. } = &*self.fabric;
        let plan = &*self.fabric.now();
        let links = links.lock();
        let ends = &links[self.at];
        self.set_up(&links, true)?;
        let now = current(plan, indexes, &links);
        for end in ends {
            let here = nodes[end.node].here()?;
            // The lock keeps addresses of gateways from being removed between this look and the
            // route.
            let _turn = here.change();
            let own = here.netlink.addresses()?;
            let own = own.iter().map(|own| own.cidr);
            let lost = lost(&now.plan.nodes()[end.node], &own.collect::<Vec<_>>());
            let is_wanted =
                |route: &RoutePlan| is_on(&now.plan, end, &route.dev) && !lost.contains(&route);
            let requests = routes_of(&now.plan, end.node, &now.indexes, &here, is_wanted)?;
            let added = here.netlink.ask_all(&requests);
            // If the link is down at this moment, that is the error.
            added.or_else(|error| self.fabric.wait_on(end).and(Err(error.into())))?;
        }
        ends.iter().try_for_each(|end| self.fabric.wait_on(end))?;
        for end in ends.iter().filter(|end| end.planned.is_some()) {
            let is_wanted =
                |one: &InterfacePlan| one.name != end.name && is_on(plan, end, &one.name);
            let awaited = ready::awaited(plan, end.node, indexes, is_wanted);
            ready::wait_on(&*nodes[end.node].here()?, &awaited)?;
        }
        // The neighbour entries of the ends are lost.
        self.fabric.partitions.arrived(nodes, &[])?;
        self.fabric.forget_failures(&links)
    }

    fn set_up(&self, links: &[[End; 2]], up: bool) -> Result<()> {
        let Fabric { plan, nodes, .. } = &*self.fabric;
        let ends = &links[self.at];
        // Both nodes are checked before one end changes.
        let here = [nodes[ends[0].node].here()?, nodes[ends[1].node].here()?];
        for (end, here) in ends.iter().zip(here) {
            let request = netlink::link::set_up(plan.link_label(self.at), end.index, up, None);
            here.netlink.ask_all(&[request])?;
        }
        self.fabric.reflect(links, self.at)
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({})", self.fabric.plan.link_label(self.at))
    }
}

/// Returns whether `name` is the end, or a VLAN on it: these go down and up with it.
fn is_on(plan: &Plan, end: &End, name: &str) -> bool {
    let is_on_it = |kind: &InterfaceKind| matches!(kind, InterfaceKind::Vlan { lower, .. } if *lower == end.name);
    let mut all = plan.nodes()[end.node].interfaces.iter().filter(|one| one.name == name);
    end.name == name || all.any(|one| is_on_it(&one.kind))
}

/// Returns the routes whose gateway is on the subnet of a planned address that the node has lost.
fn lost<'a>(node: &'a NodePlan, own: &[Cidr]) -> Vec<&'a RoutePlan> {
    let planned: Vec<Cidr> =
        node.interfaces.iter().flat_map(|one| &one.addresses).copied().collect();
    let is_near = |all: &[Cidr], via: IpAddr| all.iter().any(|one| one.is_near(via));
    let is_lost = |route: &&RoutePlan| {
        route.via.is_some_and(|via| is_near(&planned, via) && !is_near(own, via))
    };
    node.routes.iter().filter(is_lost).collect()
}
