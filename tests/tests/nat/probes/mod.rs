//! The probes themselves, without a NAT.

mod no_nat;
mod reflectors;
