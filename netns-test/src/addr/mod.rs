//! Values of network addresses: Ethernet addresses, addresses with a prefix length, subnets.

pub(crate) mod cidr;
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod link_local;
pub(crate) mod mac;
pub(crate) mod sysctl;
