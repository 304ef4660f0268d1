//! Runs one test: the request to the server, the output, the verdict for libtest.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::ExitCode;
use std::sync::OnceLock;

use crate::env;
use crate::error::Failure;
use crate::harness::child::body;
use crate::harness::runner::verdict::{Judgement, Outcome, Verdict};
use crate::harness::runner::{output, policy, registered_twice, request, verdict};
use crate::harness::server::handle;
use crate::harness::server::handle::NoServer;
use crate::registry::case::{Case, Entry, ShouldPanic};
use crate::registry::sections;
use crate::sys::process;
use crate::sys::process::SingleThreaded;

/// The fork server, or why there is none. Set before `main`.
static SERVER: OnceLock<Result<handle::Server, NoServer>> = OnceLock::new();

/// Forks the server; called before `main`, in a process with one thread.
pub(crate) fn start(alone: &SingleThreaded) {
    // Read while no other thread can change them; who needs them asks again.
    drop((env::settings(), env::surroundings()));
    let server = handle::fork(alone);
    drop(SERVER.set(server));
    process::at_exit(end);
}

extern "C" fn end() {
    policy::tell_count();
    if let Some(Ok(server)) = SERVER.get() {
        server.end();
    }
}

/// Runs the test that `entry` describes: what the function under the attribute does.
///
/// Returns when it has passed.
///
/// # Panics
///
/// Panics when the test has failed, with the body's own message if it had one. For a
/// `#[should_panic]` test only the body's own panic is raised: after any other failure
/// this returns, which libtest then reports as a missing panic. If it is skipped, its panic is
/// raised here.
pub fn run(entry: &'static Entry) {
    let case = entry.expect("only the sentinel is no test, and nobody runs that");
    if body::is_running() {
        return run_here(case);
    }
    // A `print!` of the harness panics where nobody reads, and libtest must not take that
    // for the panic of the test.
    let verdict = match catch_unwind(AssertUnwindSafe(|| ask(entry, case))) {
        Ok(verdict) => verdict,
        Err(_) if case.should_panic != ShouldPanic::No => return,
        Err(panic) => resume_unwind(panic),
    };
    match verdict {
        Verdict::Passed => {}
        Verdict::Panicked(message) => resume_unwind(Box::new(message)),
        Verdict::PanickedWithValue => resume_unwind(Box::new(NotText)),
        // libtest would take a panic for the one that the test is to end with.
        Verdict::Failed(_) if case.should_panic != ShouldPanic::No => {}
        Verdict::Failed(reason) => resume_unwind(Box::new(reason)),
        Verdict::Skipped => pass(case),
        Verdict::Refused(_) => unreachable!("the policy has made another verdict of it"),
    }
}

/// Passes the test in libtest's eyes.
fn pass(case: &Case) {
    match case.should_panic {
        ShouldPanic::No => {}
        ShouldPanic::Yes => resume_unwind(Box::new("skipped")),
        ShouldPanic::With(message) => resume_unwind(Box::new(message)),
    }
}

/// Has the test run and tells the person who reads it what there is to tell.
fn ask(entry: &'static Entry, case: &'static Case) -> Verdict {
    let mut replay = output::Replay::default();
    if let Some(reason) = registered_twice::refusal(case) {
        return told(Judgement::failed(reason), &replay);
    }
    let settings = match env::settings() {
        Ok(settings) => settings,
        Err(failure) => return told(Judgement::failed(failure.to_string()), &replay),
    };
    let outcome = match index_of(entry) {
        Some(index) => request::perform(server(), (index, case.timeout().duration()), &mut replay),
        None => Outcome::NotRequested(unknown_entry()),
    };
    let Judgement { verdict, notes } = verdict::judge(outcome);
    let verdict = match verdict {
        Verdict::Refused(failure) => policy::judge(settings, case, failure),
        verdict => verdict,
    };
    told(Judgement { verdict, notes }, &replay)
}

/// Adds what there is to say after the test's output.
fn told(judgement: Judgement, replay: &output::Replay) -> Verdict {
    let Judgement { verdict, notes } = judgement;
    let reason = match &verdict {
        Verdict::Failed(reason) => Some(reason.clone()),
        _ => None,
    };
    let lines: Vec<String> = reason.into_iter().chain(notes).collect();
    replay.add_lines(&lines);
    verdict
}

/// A test function called by the body of another: it is isolated already.
fn run_here(case: &Case) {
    let code = (case.body)();
    assert!(code == ExitCode::SUCCESS, "the test {} returned a failing exit status", case.path());
}

fn index_of(entry: &'static Entry) -> Option<usize> {
    sections::cases().iter().position(|other| std::ptr::eq(other, entry))
}

fn unknown_entry() -> Failure {
    Failure::new("find", "the test in the binary's table of tests", "it is not there")
        .advise("the attribute works in executables; a test in a dynamic library has no table")
}

fn server() -> Result<&'static handle::Server, NoServer> {
    match SERVER.get() {
        Some(Ok(server)) => Ok(server),
        Some(Err(none)) => Err(none.clone()),
        None => Err(NoServer::Failed(Failure::new(
            "fork",
            "the server, before main",
            "the constructor did not run",
        ))),
    }
}

/// Stands in the runner for a panic value of the body that is no text.
struct NotText;
