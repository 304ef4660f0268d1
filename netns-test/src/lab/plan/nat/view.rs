//! Addresses by which a node sees another one: its own, or those of a NAT between the two. Pure.

use std::net::{IpAddr, Ipv4Addr};

use crate::lab::plan::nat::NatPlan;
use crate::lab::plan::nat::exposure::{Exposure, Exposures};
use crate::lab::plan::nat::realms::{Border, Realms};
use crate::lab::plan::{InterfacePlan, NodePlan};

/// Index of IPv4 in pairs.
const IPV4: usize = 0;

/// Nodes and their realms of IPv4 and IPv6.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    pub(crate) nodes: &'a [NodePlan],
    pub(crate) realms: &'a [Realms; 2],
}

impl View<'_> {
    /// Returns the realms that a node has interfaces in, without repetition.
    pub(crate) fn realms_of(&self, node: usize, of: usize) -> Vec<usize> {
        let mut found = Vec::new();
        for interface in &self.nodes[node].interfaces {
            let realm = self.realms[of].of(interface.segment);
            let has_family = interface.addresses.iter().any(|one| family(one.address()) == of);
            if has_family && !found.contains(&realm) {
                found.push(realm);
            }
        }
        found
    }

    /// Returns the addresses of a node that are in realms which the viewer sees, those in the
    /// viewer's own realms first.
    pub(crate) fn direct(&self, viewer: &Viewer, node: usize) -> Vec<IpAddr> {
        let mut found: Vec<(bool, IpAddr)> = Vec::new();
        for &address in &self.nodes[node].addresses {
            let of = family(address);
            let mut interfaces = self.nodes[node].interfaces.iter();
            let has_it =
                |one: &&InterfacePlan| one.addresses.iter().any(|own| own.address() == address);
            let Some(interface) = interfaces.find(has_it) else { continue };
            let realm = self.realms[of].of(interface.segment);
            if viewer.realms[of].iter().any(|own| self.realms[of].sees(*own, realm)) {
                found.push((!viewer.realms[of].contains(&realm), address));
            }
        }
        found.sort_by_key(|(is_outer, address)| (family(*address), *is_outer));
        found.into_iter().map(|(_, address)| address).collect()
    }

    /// Returns who sees what a node sees.
    pub(crate) fn viewer(&self, node: usize) -> Viewer {
        let realms = [0, 1].map(|of| match self.realms[of].count() {
            1 => vec![0],
            _ => self.realms_of(node, of),
        });
        Viewer { realms }
    }

    /// Returns who sees the same addresses, with the position in that list of each node. The first
    /// one is outside of all NATs.
    pub(crate) fn viewers(&self) -> (Vec<Viewer>, Vec<usize>) {
        let mut viewers = vec![Viewer::outermost()];
        let mut of = Vec::new();
        for node in 0..self.nodes.len() {
            let viewer = self.viewer(node);
            let known = viewers.iter().position(|other| *other == viewer);
            of.push(known.unwrap_or(viewers.len()));
            viewers.extend(known.is_none().then_some(viewer));
        }
        (viewers, of)
    }

    /// Returns the addresses to which the viewer sends for a node: those that it sees, and else
    /// those at which a NAT has a port or an address for the node.
    pub(crate) fn destinations(
        &self,
        viewer: &Viewer,
        node: usize,
        exposures: &Exposures,
    ) -> Vec<IpAddr> {
        let mut found = self.direct(viewer, node);
        // The external address of a 1:1 node is not the router's.
        let nats = &self.nodes[node].nats;
        found.retain(|address| !nats.iter().any(|nat| nat.is_extra(*address)));
        if !found.iter().any(IpAddr::is_ipv4) {
            let ways = self.ways(viewer, node, exposures);
            let mut external: Vec<IpAddr> = Vec::new();
            for way in ways.iter().filter_map(|way| way.first()) {
                if !external.contains(&IpAddr::V4(way.external)) {
                    external.push(IpAddr::V4(way.external));
                }
            }
            found.splice(0..0, external);
        }
        if !found.iter().any(IpAddr::is_ipv6) {
            let only_prefixes = |nat: &NatPlan| nat.has_prefixes();
            found.extend(self.translated(viewer, node, 1, &only_prefixes));
        }
        found
    }

    /// Returns the ways to a node that the viewer does not see: through one NAT or several, from
    /// the outermost one on.
    pub(crate) fn ways(
        &self,
        viewer: &Viewer,
        node: usize,
        exposures: &Exposures,
    ) -> Vec<Vec<Exposure>> {
        let mut found = Vec::new();
        let mut open: Vec<Vec<Exposure>> =
            exposures.of(node).iter().map(|one| vec![*one]).collect();
        while let Some(way) = open.pop() {
            let outermost = way[0];
            if self.sees_outside(viewer, &outermost) {
                found.push(way);
                continue;
            }
            // Realms do not form a loop, so the number of NATs on a way is below that of realms.
            let is_before = |one: &&Exposure| {
                one.inside == outermost.external && way.len() < self.realms[IPV4].count()
            };
            for one in exposures.of(outermost.router).iter().filter(is_before) {
                open.push([&[*one], way.as_slice()].concat());
            }
        }
        found.reverse();
        found
    }

    fn sees_outside(&self, viewer: &Viewer, exposure: &Exposure) -> bool {
        let outside = &self.nodes[exposure.router].interfaces[exposure.outside];
        let realm = self.realms[IPV4].of(outside.segment);
        viewer.realms[IPV4].iter().any(|own| self.realms[IPV4].sees(*own, realm))
    }

    /// Returns the addresses that packets of a node have as their source where the viewer is.
    pub(crate) fn sources(&self, viewer: &Viewer, node: usize) -> Vec<IpAddr> {
        let mut found = self.direct(viewer, node);
        for of in [0, 1] {
            if found.iter().all(|address| family(*address) != of) {
                found.extend(self.translated(viewer, node, of, &|_| true));
            }
        }
        found.sort_by_key(|address| family(*address));
        found
    }

    /// Returns the addresses to which those NATs that `is_way` accepts translate the addresses of a
    /// node.
    fn translated(
        &self,
        viewer: &Viewer,
        node: usize,
        of: usize,
        is_way: &dyn Fn(&NatPlan) -> bool,
    ) -> Vec<IpAddr> {
        let own = &self.nodes[node].addresses;
        let own: Vec<IpAddr> = own.iter().filter(|one| family(**one) == of).copied().collect();
        let mut found = Vec::new();
        let mut open = vec![(own, self.realms_of(node, of))];
        for _ in 0..self.realms[of].count() {
            let mut next = Vec::new();
            for (own, realms) in open {
                for (realm, nat, outside) in self.nats(of) {
                    if !realms.contains(&realm) || !is_way(nat) {
                        continue;
                    }
                    let external = translated(nat, outside, of, &own);
                    let beyond = self.realms[of].of(outside.segment);
                    if viewer.realms[of].iter().any(|own| self.realms[of].sees(*own, beyond)) {
                        let is_new = |one: &IpAddr| !found.contains(one);
                        found.extend(external.into_iter().filter(is_new).collect::<Vec<_>>());
                    } else {
                        next.push((external, vec![beyond]));
                    }
                }
            }
            open = next;
        }
        found
    }

    /// Returns the NATs that translate a family: realm of the inside, NAT, outside interface.
    fn nats(&self, of: usize) -> impl Iterator<Item = (usize, &NatPlan, &InterfacePlan)> {
        let routers = self.nodes.iter().filter(|node| !node.nats.is_empty());
        routers.flat_map(move |node| {
            let nats = node
                .nats
                .iter()
                .filter(move |nat| Border::of(nat.ipv6, of == IPV4) == Border::Translated);
            nats.filter_map(move |nat| {
                let outside = node.interfaces.iter().find(|one| one.name == nat.outside)?;
                Some((self.inside_of(node, of)?, nat, outside))
            })
        })
    }

    /// Returns the realm of the inside of a NAT router.
    pub(crate) fn inside_of(&self, node: &NodePlan, of: usize) -> Option<usize> {
        let is_inside = |one: &&InterfacePlan| {
            node.border(&one.name, of == IPV4) == Border::Open
                && one.addresses.iter().any(|own| family(own.address()) == of)
        };
        let first = node.interfaces.iter().find(is_inside)?;
        Some(self.realms[of].of(first.segment))
    }

    /// Returns the forwarded ports and 1:1 addresses of all NATs, with their nodes.
    pub(crate) fn exposures(&self) -> Exposures {
        let mut found = Exposures::default();
        let with_nats = self.nodes.iter().enumerate().filter(|(_, node)| !node.nats.is_empty());
        for (router, of_plan) in with_nats {
            let Some(realm) = self.inside_of(of_plan, IPV4) else { continue };
            for nat in &of_plan.nats {
                let is_outside = |one: &InterfacePlan| one.name == nat.outside;
                let Some(outside) = of_plan.interfaces.iter().position(is_outside) else {
                    continue;
                };
                let first = nat.first_external(&of_plan.interfaces[outside]);
                let forwards = nat.forwards.iter().filter_map(|one| Some((first?, one.to)));
                for (external, inside) in nat.one_to_one.iter().copied().chain(forwards) {
                    if let Some(node) = self.owner_in(realm, inside) {
                        found.add(node, Exposure { router, outside, inside, external });
                    }
                }
            }
        }
        found
    }

    /// Returns the node that has an address in a realm.
    fn owner_in(&self, realm: usize, address: Ipv4Addr) -> Option<usize> {
        let has_it = |one: &InterfacePlan| {
            self.realms[IPV4].of(one.segment) == realm
                && one.addresses.iter().any(|own| own.address() == IpAddr::V4(address))
        };
        self.nodes.iter().position(|node| node.interfaces.iter().any(has_it))
    }
}

