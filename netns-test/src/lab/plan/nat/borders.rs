//! Borders of the nodes of a plan, and the realms between them. Pure.

use crate::lab::plan::nat::realms::{Border, Ports, Realms};
use crate::lab::plan::{NodePlan, SegmentPlan};
use crate::lab::topology::NodeKind;

impl NodePlan {
    /// Returns the border at an interface.
    pub(crate) fn border(&self, interface: &str, is_ipv4: bool) -> Border {
        let nat = self.nats.iter().find(|nat| nat.outside == interface);
        nat.map_or(Border::Open, |nat| Border::of(nat.ipv6, is_ipv4))
    }
}

/// Finds the realms of a plan in a family.
pub(crate) fn realms(nodes: &[NodePlan], segments: &[SegmentPlan], is_ipv4: bool) -> Realms {
    if nodes.iter().all(|node| node.nats.is_empty()) {
        return Realms::one(segments.len());
    }
    let ports = |node: &NodePlan| {
        let has_family = node.interfaces.iter().filter(|interface| {
            interface.addresses.iter().any(|one| one.address().is_ipv4() == is_ipv4)
        });
        let ports = has_family.map(|one| (one.segment, node.border(&one.name, is_ipv4)));
        Ports { is_router: node.kind == NodeKind::Router, ports: ports.collect() }
    };
    Realms::new(segments.len(), &nodes.iter().map(ports).collect::<Vec<_>>())
}
