//! Move of a link to another segment: new addresses for its end, and new routes for all nodes.

use std::net::IpAddr;

use crate::addr::cidr::{Cidr, Subnet};
use crate::addr::link_local::is_link_local;
use crate::error::{Failure, Result};
use crate::lab::build::requests::routes_of;
use crate::lab::fabric::ends;
use crate::lab::fabric::ends::End;
use crate::lab::fabric::moved;
use crate::lab::fabric::moved::Current;
use crate::lab::fabric::node::Namespaces;
use crate::lab::fabric::state::Fabric;
use crate::lab::plan::addresses::pool;
use crate::lab::plan::{InterfaceRef, RoutePlan};
use crate::lab::topology::NodeKind;
use crate::netlink;
use crate::netlink::kept::Kept;
use crate::sys::errno;

/// Highest offset of an assigned address in its subnet, so that IPv6 addresses stay short.
const HIGHEST: u128 = 0xfffe;

/// Change of the addresses of an end that joins a segment.
#[derive(Debug, Default)]
pub(crate) struct Joining {
    /// Index of the end in the pair of ends.
    pub(crate) side: usize,
    lost: Vec<Cidr>,
    new: Vec<Cidr>,
    /// Addresses of the segment that the end has afterwards.
    pub(crate) given: Vec<Cidr>,
}

impl Joining {
    /// Returns the change for the link `at`, whose end `moved` is on its new node. Returns none if
    /// no address changes: both ends are on switches, or the segment has no subnet.
    pub(crate) fn new(
        fabric: &Fabric,
        links: &[[End; 2]],
        before: &Current<'_>,
        (at, moved): (usize, usize),
    ) -> Result<Option<Self>> {
        let is_switch =
            |side: usize| fabric.plan.nodes()[links[at][side].node].kind == NodeKind::Switch;
        let side = if is_switch(moved) { 1 - moved } else { moved };
        if is_switch(side) {
            return Ok(None);
        }
        let there = Segment::of(fabric, links, before, (at, side))?;
        if there.subnets == [None; 2] {
            return Ok(None);
        }
        let end = &links[at][side];
        let planned = fabric.plan.links()[at].ends[side];
        let own = own_addresses(fabric, before, end)?;
        let mut joining = Self { side, ..Self::default() };
        for (subnet, is_ipv4) in there.subnets.into_iter().zip([true, false]) {
            let of_family = own.iter().filter(|one| one.address().is_ipv4() == is_ipv4).copied();
            // Another network may have the same subnet, and another node there the address.
            let is_near = |one: &Cidr| {
                subnet.is_some_and(|subnet| one.subnet() == subnet)
                    && !there.taken.contains(&one.address())
            };
            let of_family: Vec<Cidr> = of_family.collect();
            if of_family.iter().any(is_near) {
                joining.given.extend(of_family);
                continue;
            }
            let mut lost = of_family;
            lost.retain(|one| is_of_segment(before, end, *one));
            joining.lost.extend(lost);
            let Some(subnet) = subnet else { continue };
            let wish = &fabric.plan.interface(planned).addresses;
            let full = || {
                let link = fabric.plan.link_label(at);
                Failure::new("move", link, format!("no address is left in {subnet}"))
            };
            let new = there.free(fabric, before, subnet, (wish, planned)).ok_or_else(full)?;
            joining.new.push(new);
            joining.given.push(new);
        }
        Ok(Some(joining))
    }

    /// Returns the new addresses, with the position of the node.
    pub(crate) fn expected(&self, end: &End) -> Vec<(usize, IpAddr)> {
        self.new.iter().map(|new| (end.node, new.address())).collect()
    }

