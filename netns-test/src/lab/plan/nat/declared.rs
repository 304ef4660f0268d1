//! Declared NATs with their routers and outside interfaces. Pure.

use std::net::Ipv4Addr;

use crate::addr::cidr::Cidr;
use crate::lab::plan::InterfaceRef;
use crate::lab::plan::errors::TopologyError;
use crate::lab::plan::interfaces::Draft;
use crate::lab::topology::nat::Nat;
use crate::lab::topology::nat::declared::{DeclaredForward, DeclaredNat};
use crate::lab::topology::{NodeKind, Topology};

/// A NAT on a router of the plan.
#[derive(Debug)]
pub(crate) struct Declared<'a> {
    /// Outside interface.
    pub(crate) outside: InterfaceRef,
    /// Name of the NAT in messages.
    pub(crate) place: String,
    pub(crate) nat: &'a Nat,
    pub(crate) forwards: Vec<&'a DeclaredForward>,
}

impl Declared<'_> {
    /// Returns the external addresses that the outside interface has besides its own.
    pub(crate) fn external(&self) -> Vec<Cidr> {
        let one_to_one = self.nat.one_to_one.iter().map(|(address, _)| address);
        let mut all: Vec<Ipv4Addr> = Vec::new();
        for address in self.nat.pool.iter().chain(one_to_one) {
            if !all.contains(address) {
                all.push(*address);
            }
        }
        all.into_iter().filter_map(|address| Cidr::new(address, 32).ok()).collect()
    }
}

/// Returns the NATs on routers, in the order of declaration. Reports the others, and forwards
/// without a NAT.
pub(crate) fn find<'a>(
    topology: &'a Topology,
    drafts: &[Vec<Draft<'_>>],
    errors: &mut Vec<TopologyError>,
) -> Vec<Declared<'a>> {
    let mut found: Vec<Declared<'a>> = Vec::new();
    for declared in &topology.nats {
        match outside(topology, drafts, declared) {
            Err(error) => errors.push(error),
            Ok((outside, place)) => {
                let (nat, forwards) = (&declared.nat, Vec::new());
                found.push(Declared { outside, place, nat, forwards });
            }
        }
    }
    for forward in &topology.forwards {
        let DeclaredForward { router, link, protocol, external_port, .. } = forward;
        let place = |name: &str| format!("forwarded {protocol} port {external_port} of `{name}`");
        let Some(router) = *router else {
            let place = place("an unknown node");
            errors.push(TopologyError::UnknownNode { place });
            continue;
        };
        let place = place(&topology.nodes[router].name);
        let Some(link) = *link else {
            errors.push(TopologyError::UnknownLink { place });
            continue;
        };
        let is_it = |one: &&mut Declared<'_>| {
            let InterfaceRef { node, interface } = one.outside;
            node == router && drafts[node][interface].plan.kind.is_end_of(link)
        };
        match found.iter_mut().find(is_it) {
            Some(nat) => nat.forwards.push(forward),
            None => {
                let link = topology.link_label(link);
                let why = format!("the router has no NAT on {link}; declare one with `nat`");
                errors.push(TopologyError::BadNat { place, why });
            }
        }
    }
    found
}

/// Returns the outside interface of a NAT and its name in messages.
fn outside(
    topology: &Topology,
    drafts: &[Vec<Draft<'_>>],
    declared: &DeclaredNat,
) -> Result<(InterfaceRef, String), TopologyError> {
    let Some(node) = declared.router else {
        return Err(TopologyError::UnknownNode { place: "nat()".to_owned() });
    };
    let router = &topology.nodes[node];
    let mut place = format!("NAT of `{}`", router.name);
    let bad =
        |place: &String, why: String| Err(TopologyError::BadNat { place: place.clone(), why });
    if router.kind != NodeKind::Router {
        let kind = router.kind.name();
        return bad(&place, format!("it is a {kind}, which does not forward; put it on a router"));
    }
    let Some(link) = declared.link else {
        return Err(TopologyError::UnknownLink { place });
    };
    place.push_str(&format!(" on {}", topology.link_label(link)));
    let mut interfaces = drafts[node].iter();
    match interfaces.position(|draft| draft.plan.kind.is_end_of(link)) {
        Some(interface) => Ok((InterfaceRef { node, interface }, place)),
        None => bad(&place, "the link does not end at the router; name one that does".to_owned()),
    }
}
