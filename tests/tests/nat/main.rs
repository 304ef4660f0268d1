//! NATs and firewalls: each kind against what packets show of it, with several hosts, over time,
//! and in pairs; their handles, and what becomes of them.

mod behaviour;
mod changes;
mod connections;
mod handles;
mod home;
mod ipv6;
mod life;
mod pairs;
mod port_mapping;
mod prefixes;
mod probes;
mod roams;
