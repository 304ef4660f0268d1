//! The caller's own network, where it is a node of the lab: changes, and how they are undone.

pub(crate) mod give_back;
pub(crate) mod of_kernel;
pub(crate) mod rank;
pub(crate) mod sysctl;
pub(crate) mod undo;
