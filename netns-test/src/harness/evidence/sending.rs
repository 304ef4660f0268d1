//! Whether the evidence of a test is wanted, and its way to the runner.

use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use crate::env;
use crate::env::Escape;
use crate::evidence::code::Fact as _;
use crate::evidence::escapes;
use crate::harness::evidence::examiner::Evidence;
use crate::harness::protocol::framing;
use crate::harness::protocol::report::{Ended, PASSED, Record};
use crate::harness::protocol::stage::Stage;
use crate::registry::case::{Case, ShouldPanic};
use crate::sys::fds::limited;
use crate::sys::process::Status;

/// Most bytes of a file of `/proc/net`.
const NET_FILE: usize = 64 << 10;

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

/// Counts the sends of a test that has passed for which its network had no route, if it must have
/// none.
pub(crate) fn escaped(proc: Option<&OwnedFd>, ended: &Ended) -> u64 {
    let has_passed = ended.record == Some(Record::Passed) && ended.status == Status::Exited(PASSED);
    let Some(proc) = proc.filter(|_| has_passed) else { return 0 };
    if env::escape() != Escape::Fail {
        return 0;
    }
    let text = |name: &str| limited::read_text_in(proc, &format!("self/net/{name}"), NET_FILE);
    let text = |name| text(name).unwrap_or_default();
    escapes::count(&text("snmp"), &text("snmp6"))
}
