//! NATs and firewalls: each kind against what packets show of it, with several hosts, over time,
//! and in pairs.

mod changes;
mod icmp;
mod kinds;
mod no_nat;
mod packets;
mod pools;
mod punching;
mod reflectors;
mod refresh;
mod tcp;
mod theory;
