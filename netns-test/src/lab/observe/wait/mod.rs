//! Waits for the state of a node, each with a time limit.

#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod deadline;
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod limit;
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod mode;
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod node;
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod obstacles;
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod process;
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod reachable;
