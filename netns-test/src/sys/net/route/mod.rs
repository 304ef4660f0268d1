//! Requests to the kernel's network configuration (rtnetlink(7)), as bytes. The network of a test
//! needs a few of them, without the dependencies of `netlink`.
//!
//! All requests of a batch are sent in one message. The kernel carries them out during send(2), and
//! answers only those that it refuses.

pub(crate) mod answers;
pub(crate) mod message;
pub(crate) mod requests;
pub(crate) mod socket;

pub(crate) use crate::sys::net::route::answers::{Change, Refusal};
pub(crate) use crate::sys::net::route::requests::{End, Kind, LOOPBACK, Requests, Route, Table};
pub(crate) use crate::sys::net::route::socket::Socket;
