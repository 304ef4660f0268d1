//! The reason for which the server has ended itself, in memory that it shares with the runner.

use std::mem;

use crate::bytes::{Reader, Writer};
use crate::error::Failure;
use crate::sys::process::shared_record;

/// Seal of the record. It is fixed, since there is one writer.
const SEAL: u64 = 1;

/// Writes the reason for which the server ends itself.
pub(crate) fn write(record: &shared_record::Record, failure: &Failure) {
    record.write(SEAL, 0, &mem::take(&mut Writer::default().failure(failure).0));
}

/// Reads the reason, or returns `None` if the server has written none.
pub(crate) fn read(record: &shared_record::Record) -> Option<Failure> {
    Reader(&record.read(SEAL)?.1).failure()
}
