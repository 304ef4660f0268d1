//! The body: the process that runs the test's function. Apart from its namespaces, it has the
//! attributes that the runner had at the time of the request.

use std::os::fd::OwnedFd;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::evidence;
use crate::harness::child::context::{Site, Start};
use crate::harness::child::record::BodyRecord;
use crate::harness::child::{prepare, record, stage, test_thread};
use crate::harness::protocol::report::{FAILED, PASSED, Record};
use crate::harness::protocol::stage::Stage;
use crate::registry::{constructors, versions};
use crate::sys::errno;
use crate::sys::process::{SingleThreaded, exit_now, shared_record};
use crate::sys::shared_log::SharedLog;

static RUNNING: AtomicBool = AtomicBool::new(false);

/// Returns whether this process is a body, or was forked by one, also by a body of another version
/// of this crate.
pub(crate) fn is_running() -> bool {
    RUNNING.load(Ordering::Relaxed) || versions::serves_another()
}

/// Runs the body's process. It prepares itself while init sets up the sandbox, and goes on when
/// init's message arrives at `ready`; in a warm sandbox it then waits for its order.
pub(crate) fn main(
    site: &Site<'_>,
    (start, ready): (Start<'_>, OwnedFd),
    (memory, seal, log): (shared_record::Record, u64, Option<SharedLog>),
    alone: &SingleThreaded,
) -> ! {
    RUNNING.store(true, Ordering::Relaxed);
    let mark = match shared_record::ForkMark::new() {
        Ok(mark) => mark,
        Err(error) => {
            let failure = errno::failure("mmap", "the mark of the test's process", &error);
            record::write(&memory, seal, &Record::NotStarted(failure));
            exit_now(FAILED)
        }
    };
    if let (Some(log), Ok(mark)) = (log, shared_record::ForkMark::new()) {
        evidence::log::install(log, mark);
    }
    stage::note_in(memory.progress());
    let record = Arc::new(BodyRecord::new((memory, seal), mark));
    let not_started = |failure| -> ! {
        record.write(&Record::NotStarted(failure));
        exit_now(FAILED)
    };
    if let Err(failure) = prepare::begin(site) {
        not_started(failure)
    }
    let case =
        prepare::finish(site, start, ready, alone).unwrap_or_else(|failure| not_started(failure));
    if let Err(failure) = site.identity.become_user() {
        not_started(failure)
    }
    stage::reach(Stage::Constructors);
    constructors::run_later(alone);
    stage::reach(Stage::Thread);
    let passed = test_thread::run(case, &record, site.heartbeat)
        .unwrap_or_else(|failure| not_started(failure));
    // Not `_exit`: coverage and leak checkers do their work in exit handlers. On this thread, not
    // on the test's: the test's thread has ended with all that C libraries keep for a thread, and
    // the values that constructors keep for this thread end as they do in the runner.
    process::exit(if passed { PASSED } else { FAILED })
}
