//! The caller's own network, where a lab uses it: changes, and their undoing.

#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod give_back;
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod rank;
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod sysctl;
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod undo;
