//! The messages between the processes of a test, and the means to send them: framing, retries,
//! counters in shared memory.

pub(crate) mod death;
pub(crate) mod framing;
pub(crate) mod heartbeat;
pub(crate) mod last_words;
pub(crate) mod messages;
pub(crate) mod report;
pub(crate) mod retry;
pub(crate) mod stage;
