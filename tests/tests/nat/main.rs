//! NATs and firewalls: each kind against what packets show of it, with several hosts, over time,
//! and in pairs.

mod no_nat;
mod reflectors;
