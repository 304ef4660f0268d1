//! The NATs and the firewall of a node: rules of nftables in its network.
//!
//! They name interfaces, and so can exist before these do: no packet passes without them.

use crate::error::Failure;
use crate::lab::fabric::on_thread;
use crate::lab::nat;
use crate::lab::plan::NodePlan;
use crate::lab::plan::nat::NatPlan;
use crate::netlink::nft::Nft;
use crate::sys::ns::ns_set::Place;

/// Applies the NATs and the firewall of a node, if it has any.
pub(crate) fn apply(node: &NodePlan, place: &Place) -> Result<(), Failure> {
    match has_rules(node) {
        true => on(place, &node.name, |nft| nat::apply(nft, node)),
        false => Ok(()),
    }
}

/// Replaces the NATs and the firewall of a node, all at once. If addresses and ports are to be
/// translated in another way, all mappings are forgotten. Flows that a new firewall does not let
/// pass end.
pub(crate) fn replace([before, after]: [&NodePlan; 2], place: &Place) -> Result<(), Failure> {
    let translates_anew = translates_anew([before, after]);
    on(place, &after.name, |nft| {
        nat::apply(nft, after)?;
        if translates_anew {
            nat::flush(nft, after)?;
        }
        if before.firewall != after.firewall { nat::end_denied(nft, after) } else { Ok(()) }
    })
}

/// Returns whether the NATs of a node translate in another way than before.
pub(crate) fn translates_anew([before, after]: [&NodePlan; 2]) -> bool {
    !before.nats.iter().map(translation).eq(after.nats.iter().map(translation))
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

/// Returns a NAT without what leaves mappings as they are.
fn translation(nat: &NatPlan) -> NatPlan {
    NatPlan { forwards: Vec::new(), port_mapping: None, ..nat.clone() }
}
