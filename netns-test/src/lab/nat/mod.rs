//! Rules of NATs and firewalls in the kernel: one nftables table a node, which is replaced as a
//! whole, and the kernel's table of connections.
//!
//! All functions take a socket that was opened in the node's network, and are called on a thread
//! in it.

mod apply;
mod filter;
mod firewall;
mod forget;
mod ipv6;
mod learn;
pub(crate) mod model;
mod ruleset;
mod sets;
mod sysctls;
mod translate;
mod zones;

pub(crate) use crate::lab::nat::apply::{
    Running, apply, counters, firewall_counters, flush, learns_open, leases, mappings,
    nat_counters, remove, replace, set_leases,
};
pub(crate) use crate::lab::nat::forget::translate_alike;
