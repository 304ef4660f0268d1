//! Values of network addresses: Ethernet addresses, addresses with a prefix length, subnets.

pub(crate) mod cidr;
pub(crate) mod mac;
