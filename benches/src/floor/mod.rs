//! The floors: what the kernel alone takes for the same work, by its bare system calls.

pub(crate) mod calls;
pub(crate) mod lab;
mod message;
pub(crate) mod promise;
pub(crate) mod relay;
mod socket;
pub(crate) mod sockets;
pub(crate) mod test;
