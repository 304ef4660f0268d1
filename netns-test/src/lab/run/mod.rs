//! Handles of a running lab, and what runs the user's code on its nodes.

#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod blocked;
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod command;
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod lab;
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod link;
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod node;
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod output;
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod panics;
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod process;
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod search_path;
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod spawner;
