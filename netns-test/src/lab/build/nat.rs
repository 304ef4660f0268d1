//! The NATs and the firewall of a node: rules of nftables in its network.
//!
//! They name interfaces, and so can exist before these do: no packet passes without them.

use crate::error::Failure;
use crate::lab::fabric::on_thread;
use crate::lab::nat::{self, Running};
use crate::lab::plan::NodePlan;
use crate::netlink::nft::Nft;
use crate::sys::ns::ns_set::Place;

/// Applies the NATs and the firewall of a node, if it has any.
pub(crate) fn apply(node: &NodePlan, place: &Place) -> Result<(), Failure> {
    match has_rules(node) {
        true => on(place, &node.name, |nft| nat::apply(nft, node)),
        false => Ok(()),
    }
}

/// Replaces the NATs and the firewall of a running node, all at once.
pub(crate) fn replace(
    rules: [&NodePlan; 2],
    place: &Place,
    running: &Running,
) -> Result<(), Failure> {
    on(place, &rules[1].name, |nft| nat::replace(nft, rules, running))
}

/// Returns whether the NATs of a node translate in another way than before.
pub(crate) fn translates_anew([before, after]: [&NodePlan; 2]) -> bool {
    !nat::translate_alike(&before.nats, &after.nats)
}

/// Removes all that this module has added to a network, which errors call `name`.
pub(crate) fn remove(place: &Place, name: &str) -> Result<(), Failure> {
    on(place, name, |nft| nat::remove(nft, name))
}

/// Returns whether a node has a NAT or a firewall.
pub(crate) fn has_rules(node: &NodePlan) -> bool {
    !node.nats.is_empty() || node.firewall.is_some()
}

/// Does `work` with a socket in the network of the node `name`.
pub(crate) fn on<T: Send>(
    place: &Place,
    name: &str,
    work: impl FnOnce(&mut Nft) -> Result<T, Failure> + Send,
) -> Result<T, Failure> {
    on_thread::within(place, name, || work(&mut Nft::open()?))
}
