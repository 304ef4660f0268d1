//! The thread that serves, its sockets, and the way to it.

pub(crate) mod connection;
pub(crate) mod peer;
pub(crate) mod server;
pub(crate) mod servers;
pub(crate) mod shared;
pub(crate) mod socket;
pub(crate) mod upstream;
