//! Destinations whose packets routers discard. Pure.

use std::net::IpAddr;

use crate::addr::cidr::Subnet;
use crate::lab::plan::addresses::reserved;
use crate::lab::plan::errors::TopologyError;
use crate::lab::plan::routes::outcome::PathOutcome;
use crate::lab::plan::{NodePlan, SegmentPlan};
use crate::lab::topology::{NodeKind, Topology};

/// Name of the declaration in messages.
const PLACE: &str = "black_hole()";

/// Adds the black holes of the topology to its routers, which have their static routes already.
pub(crate) fn set(
    topology: &Topology,
    (nodes, segments): (&mut [NodePlan], &[SegmentPlan]),
    errors: &mut Vec<TopologyError>,
) {
    let mut found: Vec<Subnet> = Vec::new();
    for given in &topology.black_holes {
        match &given.0 {
            Err(error) => {
                let (place, why) = (PLACE.to_owned(), error.to_string());
                errors.push(TopologyError::Unreadable { place, why });
            }
            Ok(subnet) if found.contains(subnet) => {}
            Ok(subnet) => {
                errors.extend(refused(topology, segments, *subnet));
                found.push(*subnet);
            }
        }
    }
    let is_router = |node: &&mut NodePlan| node.kind == NodeKind::Router;
    let mut has_router = false;
    for node in nodes.iter_mut().filter(is_router) {
        has_router = true;
        let has_route = |to: &Subnet| node.routes.iter().any(|route| route.destination == *to);
        node.black_holes = found.iter().filter(|to| !has_route(to)).copied().collect();
    }
    if let (Some(destination), false) = (found.first().copied(), has_router) {
        errors.push(TopologyError::NoRouter { destination });
    }
}

impl NodePlan {
    /// Returns the outcome of a packet for which the forwarding table of the node has no way.
    pub(crate) fn without_route(&self, to: IpAddr) -> PathOutcome {
        let is_discarded = self.black_holes.iter().any(|subnet| subnet.contains(to));
        if is_discarded { PathOutcome::BlackHole } else { PathOutcome::NoRoute }
    }
}

/// Returns why packets to a subnet cannot vanish: it is reserved, or the lab has addresses in it.
fn refused(topology: &Topology, segments: &[SegmentPlan], subnet: Subnet) -> Option<TopologyError> {
    let place = PLACE.to_owned();
    let used = segments.iter().find_map(|segment| {
        let other = segment.subnets.iter().find(|other| other.overlaps(subnet))?;
        Some((*other, SegmentPlan::label(segment.kind, topology)))
    });
    if let Some((other, name)) = used {
        let (subnets, places) = ([other, subnet], [name, place]);
        return Some(TopologyError::OverlappingSubnets { subnets, places });
    }
    let (range, why) = reserved::within(subnet)?;
    Some(TopologyError::ReservedSubnet { subnet, range, place, why })
}
