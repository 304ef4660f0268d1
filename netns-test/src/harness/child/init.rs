//! Init, PID 1 of a test's namespaces: it sets them up, forks the body, and waits for it. When init
//! ends, the kernel kills every other process in the PID namespace.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd, OwnedFd};
use std::time::Duration;

use crate::diagnose;
use crate::env;
use crate::env::Escape;
use crate::error::Failure;
use crate::evidence::log;
use crate::harness::child::body;
use crate::harness::child::context::{Arrived, Site, Start, Task};
use crate::harness::child::time_limit::{Left, TimeLimit};
use crate::harness::child::{leftovers, record};
use crate::harness::evidence::examiner::Evidence;
use crate::harness::evidence::interim::Interim;
use crate::harness::evidence::own_network::OwnNetwork;
use crate::harness::evidence::reporting;
use crate::harness::protocol::framing;
use crate::harness::protocol::messages;
use crate::harness::protocol::report::{Ended, Record, Report};
use crate::harness::protocol::retry::retry_beside_tests;
use crate::harness::protocol::stage::Stage;
use crate::isolate;
use crate::isolate::{Neighbour, Network, Refused, Transcript};
use crate::probe::TrialOutcome;
use crate::registry::case::Case;
use crate::sys::fds::Until;
use crate::sys::net::{devconf, socket};
use crate::sys::process;
use crate::sys::process::group::Group;
use crate::sys::process::limits;
use crate::sys::process::{Namespace, Pid, Side, SingleThreaded, Status};
use crate::sys::process::{progress, shared_record, signals, unfailing};
use crate::sys::shared_log::SharedLog;
use crate::sys::{errno, fds, orphan};

/// Body that was forked, and prepares itself while init sets up the sandbox.
struct Forked {
    pid: Pid,
    record: shared_record::Record,
    seal: u64,
    /// Log of the body; none without reports, or if the kernel refuses the memory.
    log: Option<SharedLog>,
    /// Socket on which the body waits for [`messages::Ready`].
    ready: OwnedFd,
    /// Transcript of the step that chose the body's process id.
    numbering: Transcript,
}

/// Body that may begin, in a sandbox that is ready.
struct Running {
    pid: Pid,
    /// Time at which the sandbox was ready for the test, by [`progress::now`].
    ready: Duration,
    record: shared_record::Record,
    seal: u64,
    log: Option<SharedLog>,
    /// Descriptor of the PID namespace's `/proc`, if it has one.
    proc: Option<OwnedFd>,
    /// Network namespace of the neighbour, if there is one.
    neighbour: Option<OwnedFd>,
    /// Flight recorder of the test's own network, if its failure is to be reported.
    recorded: Option<OwnNetwork>,
    /// Resources that could not be isolated.
    limitations: Vec<String>,
}

/// Runs init's process.
pub(crate) fn main(site: &Site<'_>, alone: &SingleThreaded) -> ! {
    match site.task {
        Task::This(order) => {
            let forked = enter(site).and_then(|()| fork_body(site, Start::This(order), alone));
            let begun = forked.and_then(|forked| begin(site, forked));
            conclude(site, (order.case, order.control), begun, alone)
        }
        Task::Awaited(orders) => run_warm(site, orders, alone),
    }
}

/// Sets up a warm sandbox and waits for its order, which the body receives and passes on. If the
/// set-up fails, init ends without a report: the next request gets another sandbox, which reports
/// the reason if it fails too.
fn run_warm(site: &Site<'_>, orders: &OwnedFd, alone: &SingleThreaded) -> ! {
    let arrived = (|| {
        enter(site).ok()?;
        let (passed_on, to_init) = socket::pair().ok()?;
        let start = Start::Awaited { orders, init: &to_init };
        let forked = fork_body(site, start, alone).ok()?;
        let running = begin(site, forked).ok()?;
        // Only the body keeps `orders` open. When the body closes it, the server sees that the
        // order was taken.
        let own = [running.proc.as_ref(), running.neighbour.as_ref()];
        let keep = [Some(site.children), Some(site.alive), Some(&passed_on), site.farewell];
        let keep = keep.into_iter().chain(own);
        let recorders = running.recorded.iter().flat_map(OwnNetwork::descriptors);
        let keep: Vec<_> = keep.flatten().chain(recorders).map(AsRawFd::as_raw_fd).collect();
        fds::close_all_except(&keep).ok()?;
        std::mem::forget(to_init);
        loop {
            let events = [
                Until::Readable(site.children.as_fd()),
                Until::Readable(passed_on.as_fd()),
                Until::HungUp(site.alive.as_fd()),
            ];
            let ready = fds::wait(&events, None).ok()?;
            if ready[1].readable {
                let arrived = Arrived::wait_for(&passed_on)?;
                return Some((arrived, Running { ready: progress::now(), ..running }));
            }
            let ended = ready[0].readable && signals::clear(site.children).is_ok();
            if ready[2].hung_up || ended && reap_until(running.pid).is_some() {
                return None;
            }
        }
    })();
    match arrived {
        Some((arrived, running)) => {
            conclude(site, (arrived.case, &arrived.control), Ok(running), alone)
        }
        None => process::exit_now(1),
    }
}