    /// Changes the addresses in the kernel, if the node of the end is on, and forgets the
    /// neighbours of the old segment: the new one may have the same addresses.
    pub(crate) fn set(&self, fabric: &Fabric, end: &End) -> Result<()> {
        let Ok(here) = fabric.nodes[end.node].here() else { return Ok(()) };
        here.netlink.forget_neighbours(end.index)?;
        let object = |one: &Cidr| format!("{one} on {}", fabric.label(end));
        for one in self.lost.iter().rev() {
            let gone = netlink::addr::remove(object(one), end.index, *one);
            match here.netlink.ask_all(&[gone]) {
                // With the first IPv4 address of a subnet the kernel removes the secondary ones.
                Err(failure) if failure.errno == Some(errno::EADDRNOTAVAIL) => {}
                other => other?,
            }
        }
        let address = |one: &Cidr| netlink::addr::add(object(one), end.index, *one);
        here.netlink.ask_all(&self.new.iter().map(address).collect::<Vec<_>>())?;
        match self.lost.is_empty() {
            true => Ok(()),
            false => fabric.forget_mappings(end.node, &end.name),
        }
    }
}

/// Segment that an end joins.
struct Segment {
    /// Subnet of the other ends' addresses, for IPv4 and IPv6.
    subnets: [Option<Subnet>; 2],
    /// Addresses of the other ends.
    taken: Vec<IpAddr>,
}

impl Segment {
    fn of(
        fabric: &Fabric,
        links: &[[End; 2]],
        before: &Current<'_>,
        own: (usize, usize),
    ) -> Result<Self> {
        let (mut subnets, mut taken) = ([None; 2], Vec::new());
        for link in ends::joined(&fabric.plan, links, own.0) {
            let has_addresses = |node: usize| fabric.plan.nodes()[node].kind != NodeKind::Switch;
            let others = [0, 1].into_iter().filter(|side| (link, *side) != own);
            for side in others.filter(|side| has_addresses(links[link][*side].node)) {
                let all = own_addresses(fabric, before, &links[link][side])?;
                for one in all {
                    taken.push(one.address());
                    let subnet = &mut subnets[usize::from(!one.address().is_ipv4())];
                    if !one.is_whole() {
                        subnet.get_or_insert(one.subnet());
                    }
                }
            }
        }
        if subnets == [None; 2] {
            // No other end is left: the subnets are those of the plan.
            let planned = moved::planned_segment(&fabric.plan, links, own.0);
            let planned = planned.map(|at| fabric.plan.segments()[at].subnets.iter());
            for subnet in planned.into_iter().flatten() {
                subnets[usize::from(!subnet.is_ipv4())].get_or_insert(*subnet);
            }
        }
        Ok(Self { subnets, taken })
    }

    /// Returns the end's planned address if it is free, else the highest free address.
    fn free(
        &self,
        fabric: &Fabric,
        before: &Current<'_>,
        subnet: Subnet,
        (wish, planned): (&[Cidr], InterfaceRef),
    ) -> Option<Cidr> {
        let is_taken = |address: IpAddr| {
            let owner = fabric.plan.owners.get(&address);
            let nodes = before.plan.nodes().iter();
            let mut known = nodes.flat_map(|node| &node.addresses);
            self.taken.contains(&address)
                || owner.is_some_and(|owner| *owner != planned)
                || owner.is_none() && known.any(|one| *one == address)
        };
        let wish = wish.iter().find(|one| one.subnet() == subnet && !is_taken(one.address()));
        let (first, count) = pool::usable(subnet);
        let last = (first + count).saturating_sub(1).min(HIGHEST.max(first));
        let mut free = (first..=last).rev().map(|offset| subnet.at(offset));
        wish.copied().or_else(|| free.find(|one| !is_taken(one.address())))
    }
}

/// Returns the addresses of an end except link-local ones, the ones that the lab has assigned
/// first.
fn own_addresses(fabric: &Fabric, before: &Current<'_>, end: &End) -> Result<Vec<Cidr>> {
    let known = known_addresses(before, end);
    let Ok(here) = fabric.nodes[end.node].here() else { return Ok(known) };
    let all = here.netlink.addresses()?;
    let own = all.iter().filter(|one| one.index == end.index && !is_link_local(one.cidr.address()));
    let own = own.map(|one| one.cidr);
    let (mut own, others): (Vec<_>, Vec<_>) = own.partition(|one| known.contains(one));
    own.extend(others);
    Ok(own)
}

