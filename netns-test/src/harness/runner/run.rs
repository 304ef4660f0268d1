//! Runs one test: the request to the server, the output, the verdict for libtest.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::ExitCode;
use std::sync::OnceLock;

use crate::env;
use crate::error::Failure;
use crate::evidence::ending::EndKind;
use crate::harness::child::body;
use crate::harness::runner::verdict::{Judgement, Outcome, Verdict};
use crate::harness::runner::{
    ending, explanation, output, policy, registered_twice, request, verdict,
};
use crate::harness::server::handle;
use crate::harness::server::handle::NoServer;
use crate::registry::case::{Case, Entry, ShouldPanic};
use crate::registry::sections;
use crate::sys::process;
use crate::sys::process::SingleThreaded;

/// Handle of the fork server, or the reason why there is none. Set before `main`.
static SERVER: OnceLock<Result<handle::Server, NoServer>> = OnceLock::new();

/// Forks the server, in a process with one thread, before `main`.
pub(crate) fn start(alone: &SingleThreaded) {
    // Read while no other thread can change them. All keep their value for later calls.
    drop((env::settings(), env::surroundings(), env::test_run()));
    let server = handle::fork(alone);
    drop(SERVER.set(server));
    process::at_exit(end);
}

extern "C" fn end() {
    policy::print_count();
    if let Some(Ok(server)) = SERVER.get() {
        server.end();
    }
}

/// Runs the test that `entry` describes. The macro replaces the body of the function by this call.
///
/// Returns when the test has passed.
///
/// # Panics
///
/// Panics when the test has failed, with the body's own message if it had one. For a
/// `#[should_panic]` test only the body's own panic is raised: after any other failure this
/// returns, which libtest reports as a missing panic. If such a test is skipped, the expected
/// panic is raised.
pub fn run(entry: &'static Entry) {
    let case = entry.expect("only the sentinel is None, and it is not run");
    if body::is_running() {
        return run_here(case);
    }
    // A `print!` of the harness panics if its output is closed. libtest must not take that for the
    // panic of the test.
    let verdict = match catch_unwind(AssertUnwindSafe(|| ask(entry, case))) {
        Ok(verdict) => verdict,
        Err(_) if case.should_panic != ShouldPanic::No => return,
        Err(panic) => resume_unwind(panic),
    };
    match verdict {
        Verdict::Passed => {}
        Verdict::Panicked(message) => resume_unwind(Box::new(message)),
        Verdict::PanickedWithValue => resume_unwind(Box::new(NotText)),
        // libtest would take a panic for the expected one.
        Verdict::Failed(_) if case.should_panic != ShouldPanic::No => {}
        Verdict::Failed(reason) => resume_unwind(Box::new(reason)),
        Verdict::Skipped => pass(case),
        Verdict::Refused(_) => unreachable!("the policy has made another verdict of it"),
    }
}

/// Makes libtest pass the test.
fn pass(case: &Case) {
    match case.should_panic {
        ShouldPanic::No => {}
        ShouldPanic::Yes => resume_unwind(Box::new("skipped")),
        ShouldPanic::With(message) => resume_unwind(Box::new(message)),
    }
}

/// Runs the test and prints the notes on it.
fn ask(entry: &'static Entry, case: &'static Case) -> Verdict {
    let mut replay = output::Replay::default();
    if let Some(reason) = registered_twice::refusal(case) {
        return with_notes(Judgement::failed(reason), &mut replay);
    }
    let settings = match env::settings() {
        Ok(settings) => settings,
        Err(failure) => return with_notes(Judgement::failed(failure.to_string()), &mut replay),
    };
    let mut evidence = Vec::new();
    let outcome = match index_of(entry) {
        Some(index) => {
            let limit = case.timeout().duration();
            request::perform(server(), (index, limit), (&mut replay, &mut evidence))
        }
        None => Outcome::NotRequested(unknown_entry()),
    };
    let kind = ending::kind(&outcome);
    let Judgement { verdict, notes } = verdict::judge(outcome);
    let verdict = match verdict {
        Verdict::Refused(failure) => policy::judge(settings, case, failure),
        verdict => verdict,
    };
    let report = {
        let error = replay.returned_error().filter(|_| kind == EndKind::Returned);
        explanation::of(case, &verdict, (kind, error), &evidence)
    };
    let verdict = with_notes(Judgement { verdict, notes }, &mut replay);
    replay.add_report(&report);
    verdict
}

/// Prints the reason of a failure and the notes after the test's output.
fn with_notes(judgement: Judgement, replay: &mut output::Replay) -> Verdict {
    let Judgement { verdict, notes } = judgement;
    let reason = match &verdict {
        Verdict::Failed(reason) => Some(reason.clone()),
        _ => None,
    };
    let lines: Vec<String> = reason.into_iter().chain(notes).collect();
    replay.add_lines(&lines);
    verdict
}

/// Runs a test that the body of another test calls, in the sandbox of that test.
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

/// Panic value that stands for a value of the body that is not a string.
struct NotText;
