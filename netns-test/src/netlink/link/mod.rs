//! Links: the interfaces of a network namespace (ip-link(8)).

#[cfg(feature = "doctor")]
pub(crate) mod handle;
#[cfg(feature = "lab")]
pub(crate) mod interface;
pub(crate) mod kind;
#[cfg(feature = "lab")]
pub(crate) mod requests;

#[cfg(feature = "doctor")]
pub(crate) use crate::netlink::link::handle::Link;
#[cfg(feature = "lab")]
pub(crate) use crate::netlink::link::interface::{Interface, Stats64};
pub(crate) use crate::netlink::link::kind::{Kind, MacVlanMode, New};
#[cfg(feature = "lab")]
pub(crate) use crate::netlink::link::requests::{
    create, delete, move_to, set_up, without_link_local,
};
#[cfg(feature = "lab")]
pub(crate) use crate::sys::net::route::LOOPBACK;
