//! Rules of NATs and firewalls in the kernel: one nftables table a node, which is replaced as a
//! whole, and the kernel's table of connections.
//!
//! All functions take a socket that was opened in the node's network, and are called on a thread
//! in it.

pub(crate) mod apply;
mod filter;
mod firewall;
mod ipv6;
mod judge;
mod learn;
pub(crate) mod model;
mod ruleset;
mod sets;
mod timeouts;
mod translate;
mod zones;

use crate::error::Failure;
use crate::lab::nat::model::{FirewallCounter, NatMapping};
use crate::lab::plan::NodePlan;
use crate::netlink::conntrack;
use crate::netlink::nft::Nft;

/// Replaces all NATs and the firewall of a node by those of its plan, or removes them if it has
/// none. The old rules are valid until the new ones are, and one error leaves all as it was.
///
/// Mappings stay if the NAT on the same place in the plan maps as before; else they are forgotten.
/// Flows that the kernel knows keep their translation. [`flush`] forgets all of that.
pub(crate) fn apply(nft: &mut Nft, node: &NodePlan) -> Result<(), Failure> {
    apply::apply(nft, node)
}

/// Forgets the flows that the firewall of a node would not let pass as it is now. Their next
/// packets are the first ones of new flows.
pub(crate) fn end_denied(nft: &mut Nft, node: &NodePlan) -> Result<(), Failure> {
    let Some(judge) = judge::Judge::of(node) else { return Ok(()) };
    let flows = conntrack::flows(nft)?;
    let mut denied = flows.iter().filter(|flow| !judge.passes(flow));
    denied.try_for_each(|flow| conntrack::forget(nft, flow))
}

/// Forgets all mappings and flows of a node, as a restart of the router does. Rules and counters
/// stay.
pub(crate) fn flush(nft: &mut Nft, node: &NodePlan) -> Result<(), Failure> {
    apply::flush(nft, node)
}

/// Lists the mappings of all NATs of a node, without forwarded ports that are not in use, and
/// without 1:1 addresses.
pub(crate) fn mappings(nft: &mut Nft, node: &NodePlan) -> Result<Vec<NatMapping>, Failure> {
    apply::mappings(nft, node)
}

/// Lists the rules of a node's firewall and NATs that drop packets, and all rules that a user has
/// written, with their counters.
pub(crate) fn firewall_counters(
    nft: &mut Nft,
    node: &NodePlan,
) -> Result<Vec<FirewallCounter>, Failure> {
    apply::counters(nft, node)
}
