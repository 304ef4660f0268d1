//! Network addresses: values that know nothing of the kernel.

pub(crate) mod cidr;
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod link_local;
pub(crate) mod mac;
