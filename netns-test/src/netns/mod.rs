//! Network namespaces without a lab: handles, and what can be done with them.

pub(crate) mod container;
pub(crate) mod enter;
pub(crate) mod handle;
pub(crate) mod id;
pub(crate) mod list;
pub(crate) mod name;
pub(crate) mod named;
pub(crate) mod open;
pub(crate) mod unshare;

pub use crate::netns::enter::NetNsGuard;
pub use crate::netns::handle::NetNs;
pub use crate::netns::id::NetNsId;
pub use crate::netns::list::{Holder, ListedNetNs};
pub use crate::netns::named::{NamedNetNs, NetNsDir};
