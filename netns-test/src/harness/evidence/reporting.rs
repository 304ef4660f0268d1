//! The messages of init to the runner besides its report of a test, and whether they are needed.

use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use crate::env;
use crate::env::Escape;
use crate::evidence::code::Fact as _;
use crate::evidence::escapes;
use crate::harness::evidence::examiner::Evidence;
use crate::harness::evidence::meanwhile::Slow;
use crate::harness::protocol::framing;
use crate::harness::protocol::last_words::{LastWords, MOST};
use crate::harness::protocol::report::{Ended, PASSED, Record};
use crate::harness::protocol::stage::Stage;
use crate::registry::case::{Case, ShouldPanic};
use crate::report::text::Occasion;
use crate::sys::fds;
use crate::sys::fds::{Until, limited};
use crate::sys::net::socket;
use crate::sys::process::{Status, progress};

/// Most bytes of a file of `/proc/net`.
const FILE: usize = 64 << 10;

/// Time after which a test that its user ends is worth a word: shorter ones may be healthy.
const WORTH_A_WORD: Duration = Duration::from_millis(500);

/// Time in which the server asks after the runner has gone.
const QUESTION: Duration = Duration::from_millis(200);

/// Returns whether the test has ended as one that fails, as far as init knows.
pub(crate) fn is_needed(case: &Case, ended: &Ended) -> bool {
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
    evidence: Option<Evidence<'_>>,
    (control, alive): (&OwnedFd, &OwnedFd),
    (began, proc): (Option<Duration>, Option<&OwnedFd>),
) {
    let Some(evidence) = evidence else { return };
    let facts = evidence.finish(began, proc);
    let room = || framing::wait_for_room(control, alive.as_fd());
    drop(framing::send_evidence(control, &facts.encoded(), room));
}

/// Sends a text about what a test that still runs waits for.
pub(crate) fn so_far(
    (case, control): (&Case, &OwnedFd),
    evidence: &mut Option<Evidence<'_>>,
    began: Option<Duration>,
    proc: Option<&OwnedFd>,
) {
    let (Some(evidence), Some(began)) = (evidence, began) else { return };
    let occasion = Occasion::Meanwhile(case.timeout().duration());
    let test = Slow { name: case.path(), began, occasion };
    let text = evidence.so_far(&test, proc);
    if !text.is_empty() {
        drop(framing::send_so_far(control, &text));
    }
}

/// Answers the server if it wants to know what a test waits for whose runner has gone. A runner may
/// also have given up one test.
pub(crate) fn at_end_of_runner(
    case: &Case,
    evidence: &mut Option<Evidence<'_>>,
    began: Option<Duration>,
    ((server, alive), proc): ((Option<&OwnedFd>, &OwnedFd), Option<&OwnedFd>),
) {
    let (Some(evidence), Some(began), Some(server)) = (evidence, began, server) else { return };
    if progress::now().saturating_sub(began) < WORTH_A_WORD {
        return;
    }
    let events = [Until::Readable(server.as_fd()), Until::HungUp(alive.as_fd())];
    let is_asked = fds::wait(&events, Some(QUESTION))
        .is_ok_and(|ready| ready[0].readable && !ready[1].hung_up);
    if is_asked {
        let occasion = Occasion::Interrupted {
            limit: case.timeout().duration(),
            is_nextest: env::surroundings().nextest,
        };
        let test = Slow { name: case.path(), began, occasion };
        evidence.at_end_of_run(&test, proc, |words: &LastWords| {
            let bytes = words.encode();
            if bytes.len() <= MOST {
                drop(socket::try_send(server.as_fd(), &bytes));
            }
        });
    }
}

/// Counts the sends of a test that has passed for which its network had no route, if it must have
/// none.
pub(crate) fn escaped(ended: &Ended, proc: Option<&OwnedFd>) -> u64 {
    let has_passed = ended.record == Some(Record::Passed) && ended.status == Status::Exited(PASSED);
    let Some(proc) = proc.filter(|_| has_passed) else { return 0 };
    if env::escape() != Escape::Fail {
        return 0;
    }
    let text = |name: &str| limited::read_text_in(proc, &format!("self/net/{name}"), FILE);
    let text = |name| text(name).unwrap_or_default();
    escapes::count(&text("snmp"), &text("snmp6"))
}