/// Realms of IPv4 and IPv6 in which a node is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Viewer {
    realms: [Vec<usize>; 2],
}

impl Viewer {
    /// Returns a viewer that is inside of no NAT.
    pub(crate) fn outermost() -> Self {
        Self { realms: [0, 1].map(|_| vec![0]) }
    }
}

/// Returns the external addresses of packets from `own` addresses.
fn translated(nat: &NatPlan, outside: &InterfacePlan, of: usize, own: &[IpAddr]) -> Vec<IpAddr> {
    if of != IPV4 && nat.has_prefixes() {
        return own.iter().filter_map(|address| nat.to_external(*address)).collect();
    }
    let pair = |(external, inside): &(Ipv4Addr, Ipv4Addr)| {
        own.contains(&IpAddr::V4(*inside)).then_some(IpAddr::V4(*external))
    };
    let fixed: Vec<IpAddr> = nat.one_to_one.iter().filter_map(pair).collect();
    if of == IPV4 && !fixed.is_empty() {
        return fixed;
    }
    if of == IPV4 && !nat.pool.is_empty() {
        return nat.pool.iter().copied().map(IpAddr::V4).collect();
    }
    let all = outside.addresses.iter().map(|one| one.address());
    all.filter(|address| family(*address) == of && !nat.is_extra(*address)).collect()
}

impl NatPlan {
    /// Returns the first external address.
    pub(crate) fn first_external(&self, outside: &InterfacePlan) -> Option<Ipv4Addr> {
        let own = outside.addresses.iter().find_map(|one| match one.address() {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        });
        self.pool.first().copied().or(own)
    }

    /// Returns whether the outside interface has an address for a 1:1 node only.
    pub(crate) fn is_extra(&self, address: IpAddr) -> bool {
        self.one_to_one.iter().any(|(external, _)| IpAddr::V4(*external) == address)
    }
}

pub(crate) fn family(address: IpAddr) -> usize {
    usize::from(!address.is_ipv4())
}
