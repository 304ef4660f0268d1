//! Init, process 1 of a test's namespaces: sets them up, forks the body, waits for it,
//! and takes every other process with it when it ends.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use super::body;
use super::case::Case;
use super::parts;
use super::patience::insist;
use super::wire::{Ended, Record, Report};
use crate::diagnose;
use crate::error::Failure;
use crate::isolation;
use crate::probe::News;
use crate::sandbox::{self, Identity, Mode, Refused, Transcript};
use crate::sys::fds::Until;
use crate::sys::process::{self, Pid, Side, SingleThreaded, Status};
use crate::sys::{errno, fds, memory, signals};

/// What a test needs, as it is in the server when init is forked.
#[derive(Debug)]
pub(super) struct Job<'a> {
    pub(super) case: &'static Case,
    pub(super) identity: &'a Identity,
    pub(super) mode: &'a Mode,
    pub(super) control: &'a OwnedFd,
    pub(super) stdout: &'a OwnedFd,
    pub(super) stderr: &'a OwnedFd,
    pub(super) children: &'a OwnedFd,
    pub(super) alive: &'a OwnedFd,
    pub(super) go: &'a OwnedFd,
    /// Where to tell that the set-up has come to its end, if the server waits for that.
    pub(super) news: Option<&'a OwnedFd>,
    pub(super) origin: &'a Origin,
}

/// What the server has changed of the program's process, for the body to have it back.
#[derive(Debug)]
pub(super) struct Origin {
    /// The name of its thread.
    pub(super) name: CString,
    /// Whether SIGCHLD was ignored.
    pub(super) ignores_children: bool,
}

/// A body that runs.
struct Running {
    pid: Pid,
    started: Instant,
    seal: u64,
    record: memory::Record,
    /// The `/proc` of the test's processes, if they have one of their own.
    proc: Option<OwnedFd>,
    /// What could not be isolated.
    limitations: Vec<String>,
}

/// Init's whole life.
pub(super) fn main(job: &Job<'_>, alone: &SingleThreaded) -> ! {
    let report = match begin(job, alone) {
        Ok(running) => supervise(job, running),
        Err(failure) => Report::NotStarted(failure),
    };
    // If the runner has gone, nobody wants to know.
    let room = || parts::wait_for_room(job.control, job.alive.as_fd());
    let sent = parts::send(job.control, &report.encode(), room);
    process::exit_now(i32::from(sent.is_err()))
}

fn begin(job: &Job<'_>, alone: &SingleThreaded) -> Result<Running, Failure> {
    let step = |step, object| move |error: io::Error| errno::failure(step, object, &error);
    process::die_with_parent().map_err(step("prctl", "PR_SET_PDEATHSIG"))?;
    let keep = [job.control, job.stdout, job.stderr, job.children, job.alive, job.go];
    let keep: Vec<_> = keep.into_iter().chain(job.news).map(AsRawFd::as_raw_fd).collect();
    fds::close_all_except(&keep).map_err(step("close", "the server's descriptors"))?;
    wait_for_go(job.go);
    // So that a body's `kill(0, …)` does not reach the runner, whose group it would share.
    process::lead_own_session().map_err(step("setsid", "init"))?;
    let (proc, limitations) = set_up(job)?;
    isolation::set(job.mode.is_privileged(), limitations.clone());
    let record = memory::Record::new().map_err(step("mmap", "the shared record"))?;
    let seal = seal();
    let (closed, word) = fds::pipe().map_err(step("pipe", "the word to the test's process"))?;
    let side = insist(|| process::fork(alone))
        .map_err(|error| diagnose::explain("fork", "the test's process", &error))?;
    let Side::Parent(pid) = side else {
        drop(word);
        wait_for_go(&closed);
        body::main(job, alone, record, seal)
    };
    // So that a body cannot trace init, stop it, or speak in its name. After the fork: a
    // debugger that follows it could not look at the body before the body is open again.
    process::make_undumpable().map_err(step("prctl", "PR_SET_DUMPABLE of init"))?;
    fds::write_once(word.as_fd(), &[1]).map_err(step("write", "the word to the test's process"))?;
    // Not before: a shortage that is waited out is no time of the test's.
    let started = Instant::now();
    Ok(Running { pid, started, seal, record, proc, limitations })
}

