//! Network addresses: values that know nothing of the kernel.

pub(crate) mod cidr;
pub(crate) mod mac;
