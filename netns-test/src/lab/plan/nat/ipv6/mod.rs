//! IPv6 at a NAT: translated prefixes of a router in its network, with their mistakes. Pure.

pub(crate) mod prefix;

use std::net::IpAddr;

use crate::addr::cidr::Subnet;
use crate::lab::plan::nat::NatPlan;
use crate::lab::plan::nat::ipv6::prefix::{Pair, WORD_OF_SUBNET};
use crate::lab::plan::nat::realms::{Border, Realms};
use crate::lab::plan::{InterfacePlan, InterfaceRef, NodePlan, SegmentPlan};
use crate::lab::topology::nat::model::Ipv6Nat;

/// Outside interface of a NAT in its network.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Site<'a> {
    pub(crate) nodes: &'a [NodePlan],
    pub(crate) segments: &'a [SegmentPlan],
    /// Realms of IPv6.
    pub(crate) realms: &'a Realms,
    pub(crate) place: InterfaceRef,
}

impl Site<'_> {
    /// Sets the translated prefixes. Adds mistakes, each as a reason with advice.
    pub(crate) fn complete(&self, plan: &mut NatPlan, mistakes: &mut Vec<String>) {
        let Ipv6Nat::Prefix { inside, outside } = plan.ipv6 else { return };
        let pair = match Pair::new(inside, outside) {
            Ok(pair) => pair,
            Err(why) => return mistakes.push(why),
        };
        let router = &self.nodes[self.place.node];
        if !has_ipv6(&router.interfaces[self.place.interface]) {
            let advice = "give it one, or remove `nptv6`";
            mistakes.push(format!("the outside has no IPv6 address; {advice}"));
        }
        self.check_outside(outside, mistakes);
        let Some(realm) = self.inside() else {
            let advice = "give it one, or remove `nptv6`";
            mistakes.push(format!("the inside has no IPv6 address; {advice}"));
            return;
        };
        if self.realms.bypassed().contains(&self.place.node) {
            return;
        }
        for whole in self.translated(realm, &pair) {
            match pair.external(whole) {
                Ok(external) => plan.prefixes.push((whole, external)),
                Err(why) => mistakes.push(why),
            }
        }
    }

    /// Reports an external prefix that has addresses of the plan, or is that of another NAT.
    fn check_outside(&self, outside: Subnet, mistakes: &mut Vec<String>) {
        let mut subnets = self.segments.iter().flat_map(|segment| &segment.subnets);
        if let Some(subnet) = subnets.find(|subnet| subnet.overlaps(outside)) {
            mistakes.push(format!(
                "the external prefix {outside} has addresses of {subnet}, which is a link's; give \
                 another"
            ));
        }
        for (at, node) in self.nodes.iter().enumerate() {
            for nat in &node.nats {
                let own = &self.nodes[self.place.node].interfaces[self.place.interface].name;
                let is_own = at == self.place.node && nat.outside == *own;
                let Ipv6Nat::Prefix { outside: other, .. } = nat.ipv6 else { continue };
                // One of the two is enough.
                if !is_own && other.overlaps(outside) && at <= self.place.node {
                    let name = &node.name;
                    mistakes.push(format!(
                        "the external prefix {outside} overlaps {other} of `{name}`; give another"
                    ));
                }
            }
        }
    }

    /// Returns the realm of the inside.
    fn inside(&self) -> Option<usize> {
        let router = &self.nodes[self.place.node];
        let is_inside =
            |one: &&InterfacePlan| router.border(&one.name, false) == Border::Open && has_ipv6(one);
        let first = router.interfaces.iter().find(is_inside)?;
        Some(self.realms.of(first.segment))
    }

    /// Returns what is translated alone: each subnet, or each address, of the inside.
    fn translated(&self, realm: usize, pair: &Pair) -> Vec<Subnet> {
        let segments = self.segments.iter().enumerate();
        let own = segments.filter(|(at, _)| self.realms.of(*at) == realm).map(|(_, one)| one);
        let mut found: Vec<Subnet> = Vec::new();
        for segment in own {
            if pair.word() == Some(WORD_OF_SUBNET) {
                found.extend(segment.subnets.iter().filter(|subnet| !subnet.is_ipv4()));
                continue;
            }
            for member in &segment.members {
                let interface = &self.nodes[member.node].interfaces[member.interface];
                let addresses = interface.addresses.iter().map(|one| one.address());
                let whole = addresses.filter(IpAddr::is_ipv6).map(|one| Subnet::new(one, 128));
                found.extend(whole.filter_map(Result::ok));
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

fn has_ipv6(interface: &InterfacePlan) -> bool {
    interface.addresses.iter().any(|one| one.address().is_ipv6())
}

impl NatPlan {
    /// Returns whether the NAT translates prefixes of IPv6.
    pub(crate) fn has_prefixes(&self) -> bool {
        matches!(self.ipv6, Ipv6Nat::Prefix { .. })
    }

    /// Returns the external address of an inside one by a translated prefix.
    pub(crate) fn to_external(&self, address: IpAddr) -> Option<IpAddr> {
        moved(self.prefixes.iter().map(|(inside, external)| (*inside, *external)), address)
    }

    /// Returns the inside address of an external one by a translated prefix.
    pub(crate) fn to_internal(&self, address: IpAddr) -> Option<IpAddr> {
        moved(self.prefixes.iter().map(|(inside, external)| (*external, *inside)), address)
    }

    /// Returns whether the NAT drops packets of a source, as they have no external address.
    pub(crate) fn is_untranslatable(&self, source: IpAddr) -> bool {
        source.is_ipv6() && self.has_prefixes() && self.to_external(source).is_none()
    }
}

/// Moves an address from the first subnet of a pair to the second one.
fn moved(mut pairs: impl Iterator<Item = (Subnet, Subnet)>, address: IpAddr) -> Option<IpAddr> {
    let (from, to) = pairs.find(|(from, _)| from.contains(address))?;
    Some(to.at(from.offset(address)).address())
}
