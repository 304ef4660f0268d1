//! Rules of NATs and firewalls in the kernel: one nftables table a node, which is replaced as a
//! whole, and the kernel's table of connections.
//!
//! All functions take a socket that was opened in the node's network, and are called on a thread
//! in it.

mod apply;
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

pub(crate) use crate::lab::nat::apply::{
    apply, end_denied, firewall_counters, flush, leases, mappings, remove, set_leases,
};
