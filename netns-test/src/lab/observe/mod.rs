//! Looks at a running lab, and waits for its state.

#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod addresses;
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod link_stats;
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod packets;
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod probe;
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod snapshot;
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod sockets;
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod wait;
