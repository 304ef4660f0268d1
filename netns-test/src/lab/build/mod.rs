//! From a plan to a [`Fabric`](crate::lab::fabric::state::Fabric): namespaces, then veth pairs,
//! then all that depends on those, and at last the wait until each link carries packets. It knows
//! no handle.

pub(crate) mod assemble;
pub(crate) mod end;
pub(crate) mod etc_files;
pub(crate) mod hub;
pub(crate) mod local;
pub(crate) mod namespaces;
pub(crate) mod nat;
pub(crate) mod offloads;
pub(crate) mod private_dirs;
pub(crate) mod requests;
pub(crate) mod sysctls;
