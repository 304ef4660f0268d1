//! The kernel's network configuration, over netlink: the sole owner of `rtnetlink`.
//!
//! The kernel carries a request out during `sendmsg(2)`. When that returns, the request is done and
//! its answers can be received, so the socket never waits. Independent requests are sent in one
//! message.
//!
//! An error contains the kernel's text (extended ACK), if there is one: the error number is the
//! same for a link type that the kernel lacks and one that it cannot create here.

#[cfg(feature = "lab")]
pub(crate) mod addr;
pub(crate) mod attr;
#[cfg(feature = "lab")]
pub(crate) mod conntrack;
#[cfg(feature = "lab")]
pub(crate) mod dump;
#[cfg(feature = "lab")]
pub(crate) mod events;
#[cfg(feature = "lab")]
pub(crate) mod kept;
#[cfg(any(feature = "lab", feature = "doctor"))]
pub(crate) mod link;
pub(crate) mod message;
#[cfg(feature = "lab")]
pub(crate) mod neigh;
pub(crate) mod nft;
#[cfg(feature = "lab")]
pub(crate) mod nft_drops;
#[cfg(feature = "lab")]
pub(crate) mod nft_filter;
#[cfg(feature = "doctor")]
pub(crate) mod qdisc;
#[cfg(feature = "lab")]
pub(crate) mod route;
#[cfg(feature = "lab")]
pub(crate) mod rule;
pub(crate) mod sock_diag;
#[cfg(any(feature = "lab", feature = "doctor"))]
pub(crate) mod socket;

#[cfg(feature = "lab")]
pub(crate) use crate::netlink::socket::Request;
#[cfg(any(feature = "lab", feature = "doctor"))]
pub(crate) use crate::netlink::socket::{Netlink, SOCKET};
