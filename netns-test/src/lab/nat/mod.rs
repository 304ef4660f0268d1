//! Rules of NATs and firewalls in the kernel: one nftables table a node, which is replaced as a
//! whole, and the kernel's table of connections.
//!
//! All functions take a socket that was opened in the node's network, and are called on a thread
//! in it.

pub(crate) mod model;

use crate::error::Failure;
use crate::lab::nat::model::{FirewallCounter, NatMapping};
use crate::lab::plan::NodePlan;
use crate::netlink::nft::Nft;

/// Replaces all NATs and the firewall of a node by those of its plan, or removes them if it has
/// none. The old rules are valid until the new ones are. Mappings are forgotten; flows that the
/// kernel knows keep their translation (see [`flush`]).
pub(crate) fn apply(nft: &mut Nft, node: &NodePlan) -> Result<(), Failure> {
    let _ = (nft, node);
    Err(Failure::new("apply", "NAT", "not yet"))
}

/// Forgets all mappings and flows of a node, as a restart of the router does. Rules and counters
/// stay.
pub(crate) fn flush(nft: &mut Nft, node: &NodePlan) -> Result<(), Failure> {
    let _ = (nft, node);
    Err(Failure::new("flush", "NAT", "not yet"))
}

/// Lists the mappings of all NATs of a node, without forwarded ports and 1:1 addresses.
pub(crate) fn mappings(nft: &mut Nft, node: &NodePlan) -> Result<Vec<NatMapping>, Failure> {
    let _ = (nft, node);
    Err(Failure::new("list", "mappings", "not yet"))
}

/// Lists the rules of a node's firewall and NATs that can drop packets or that a user has written,
/// with their counters, in the order of the rules.
pub(crate) fn firewall_counters(
    nft: &mut Nft,
    node: &NodePlan,
) -> Result<Vec<FirewallCounter>, Failure> {
    let _ = (nft, node);
    Err(Failure::new("list", "rules", "not yet"))
}