/// Waits for the end of the body, if it has begun, and sends the report to the runner.
fn conclude(
    site: &Site<'_>,
    (case, control): (&'static Case, &OwnedFd),
    begun: Result<Running, Failure>,
    alone: &SingleThreaded,
) -> ! {
    let report = match begun {
        Ok(running) => supervise(site, (case, control), running, alone),
        Err(failure) => Report::NotStarted(failure),
    };
    // If the runner has gone, the report has no reader.
    let room = || framing::wait_for_room(control, site.alive.as_fd());
    let sent = framing::send(control, &report.encode(), room);
    process::exit_now(i32::from(sent.is_err()))
}

/// Leaves the server's session and descriptors.
fn enter(site: &Site<'_>) -> Result<(), Failure> {
    let step = |step, object| move |error: io::Error| diagnose::explain(step, object, &error);
    process::die_with_parent().map_err(step("prctl", "PR_SET_PDEATHSIG"))?;
    orphan::forget();
    let keep = [site.children, site.alive, site.go].into_iter().chain(site.outcome);
    let keep = keep.chain(site.farewell).chain(site.task.descriptors());
    let keep: Vec<_> = keep.map(AsRawFd::as_raw_fd).collect();
    fds::close_all_except(&keep).map_err(step("close_range", "the server's descriptors"))?;
    // Without a new session the body would be in the runner's process group, and its `kill(0, …)`
    // would reach the runner.
    process::lead_own_session().map_err(step("setsid", "init"))
}

/// Forks the body. The sandbox is set up afterwards, so that body and init work at the same time.
fn fork_body(site: &Site<'_>, start: Start<'_>, alone: &SingleThreaded) -> Result<Forked, Failure> {
    let step = |step, object| move |error: io::Error| diagnose::explain(step, object, &error);
    let record = shared_record::Record::new().map_err(step("mmap", "the shared record"))?;
    let seal = record::seal();
    let is_reported = env::report() != env::Report::Off;
    let log = is_reported.then(SharedLog::new).and_then(Result::ok);
    let (ready, theirs) = socket::pair().map_err(step("socketpair", "the test's process"))?;
    // Before the choice of the body's process id, since the leader of the group takes one, too.
    let group = retry_for_test(site, || Group::new(alone)).map_err(|error| {
        diagnose::explain("fork", "the leader of the test's process group", &error)
    })?;
    let numbering = isolate::number_next_process();
    let side = retry_for_test(site, || process::fork(alone))
        .map_err(|error| diagnose::explain("fork", "the test's process", &error))?;
    let Side::Parent(pid) = side else {
        drop(ready);
        // Init reaps the leader.
        std::mem::forget(group);
        body::main(site, (start, theirs), (record, seal, log), alone)
    };
    // A signal to the body's group then reaches neither init nor a process that has left the group.
    group.take_in(pid).map_err(step("setpgid", "the test's process"))?;
    Ok(Forked { pid, record, seal, log, ready, numbering })
}

/// Sets up the sandbox and sends [`messages::Ready`] to the body.
fn begin(site: &Site<'_>, forked: Forked) -> Result<Running, Failure> {
    let step = |step, object| move |error: io::Error| diagnose::explain(step, object, &error);
    let Forked { pid, record, seal, log, ready, numbering } = forked;
    wait_for_go(site.go);
    let (proc, mut limitations) = set_up(site, numbering)?;
    let neighbour = add_neighbour(site, &mut limitations)?;
    if site.task.is_given_up().map_err(step("ppoll", "the runner's socket"))? {
        process::exit_now(1);
    }
    // Before the test can send.
    let recorded = log.as_ref().map(|_| OwnNetwork::record(env::escape() == Escape::Trace));
    // A body can then neither trace init nor use its descriptors. This comes after the fork: the
    // body would inherit it, and a debugger that follows the fork could not read the body.
    process::make_undumpable().map_err(step("prctl", "PR_SET_DUMPABLE of init"))?;
    let text = messages::Ready { limitations: limitations.clone() }.encode();
    match framing::send(&ready, &text, || framing::wait_for_room(&ready, site.alive.as_fd())) {
        // A body whose preparation failed has written a record and ended.
        Err(error) if !framing::is_hang_up(&error) => {
            return Err(errno::failure("send", "the message to the test's process", &error));
        }
        _ => {}
    }
    let ready = progress::now();
    Ok(Running { pid, ready, record, seal, log, proc, neighbour, recorded, limitations })
}

/// Sets up the sandbox. The first one of a run sends the outcome to the server. If the kernel
/// refuses it, init then ends: the server explains the refusal, or tries another mode.
fn set_up(
    site: &Site<'_>,
    numbering: Transcript,
) -> Result<(Option<OwnedFd>, Vec<String>), Failure> {
    let mut transcript = Transcript::default();
    let tried = isolate::set_up(site.identity, site.mode, &mut transcript);
    transcript.0.extend(numbering.0);
    let done = |proc| (proc, transcript.limitations());
    let Some(outcome) = site.outcome else { return tried.map(done).map_err(explained) };
    match tried.and_then(|proc| isolate::try_loopback().map(|()| proc)) {
        Ok(proc) => {
            send_outcome(outcome, &TrialOutcome::Allowed(devconf::known().unwrap_or_default()));
            Ok(done(proc))
        }
        // A shortage is not a property of the machine.
        Err(refused) if refused.failure.errno.is_none_or(errno::may_come_free) => {
            Err(explained(refused))
        }
        Err(refused) => {
            send_outcome(outcome, &TrialOutcome::from(refused));
            process::exit_now(1)
        }
    }
}

/// Adds the neighbour that the test's network has. A failure says nothing about other tests.
fn add_neighbour(
    site: &Site<'_>,
    limitations: &mut Vec<String>,
) -> Result<Option<OwnedFd>, Failure> {
    if site.network == Network::Loopback {
        return Ok(None);
    }
    let neighbour = retry_for_test(site, Neighbour::new).map_err(|error| {
        let (object, kinds) = ("a network for the neighbour", [Namespace::Net]);
        diagnose::explain_unshare("unshare", object, &kinds, &error)
    })?;
    let mut transcript = Transcript::default();
    let kept = neighbour.connect(&mut transcript)?;
    limitations.extend(transcript.limitations());
    Ok(Some(kept))
}

/// Retries a shortage in a sandbox that has a test. In a warm one a shortage is an error at once:
/// while it waited it would hold what the tests that run may lack.
fn retry_for_test<T>(site: &Site<'_>, mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    match site.task {
        Task::This(_) => retry_beside_tests(site.heartbeat.0, attempt),
        Task::Awaited(_) => attempt(),
    }
}