/// Returns the addresses that the plan or an earlier move has assigned to an end.
fn known_addresses(before: &Current<'_>, end: &End) -> Vec<Cidr> {
    let interfaces = &before.plan.nodes()[end.node].interfaces;
    let own = interfaces.iter().find(|one| one.name == end.name);
    own.map_or_else(Vec::new, |one| one.addresses.clone())
}

/// Returns whether an address belongs to the end's old segment, and was not added by `add_addr`.
fn is_of_segment(before: &Current<'_>, end: &End, address: Cidr) -> bool {
    let interfaces = &before.plan.nodes()[end.node].interfaces;
    let Some(own) = interfaces.iter().find(|one| one.name == end.name) else { return false };
    let mut subnets = before.plan.segments()[own.segment].subnets.iter();
    own.addresses.contains(&address) || subnets.any(|subnet| *subnet == address.subnet())
}

impl Fabric {
    /// Sets the routes of the network `after` a move on all nodes that are on: the routes that
    /// differ, and all through the interface whose addresses have `changed`, if there is one.
    pub(crate) fn reroute(
        &self,
        before: &Current<'_>,
        after: &Current<'_>,
        changed: Option<&End>,
    ) -> Result<()> {
        let nodes = before.plan.nodes().iter().zip(after.plan.nodes());
        for (node, (old, new)) in nodes.enumerate() {
            let Ok(here) = self.nodes[node].here() else { continue };
            let has_changed = |route: &RoutePlan| {
                changed.is_some_and(|end| node == end.node && route.dev == end.name)
            };
            let is_new = |route: &&RoutePlan| !old.routes.contains(route) || has_changed(route);
            let new_ones: Vec<&RoutePlan> = new.routes.iter().filter(is_new).collect();
            let is_lost = |route: &&RoutePlan| {
                new.routes.iter().all(|other| other.destination != route.destination)
            };
            let lost: Vec<&RoutePlan> = old.routes.iter().filter(is_lost).collect();
            if new_ones.is_empty() && lost.is_empty() {
                continue;
            }
            let index = |route: &RoutePlan| before.indexes.of(&before.plan, node, &route.dev);
            let lost = lost.into_iter().map(|route| (route.destination, index(route)));
            let lost = lost.collect::<Vec<_>>();
            let change = || -> Result<()> {
                remove_routes(&here, &lost)?;
                let there = here.netlink.interfaces()?;
                // Routes through an interface that is down are added by `up`.
                let is_up = |name: &str| there.iter().any(|one| one.name == name && one.is_up);
                let is_wanted = |route: &RoutePlan| new_ones.contains(&route) && is_up(&route.dev);
                let (plan, indexes) = (&after.plan, &after.indexes);
                let wanted = routes_of(plan, node, indexes, &here, is_wanted)?;
                Ok(here.netlink.ask_all(&wanted)?)
            };
            if self.nodes[node].kind() == NodeKind::Local {
                let is_own =
                    |one: &Kept| after.indexes.are_of_lab(&after.plan, node, &one.indexes());
                self.journal.around(&here.netlink, is_own, change)?;
            } else {
                change()?;
            }
        }
        Ok(())
    }
}

/// Removes the routes with these destinations and interface indexes, as far as they exist.
fn remove_routes(here: &Namespaces, lost: &[(Subnet, u32)]) -> Result<()> {
    if lost.is_empty() {
        return Ok(());
    }
    let is_lost = |route: &&Kept| {
        let is_it = |(subnet, index): &(Subnet, u32)| {
            route.destination() == Some(*subnet) && route.indexes() == [*index]
        };
        route.is_added() && lost.iter().any(is_it)
    };
    let there = here.netlink.kept_routes()?;
    let lost = there.iter().filter(is_lost);
    Ok(here.netlink.ask_all(&lost.map(Kept::remove).collect::<Vec<_>>())?)
}
