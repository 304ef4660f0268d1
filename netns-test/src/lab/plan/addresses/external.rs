//! Realms of segments before these have addresses, and external addresses of NATs. Pure.

use crate::addr::cidr::Cidr;
use crate::lab::plan::addresses::{Required, Work, reserved};
use crate::lab::plan::errors::TopologyError;
use crate::lab::plan::interfaces::Draft;
use crate::lab::plan::nat::realms::{Border, Ports, Realms};
use crate::lab::plan::{InterfaceRef, SegmentPlan};
use crate::lab::topology::NodeKind;

impl Work<'_, '_, '_> {
    /// Finds the realms of a family.
    pub(super) fn realms(&self, of: usize, requirements: &[Required]) -> Realms {
        let ports = |(node, drafts): (usize, &Vec<Draft<'_>>)| {
            let declared = &self.topology.nodes[node];
            let mut found =
                Ports { is_router: declared.kind == NodeKind::Router, ..Ports::default() };
            for (interface, draft) in drafts.iter().enumerate() {
                let (place, segment) = (InterfaceRef { node, interface }, draft.plan.segment);
                if declared.has_addresses() && requirements[segment].has(of) {
                    let nat = self.nats.iter().find(|nat| nat.outside == place);
                    let border = nat.map(|nat| {
                        let ipv6 = nat.nat.ipv6.as_ref().copied().unwrap_or_default();
                        Border::of(ipv6, of == 0)
                    });
                    found.ports.push((segment, border.unwrap_or(Border::Open)));
                }
            }
            found
        };
        let ports: Vec<Ports> = self.drafts.iter().enumerate().map(ports).collect();
        Realms::new(self.segments.len(), &ports)
    }

    /// Adds the external addresses of NATs to their outside interfaces, after all others.
    pub(super) fn add_external(&mut self, requirements: &[Required]) {
        for nat in self.nats {
            let place = nat.outside;
            let at = self.drafts[place.node][place.interface].plan.segment;
            if !requirements[at].has(0) {
                continue;
            }
            for address in nat.external() {
                let addresses = &mut self.drafts[place.node][place.interface].plan.addresses;
                if addresses.iter().any(|own| own.address() == address.address()) {
                    continue;
                }
                let after_ipv4 = addresses.iter().filter(|own| own.address().is_ipv4()).count();
                addresses.insert(after_ipv4, address);
                self.check_external(at, address, &nat.place);
            }
        }
    }

    /// Adds the subnet of an external address to the segment of its interface, if that has none
    /// for it. Reports an address that is reserved, or on another segment.
    fn check_external(&mut self, at: usize, address: Cidr, place: &str) {
        let ip = address.address();
        let mut own = self.segments[at].subnets.iter();
        let within = own.find(|subnet| subnet.contains(ip)).copied();
        let in_subnet = within.map(|subnet| subnet.at(subnet.offset(ip)));
        let address = in_subnet.unwrap_or(address);
        if let Some(why) = reserved::address(address) {
            let place = place.to_owned();
            self.errors.push(TopologyError::ReservedAddress { address, place, why });
        }
        if within.is_some() {
            return;
        }
        let realm = self.realms[0].of(at);
        for (other, segment) in self.segments.iter().enumerate() {
            let is_seen = self.realms[0].are_together(realm, self.realms[0].of(other));
            let overlap =
                segment.subnets.iter().find(|one| one.contains(ip) && one.host_bits() > 0);
            if let (true, Some(subnet)) = (is_seen, overlap) {
                let subnets = [*subnet, address.subnet()];
                let name = SegmentPlan::label(segment.kind, self.topology);
                let places = [name, place.to_owned()];
                self.errors.push(TopologyError::OverlappingSubnets { subnets, places });
            }
        }
        let subnets = &mut self.segments[at].subnets;
        let after_ipv4 = subnets.iter().filter(|subnet| subnet.is_ipv4()).count();
        subnets.insert(after_ipv4, address.subnet());
    }
}
