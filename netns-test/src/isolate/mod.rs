//! The ordered steps that turn a new process in new namespaces into a sandbox for a body. An error
//! names its step.
//!
//! A step that isolation needs (id maps, `lo`) fails with an error. A step that a container may
//! forbid (mounts) leaves a limitation, which is printed with a failure of the test.

pub(crate) mod identity;
pub(crate) mod inherited;
pub(crate) mod lan;
pub(crate) mod mounts;
pub(crate) mod namespaces;
pub(crate) mod network;
pub(crate) mod refused;
pub(crate) mod run_dir;
pub(crate) mod setting;
pub(crate) mod steps;
pub(crate) mod transcript;
pub(crate) mod users;

pub(crate) use crate::isolate::identity::Identity;
pub(crate) use crate::isolate::inherited::Copied;
pub(crate) use crate::isolate::lan::Neighbour;
pub(crate) use crate::isolate::namespaces::{Mode, NAMESPACES};
pub(crate) use crate::isolate::refused::{Part, Refused};
pub(crate) use crate::isolate::run_dir::name_services;
pub(crate) use crate::isolate::setting::Setting;
pub use crate::isolate::setting::{Ids, Network, User};
#[cfg(feature = "doctor")]
pub(crate) use crate::isolate::steps::use_loopback;
pub(crate) use crate::isolate::steps::{number_next_process, set_up, try_loopback};
#[cfg(feature = "doctor")]
pub(crate) use crate::isolate::transcript::Entry;
pub(crate) use crate::isolate::transcript::Transcript;
