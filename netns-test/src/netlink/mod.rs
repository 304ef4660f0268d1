//! The kernel's network configuration, over netlink: the sole owner of `rtnetlink`.
//!
//! The kernel carries a request out while it is sent, so a socket that never waits is enough: what
//! was asked for is done, and its answers are there, when `sendmsg(2)` has come back. Requests that do
//! not need each other's answers go in one message.
//!
//! What the kernel refuses is told in its own words where it has any: the error number alone
//! does not tell a type of device that it lacks from one that it cannot make here.

#[cfg(feature = "lab")]
pub(crate) mod addr;
#[cfg(feature = "lab")]
pub(crate) mod attr;
#[cfg(feature = "lab")]
pub(crate) mod dump;
#[cfg(feature = "lab")]
pub(crate) mod events;
#[cfg(feature = "lab")]
pub(crate) mod inet_diag;
#[cfg(feature = "lab")]
pub(crate) mod kept;
pub(crate) mod link;
pub(crate) mod message;
#[cfg(feature = "lab")]
pub(crate) mod neigh;
#[cfg(feature = "doctor")]
pub(crate) mod nft;
#[cfg(feature = "doctor")]
pub(crate) mod qdisc;
#[cfg(feature = "lab")]
pub(crate) mod route;
#[cfg(feature = "lab")]
pub(crate) mod rule;
pub(crate) mod socket;

#[cfg(feature = "lab")]
pub(crate) use crate::netlink::socket::Request;
pub(crate) use crate::netlink::socket::{Netlink, SOCKET};