/// The sandbox. If it is the first one and refused, the server takes the matter on: it may try
/// another way, and knows what to tell.
fn set_up(job: &Job<'_>) -> Result<(Option<OwnedFd>, Vec<String>), Failure> {
    let mut transcript = Transcript::default();
    let tried = sandbox::set_up(job.identity, job.mode, &mut transcript);
    let done = |proc| (proc, transcript.limitations());
    let Some(news) = job.news else { return tried.map(done).map_err(explained) };
    match tried.and_then(|proc| sandbox::try_loopback().map(|()| proc)) {
        Ok(proc) => {
            tell(news, &News::Allowed);
            Ok(done(proc))
        }
        Err(refused) if refused.failure.errno.is_some_and(errno::is_shortage_code) => {
            Err(explained(refused))
        }
        Err(refused) => {
            tell(news, &News::from(refused));
            process::exit_now(1)
        }
    }
}

fn explained(refused: Refused) -> Failure {
    News::from(refused).explained().expect("it is no news of success")
}

/// To a server that has gone nothing needs to be told.
fn tell(server: &OwnedFd, news: &News) {
    drop(fds::write_once(server.as_fd(), &news.encode()));
}

/// Returns when the server has written the id maps, and not at all if it cannot.
fn wait_for_go(go: &OwnedFd) {
    let mut byte = [0];
    if !matches!(fds::read_available(go, &mut byte), Ok(Some(1))) {
        process::exit_now(1);
    }
}

/// A number that a body cannot write by accident.
fn seal() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(process::id()) | 1
}

/// Waits until the body ends, or its time is over, or nobody is left to tell.
fn supervise(job: &Job<'_>, running: Running) -> Report {
    let deadline = job.case.time_limit().and_then(|limit| running.started.checked_add(limit));
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let events = [
            Until::Readable(job.children.as_fd()),
            // What the runner sends there is for the body.
            Until::HungUp(job.control.as_fd()),
            Until::HungUp(job.alive.as_fd()),
        ];
        let ended = match fds::wait(&events, left) {
            Ok(ready) if ready[1].hung_up || ready[2].hung_up => process::exit_now(1),
            Ok(ready) => ready[0].readable && signals::clear(job.children).is_ok(),
            Err(_) => process::exit_now(1),
        };
        let status = if ended { reap_until(running.pid) } else { None };
        if let Some(status) = status {
            return report(running, status, None);
        }
        // The kernel kills the body when init ends.
        if left.is_some_and(|left| left == Duration::ZERO) {
            return report(running, Status::Signaled(signals::KILL), job.case.timeout);
        }
    }
}

/// Reaps every child that has ended; the body's status, if it was among them.
fn reap_until(body: Pid) -> Option<Status> {
    let mut status = None;
    while let Ok(Some((pid, ended))) = process::reap() {
        if pid == body {
            status = Some(ended);
        }
    }
    status
}

fn report(running: Running, status: Status, timed_out: Option<u64>) -> Report {
    let Running { pid, seal, record, proc, limitations, .. } = running;
    let stack_overflow = record.stack_overflow().load(std::sync::atomic::Ordering::Relaxed) != 0;
    let record = record.read(seal).and_then(|(kind, text)| Record::from_parts(kind, &text));
    let left = match &proc {
        Some(proc) => others(proc, pid),
        None => uncounted(timed_out),
    };
    Report::Ended(Ended { status, record, timed_out, stack_overflow, left, limitations })
}

/// How many processes are named that a test has left.
const NAMED: usize = 20;

/// The processes of this namespace besides init and the body, by name and id.
fn others(proc: &OwnedFd, body: Pid) -> Vec<String> {
    let names = fds::names_in(proc).unwrap_or_default();
    let pids = names.iter().filter_map(|name| name.parse().ok());
    let others = pids.filter(|&pid: &Pid| pid != process::id() && pid != body);
    let mut left: Vec<String> = others.filter_map(|pid| describe(proc, pid)).collect();
    if left.len() > NAMED {
        let more = left.split_off(NAMED).len();
        left.push(format!("and {more} more"));
    }
    left
}

/// `sleep (process 12)`; nothing for a process that has ended.
fn describe(proc: &OwnedFd, pid: Pid) -> Option<String> {
    let status = fds::read_in(proc, &format!("{pid}/status")).ok()?;
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
    let state = field("State:")?.trim();
    if state.starts_with(['Z', 'X']) {
        return None;
    }
    Some(format!("{} (process {pid})", field("Name:")?.trim()))
}

/// Where `/proc` is not this namespace's.
fn uncounted(timed_out: Option<u64>) -> Vec<String> {
    if timed_out.is_none() && process::others_exist() {
        return vec!["some, which cannot be listed without a /proc".into()];
    }
    Vec::new()
}
