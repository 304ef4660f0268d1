//! Addresses of interfaces (ip-address(8)).

pub(crate) mod dad;
pub(crate) mod list;
pub(crate) mod requests;
pub(crate) mod shown;

pub(crate) use crate::netlink::addr::list::Address;
pub(crate) use crate::netlink::addr::requests::{add, remove};
pub(crate) use crate::netlink::addr::shown::Shown;
