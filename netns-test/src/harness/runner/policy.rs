//! The policy for a test that this machine cannot isolate (`NETNS_TEST`). It fails, the first one
//! with a full explanation and the others with one line; or it is skipped, and each skip is
//! reported.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::env;
use crate::env::{Policy, Settings};
use crate::error::Failure;
use crate::harness::runner::verdict::Verdict;
use crate::registry::case::Case;
use crate::sys::lock::lock;
use crate::sys::{errno, fds, process};

/// Returns the verdict on a test that cannot be isolated.
pub(crate) fn judge(settings: &Settings, case: &Case, failure: Failure) -> Verdict {
    match settings.policy {
        Policy::Require => Verdict::Failed(not_isolated(failure)),
        Policy::Skip => match report_skip(settings, case, &failure) {
            Ok(()) => Verdict::Skipped,
            Err(failure) => Verdict::Failed(format!(
                "the test cannot be isolated, and the skip cannot be reported: {failure}"
            )),
        },
    }
}

/// Prints the number of skipped tests at the end of the process.
pub(crate) fn print_count() {
    let skipped = lock(&SKIPPED);
    let Some(Skipped { runner, count, failure }) = &*skipped else { return };
    if *runner != process::id() {
        return;
    }
    let tests = if *count == 1 { "1 test was" } else { &format!("{count} tests were") };
    let text = format!(
        "netns-test: {tests} SKIPPED, not run, though the test runner says \"ok\" \
         (NETNS_TEST=skip): {failure}\n"
    );
    drop(io::stderr().write_all(text.as_bytes()));
}

/// Whether the full explanation was printed in this process.
static EXPLAINED: AtomicBool = AtomicBool::new(false);

fn not_isolated(failure: Failure) -> String {
    if EXPLAINED.swap(true, Ordering::Relaxed) {
        return format!(
            "the test was not started: {} (another test of this program has the full explanation)",
            failure.summary()
        );
    }
    let failure = failure.advise("to skip such tests (each skip is reported): NETNS_TEST=skip");
    format!("the test was not started: {failure}")
}

/// Skips of this process.
struct Skipped {
    /// Process that has skipped them. A child that an ordinary test forks prints no number.
    runner: process::Pid,
    count: usize,
    failure: Failure,
}

static SKIPPED: Mutex<Option<Skipped>> = Mutex::new(None);

/// Reports a skip. If that fails, the test must not pass.
fn report_skip(settings: &Settings, case: &Case, failure: &Failure) -> Result<(), Failure> {
    let summary = failure.summary();
    if settings.skipped.is_none() {
        if let Some(reason) = unseen() {
            return Err(Failure::new("write", "a line to stderr", reason)
                .advise("set NETNS_TEST_SKIPPED to the path of a file as well"));
        }
    }
    if let Some(path) = &settings.skipped {
        add_line(path, &format!("{}\t{}\t{summary}\n", program(), case.path())).map_err(
            |error| {
                let object = format!("{} (NETNS_TEST_SKIPPED)", path.display());
                errno::failure("add a line to", object, &error)
            },
        )?;
    }
    let line = format!("netns-test: SKIPPED {}: {summary}\n", case.path());
    // Not `eprint!`, which libtest captures.
    let written = io::stderr().write_all(line.as_bytes());
    written.map_err(|error| errno::failure("write", "a line to stderr", &error))?;
    let mut skipped = lock(&SKIPPED);
    let new = || Skipped { runner: process::id(), count: 0, failure: failure.clone() };
    skipped.get_or_insert_with(new).count += 1;
    Ok(())
}

/// Returns the reason for which a line on stderr would not be seen, if there is one.
fn unseen() -> Option<&'static str> {
    if env::surroundings().nextest {
        return Some("cargo nextest does not show it");
    }
    // The standard library opens `/dev/null` if a program starts with stderr closed.
    fds::is_null(io::stderr().as_fd()).then_some("it leads to /dev/null, or was closed")
}

/// Appends a line in one write, so that the lines of concurrent programs stay whole.
fn add_line(path: &Path, line: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    if fds::is_null(file.as_fd()) {
        return Err(io::Error::other("nothing is kept there"));
    }
    file.write_all(line.as_bytes())
}

fn program() -> String {
    let path = std::env::current_exe().unwrap_or_default();
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