fn explained(refused: Refused) -> Failure {
    TrialOutcome::from(refused).explained().expect("a refusal is not a success")
}

/// Sends the outcome to the server, if it still runs.
fn send_outcome(server: &OwnedFd, outcome: &TrialOutcome) {
    drop(fds::write_once(server.as_fd(), &outcome.encode()));
}

/// Returns when the server has written the id maps. Ends the process if the server cannot.
fn wait_for_go(go: &OwnedFd) {
    let mut byte = [0];
    if !matches!(fds::read_available(go, &mut byte), Ok(Some(1))) {
        process::exit_now(1);
    }
}

/// Waits until the body has ended, its time is over, or the runner or the server has gone.
fn supervise(
    site: &Site<'_>,
    (case, control): (&Case, &OwnedFd),
    mut running: Running,
    alone: &SingleThreaded,
) -> Report {
    let log = running.log.take().zip(running.recorded.take());
    let mut evidence = log.map(|(log, own)| Evidence::new(log, (running.pid, own), alone));
    let mut time = TimeLimit { ready: running.ready, limit: case.timeout().duration() };
    let mut interim = env::surroundings().nextest.then(Interim::default);
    loop {
        let began = running.record.progress().began();
        if began.is_none() && site.heartbeat.0.is_short() && site.heartbeat.0.others_run() {
            // The body may wait until other tests free resources: its time begins again.
            time.ready = progress::now();
        }
        let now = progress::now();
        let look = time.look(now, began);
        if interim.as_mut().is_some_and(|interim| interim.is_due(now, began)) {
            reporting::so_far((case, control), &mut evidence, began, running.proc.as_ref());
        }
        // A panicking thread cannot wake this process: see `log::panicked`.
        let poll = evidence.as_ref().map(|_| log::POLL);
        let next = interim.map(|interim| interim.left(now, began));
        let left = look.wait().into_iter().chain(next).chain(poll).min();
        let events = [
            Until::Readable(site.children.as_fd()),
            // Not `Readable`: the runner's data on this socket is for the body.
            Until::HungUp(control.as_fd()),
            Until::HungUp(site.alive.as_fd()),
        ];
        let ended = match fds::wait(&events, left) {
            Ok(ready) if ready[1].hung_up || ready[2].hung_up => {
                let places = ((site.farewell, site.alive), running.proc.as_ref());
                reporting::at_end_of_runner(case, &mut evidence, began, places);
                process::exit_now(1)
            }
            Ok(ready) => ready[0].readable && signals::clear(site.children).is_ok(),
            Err(_) => process::exit_now(1),
        };
        // The limit of a process that has ended can be read only until it is reaped.
        let limit = if ended { limits::processor_time_of(running.pid) } else { None };
        let status = if ended { reap_until(running.pid) } else { None };
        if let Some(status) = status {
            let used_up = limit.filter(|&limit| unfailing::time_of_children() >= limit);
            let began = running.record.progress().began();
            let ended = Ended { used_up, ..report(&running, status, None) };
            let escaped = reporting::escaped(&ended, running.proc.as_ref());
            let ended = Ended { escaped, ..ended };
            if reporting::is_needed(case, &ended) || env::keeps_all() {
                reporting::send(evidence, (control, site.alive), (began, running.proc.as_ref()));
            }
            return Report::Ended(ended);
        }
        if let Some(evidence) = &mut evidence {
            evidence.follow(ended, running.proc.as_ref());
        }
        // The kernel kills the body when init ends.
        if let Left::Over(limit) = look {
            if let Some(evidence) = &mut evidence {
                evidence.at_time_limit(running.proc.as_ref());
            }
            reporting::send(evidence, (control, site.alive), (began, running.proc.as_ref()));
            let limit = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
            return Report::Ended(report(&running, Status::Signaled(signals::KILL), Some(limit)));
        }
    }
}

