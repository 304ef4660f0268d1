//! Requests to the kernel's network configuration (rtnetlink(7)), as bytes: the network of a test
//! takes a few of them, and must cost neither another crate nor a runtime.
//!
//! All requests of a batch go in one message. The kernel carries them out while it is sent, and
//! answers those alone that it refuses.

pub(crate) mod answers;
pub(crate) mod message;
pub(crate) mod requests;
pub(crate) mod socket;

pub(crate) use crate::sys::net::route::answers::{Change, Refusal};
pub(crate) use crate::sys::net::route::requests::{End, Kind, LOOPBACK, Requests, Route, Table};
pub(crate) use crate::sys::net::route::socket::Socket;
