//! Packets that a link makes itself: resets of TCP connections and ICMP errors. Pure.

pub(crate) mod header;
pub(crate) mod icmp;
pub(crate) mod reset;
