//! Network namespaces and the other namespaces of a thread.

#[cfg(feature = "lab")]
pub(crate) mod inhabitants;
#[cfg(feature = "lab")]
pub(crate) mod ns_set;
pub(crate) mod nsfs;
