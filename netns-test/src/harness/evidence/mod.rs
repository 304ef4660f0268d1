//! The evidence of a test that has not passed, on its way from init to the runner.

pub(crate) mod examiner;
pub(crate) mod interim;
mod meanwhile;
pub(crate) mod own_network;
mod parts;
pub(crate) mod reporting;
mod sockets;
mod stacks;
