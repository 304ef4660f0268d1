//! State that lives as long as the lab.

#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod ends;
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod limitation;
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod moved;
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod node_runtime;
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod own_network;
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod partitions;
pub(crate) mod ready;
