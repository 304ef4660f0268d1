//! Rules for IPv6.

pub(crate) mod prefix;
