//! Whether the evidence of a test is wanted, and its way to the runner.

use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use crate::evidence::code::Fact as _;
use crate::harness::evidence::examiner::Evidence;
use crate::harness::protocol::framing;
use crate::harness::protocol::report::{Ended, PASSED, Record};
use crate::harness::protocol::stage::Stage;
use crate::registry::case::{Case, ShouldPanic};
use crate::sys::process::Status;

/// Returns whether the test has ended as one that fails, as far as init can report.
pub(crate) fn is_wanted(case: &Case, ended: &Ended) -> bool {
    let has_panicked = matches!(
        ended.record,
        Some(Record::Panicked(_) | Record::PanickedUnseen(_) | Record::PanickedWithValue)
    );
    match &ended.record {
        _ if ended.stage != Stage::Body => false,
        Some(Record::Passed) => ended.status != Status::Exited(PASSED) || ended.escaped > 0,
        _ => !(has_panicked && case.should_panic != ShouldPanic::No),
    }
}

/// Sends the evidence. Without a reader, or if the socket refuses it, there is none.
pub(crate) fn send(
    (control, alive): (&OwnedFd, &OwnedFd),
    evidence: Option<Evidence<'_>>,
    (began, proc): (Option<Duration>, Option<&OwnedFd>),
) {
    let Some(evidence) = evidence else { return };
    let facts = evidence.finish(began, proc);
    let room = || framing::wait_for_room(control, alive.as_fd());
    drop(framing::send_evidence(control, &facts.encoded(), room));
}
