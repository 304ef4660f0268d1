//! Computed routes beside static ones. Pure.

use crate::addr::cidr::Subnet;
use crate::lab::plan::{NodePlan, RoutePlan};
use crate::lab::topology::NodeKind;

/// Adds the routes of `found` that no static route replaces.
pub(crate) fn add_unless_replaced(node: &mut NodePlan, found: Vec<RoutePlan>, is_ipv4: bool) {
    let destinations: Vec<Subnet> =
        node.routes.iter().filter(|route| route.is_static).map(|route| route.destination).collect();
    let has_default =
        destinations.iter().any(|subnet| subnet.prefix() == 0 && subnet.is_ipv4() == is_ipv4);
    let is_kept = |route: &RoutePlan| {
        let is_replaced = match route.via {
            // A router keeps its computed routes: with the default route alone it would send
            // packets from the gateway back to it.
            Some(_) if has_default && node.kind != NodeKind::Router => true,
            _ => destinations.iter().any(|other| {
                (other.prefix() > 0 || route.destination.prefix() == 0)
                    && other.contains_subnet(route.destination)
            }),
        };
        !is_replaced
    };
    let kept: Vec<RoutePlan> = found.into_iter().filter(is_kept).collect();
    node.routes.extend(kept);
}
