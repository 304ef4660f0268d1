//! Subnets and addresses that are not unique among those that some node sees together. Pure.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::addr::cidr::Subnet;
use crate::lab::plan::addresses::{FAMILIES, Work, family};
use crate::lab::plan::errors::TopologyError;
use crate::lab::plan::{InterfaceRef, SegmentPlan};

impl Work<'_, '_, '_> {
    /// Reports subnets that have addresses in common, on one segment or on two, unless neither can
    /// be reached from the other.
    pub(super) fn check_overlaps(&mut self) {
        let mut all = Vec::new();
        for (at, segment) in self.segments.iter().enumerate() {
            all.extend(segment.subnets.iter().map(|subnet| (*subnet, at)));
        }
        // By family, then by the first address, then the largest subnet first.
        all.sort_by_key(|&(subnet, at)| (!subnet.is_ipv4(), subnet.range().0, subnet.prefix(), at));
        let mut found = Vec::new();
        for of in FAMILIES {
            for set in self.realms[of].together() {
                let is_seen = |(subnet, at): &&(Subnet, usize)| {
                    family(subnet.network()) == of && set[self.realms[of].of(*at)]
                };
                for overlap in overlaps(all.iter().filter(is_seen)) {
                    if !found.contains(&overlap) {
                        found.push(overlap);
                    }
                }
            }
        }
        for (subnets, places) in found {
            let places = places.map(|at| SegmentPlan::label(self.segments[at].kind, self.topology));
            self.errors.push(TopologyError::OverlappingSubnets { subnets, places });
        }
    }

    /// Reports addresses that two interfaces have, unless neither can be reached from the other.
    pub(super) fn check_duplicates(&mut self) {
        let mut owners: HashMap<IpAddr, InterfaceRef> =
            HashMap::with_capacity(4 * self.segments.len());
        // Owners after the first one, in other realms.
        let mut others: HashMap<IpAddr, Vec<InterfaceRef>> = HashMap::new();
        for node in 0..self.drafts.len() {
            for interface in 0..self.drafts[node].len() {
                let place = InterfaceRef { node, interface };
                for address in
                    self.drafts[node][interface].plan.addresses.iter().map(|one| one.address())
                {
                    let Some(first) = owners.get(&address).copied() else {
                        owners.insert(address, place);
                        continue;
                    };
                    let known = others.entry(address).or_default();
                    let mut all = known.iter().copied().chain([first]);
                    let other = all.find(|other| self.are_related(*other, place, address));
                    known.push(place);
                    if let Some(other) = other {
                        let places = [self.name(other), self.name(place)];
                        self.errors.push(TopologyError::DuplicateAddress { address, places });
                    }
                }
            }
        }
    }

    /// Returns whether one of two interfaces with the same address can be reached from the other.
    fn are_related(&self, one: InterfaceRef, two: InterfaceRef, address: IpAddr) -> bool {
        let realms = &self.realms[family(address)];
        let [one, two] = [one, two]
            .map(|place| realms.of(self.drafts[place.node][place.interface].plan.segment));
        realms.are_together(one, two)
    }
}

/// Returns the overlaps among sorted subnets of one family, with the segments.
fn overlaps<'a, I>(all: I) -> Vec<([Subnet; 2], [usize; 2])>
where
    I: Iterator<Item = &'a (Subnet, usize)>,
{
    let (mut found, mut widest): (_, Option<(Subnet, usize)>) = (Vec::new(), None);
    for &(subnet, at) in all {
        match widest {
            Some((other, place)) if other.overlaps(subnet) => {
                // Two equal subnets of one address are reported as a duplicate address.
                if other != subnet || other.host_bits() > 0 {
                    found.push(([other, subnet], [place, at]));
                }
            }
            _ => widest = Some((subnet, at)),
        }
    }
    found
}
