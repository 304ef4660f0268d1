//! The messages between runner, server, PID 1 and test process.

pub(crate) mod framing;
pub(crate) mod heartbeat;
pub(crate) mod messages;
pub(crate) mod retry;
