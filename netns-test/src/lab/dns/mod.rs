//! Name servers of a lab: what they answer (pure), and the thread that serves them.
//!
//! One thread of the test's process has the sockets of all servers of the lab, each in the network
//! of its node. The wire format is that of the crate `simple-dns`.

pub(crate) mod answer;
pub(crate) mod edns;
pub(crate) mod fault;
pub(crate) mod model;
pub(crate) mod recurse;
pub(crate) mod serve;
pub(crate) mod state;
pub(crate) mod store;
#[cfg(test)]
mod tests;
pub(crate) mod wire;
