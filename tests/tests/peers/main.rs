//! What the tests of other tools do about bad networks, NATs and firewalls, done with this crate.
//!
//! A test has the name of the other tool's, behind the tool's: `patchbay::region::basic_latency`.
//! docs/COMPARE.md is the table of them, and of those that are missing.

mod behind;
mod compare;
mod gateflow;
mod leased;
mod mininet;
mod net;
mod netsim;
mod netsim_embed;
mod patchbay;
mod tailscale;
mod turmoil;
mod turmoil_net;
