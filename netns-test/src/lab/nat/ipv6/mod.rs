//! Rules for IPv6.

pub(super) mod prefix;
