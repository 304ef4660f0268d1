//! NATs and firewalls: each kind against what packets show of it, with several hosts, over time,
//! and in pairs; their handles, and what becomes of them.

mod handles;
mod home;
mod icmp;
mod kinds;
mod life;
mod no_nat;
mod packets;
mod punching;
mod reflectors;
mod refresh;
mod tcp;
mod theory;
