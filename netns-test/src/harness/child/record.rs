//! The record of a body in memory that it shares with init: how the test's function has ended.
//!
//! The verdict is read from it. So only the body may write it: not a child that the test forks,
//! which has the same memory.

use crate::harness::protocol::report::{PANICKED, Record};
use crate::sys::process;
use crate::sys::process::shared_record;

/// The shared memory, and the properties by which the body is recognized as the writer.
pub(crate) struct BodyRecord {
    memory: shared_record::Record,
    /// Number that init has chosen; a record without it does not count.
    seal: u64,
    /// Mark that is set in the body, and not in a child that it forks.
    body: shared_record::ForkMark,
}

impl BodyRecord {
    pub(crate) fn new(
        (memory, seal): (shared_record::Record, u64),
        body: shared_record::ForkMark,
    ) -> Self {
        Self { memory, seal, body }
    }

    /// Writes `record`.
    pub(crate) fn write(&self, record: &Record) {
        write(&self.memory, self.seal, record);
    }

    /// Writes that the test panicked with `message`, without allocating memory.
    pub(crate) fn write_panic(&self, message: &str) {
        self.memory.write(self.seal, PANICKED, message.as_bytes());
    }

    /// Notes that the message of the panic did not reach the stderr of the test.
    pub(crate) fn note_unseen(&self) {
        self.memory.note_unseen();
    }

    /// Returns whether the calling process is the body, and not a child that it has forked.
    pub(crate) fn is_in_body(&self) -> bool {
        self.body.is_here()
    }

    pub(crate) fn memory(&self) -> &shared_record::Record {
        &self.memory
    }
}

/// Writes `record` into `memory`.
pub(crate) fn write(memory: &shared_record::Record, seal: u64, record: &Record) {
    let (kind, text) = record.to_parts();
    memory.write(seal, kind, &text);
}

/// Returns a random number, which a body does not write by accident.
pub(super) fn seal() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(process::id()) | 1
}