/// Reaps every child that has ended. Returns the body's status if it was among them.
fn reap_until(body: Pid) -> Option<Status> {
    let mut status = None;
    while let Ok(Some((pid, ended))) = process::reap() {
        if pid == body {
            status = Some(ended);
        }
    }
    status
}

fn report(running: &Running, status: Status, timed_out: Option<u64>) -> Ended {
    let Running { pid, record, seal, proc, limitations, .. } = running;
    let (pid, seal, limitations) = (*pid, *seal, limitations.clone());
    let stack_overflow = record.stack_overflow().load(std::sync::atomic::Ordering::Relaxed) != 0;
    let stage = Stage::from_number(record.progress().stage()).unwrap_or(Stage::Body);
    let is_unseen = record.is_unseen();
    let record = record.read(seal).and_then(|(kind, text)| Record::from_parts(kind, &text));
    let record = if is_unseen { record.map(Record::unseen) } else { record };
    let is_alone = timed_out.is_none() && !process::others_exist();
    let left = match proc {
        // The usual case; cheaper than a listing.
        _ if is_alone => Vec::new(),
        Some(proc) => leftovers::list(proc, pid),
        None if timed_out.is_some() => Vec::new(),
        None => vec!["some, which cannot be listed without a /proc".into()],
    };
    Ended {
        status,
        record,
        stage,
        timed_out,
        stack_overflow,
        left,
        is_alone,
        limitations,
        used_up: None,
        escaped: 0,
    }
}
