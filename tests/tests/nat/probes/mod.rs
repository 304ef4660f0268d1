//! The probes themselves, without a NAT and over bad lines.

mod bad_lines;
mod no_nat;
mod reflectors;
