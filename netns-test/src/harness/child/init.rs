//! Init, process 1 of a test's namespaces: sets them up, forks the body, waits for it,
//! and takes every other process with it when it ends.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd, OwnedFd};
use std::time::Duration;

use crate::diagnose;
use crate::error::Failure;
use crate::harness::child::body;
use crate::harness::child::context::{Arrived, Site, Start, Task};
use crate::harness::child::leftovers;
use crate::harness::child::time_limit::{Left, TimeLimit};
use crate::harness::protocol::framing;
use crate::harness::protocol::messages;
use crate::harness::protocol::report::{Ended, Record, Report};
use crate::harness::protocol::retry::insist_beside_others;
use crate::harness::protocol::stage::Stage;
use crate::isolate;
use crate::isolate::{Neighbour, Network, Refused, Transcript};
use crate::probe::News;
use crate::registry::case::Case;
use crate::sys::fds::Until;
use crate::sys::net::{devconf, socket};
use crate::sys::process;
use crate::sys::process::group::Group;
use crate::sys::process::limits;
use crate::sys::process::{Pid, Side, SingleThreaded, Status};
use crate::sys::process::{progress, shared_record, signals, unfailing};
use crate::sys::{errno, fds};

/// A body's process, which gets ready while init does, and waits for its word.
struct Forked {
    pid: Pid,
    record: shared_record::Record,
    seal: u64,
    /// Where it waits.
    word: OwnedFd,
    /// How its number was chosen.
    numbering: Transcript,
}

/// A body that runs, in a sandbox that stands.
struct Running {
    pid: Pid,
    /// Since when the sandbox is ready for the test, by [`progress::now`].
    ready: Duration,
    record: shared_record::Record,
    seal: u64,
    /// The `/proc` of the test's processes, if they have one of their own.
    proc: Option<OwnedFd>,
    /// The network namespace of the neighbour, if there is one.
    neighbour: Option<OwnedFd>,
    /// What could not be isolated.
    limitations: Vec<String>,
}

/// Init's whole life.
pub(crate) fn main(site: &Site<'_>, alone: &SingleThreaded) -> ! {
    match site.task {
        Task::This(order) => {
            let forked = enter(site).and_then(|()| fork_body(site, Start::This(order), alone));
            let begun = forked.and_then(|forked| begin(site, forked));
            conclude(site, (order.case, order.control), begun)
        }
        Task::Awaited(hand) => wait_as_spare(site, hand, alone),
    }
}

/// Has the body wait for the order, so that it comes there without a detour, and tell init. If there
/// is no sandbox, nobody has asked for it: who asks gets another one, or is told.
fn wait_as_spare(site: &Site<'_>, hand: &OwnedFd, alone: &SingleThreaded) -> ! {
    let arrived = (|| {
        enter(site).ok()?;
        let (told, tell) = socket::pair().ok()?;
        let start = Start::Awaited { hand, init: &tell };
        let forked = fork_body(site, start, alone).ok()?;
        let running = begin(site, forked).ok()?;
        // The body alone holds its end of the server's socket: that tells whether it has looked.
        let own = [running.proc.as_ref(), running.neighbour.as_ref()];
        let keep = [Some(site.children), Some(site.alive), Some(&told)].into_iter().chain(own);
        let keep: Vec<_> = keep.flatten().map(AsRawFd::as_raw_fd).collect();
        fds::close_all_except(&keep).ok()?;
        std::mem::forget(tell);
        loop {
            let events = [
                Until::Readable(site.children.as_fd()),
                Until::Readable(told.as_fd()),
                Until::HungUp(site.alive.as_fd()),
            ];
            let ready = fds::wait(&events, None).ok()?;
            if ready[1].readable {
                let arrived = Arrived::wait_for(&told)?;
                return Some((arrived, Running { ready: progress::now(), ..running }));
            }
            let ended = ready[0].readable && signals::clear(site.children).is_ok();
            if ready[2].hung_up || ended && reap_until(running.pid).is_some() {
                return None;
            }
        }
    })();
    match arrived {
        Some((arrived, running)) => conclude(site, (arrived.case, &arrived.control), Ok(running)),
        None => process::exit_now(1),
    }
}

/// Waits for the end of the body, if it has begun, and tells the runner.
fn conclude(
    site: &Site<'_>,
    (case, control): (&'static Case, &OwnedFd),
    begun: Result<Running, Failure>,
) -> ! {
    let report = match begun {
        Ok(running) => supervise(site, case, control, running),
        Err(failure) => Report::NotStarted(failure),
    };
    // If the runner has gone, nobody wants to know.
    let room = || framing::wait_for_room(control, site.alive.as_fd());
    let sent = framing::send(control, &report.encode(), room);
    process::exit_now(i32::from(sent.is_err()))
}

/// Leaves what is the server's.
fn enter(site: &Site<'_>) -> Result<(), Failure> {
    let step = |step, object| move |error: io::Error| diagnose::explain(step, object, &error);
    process::die_with_parent().map_err(step("prctl", "PR_SET_PDEATHSIG"))?;
    let keep = [site.children, site.alive, site.go].into_iter().chain(site.news);
    let keep = keep.chain(site.task.descriptors()).map(AsRawFd::as_raw_fd);
    let keep: Vec<_> = keep.collect();
    fds::close_all_except(&keep).map_err(step("close_range", "the server's descriptors"))?;
    // So that a body's `kill(0, …)` does not reach the runner, whose group it would share.
    process::lead_own_session().map_err(step("setsid", "init"))
}

/// Forks the body before there is a sandbox: both get ready at the same time. The body waits for
/// a word.
fn fork_body(site: &Site<'_>, start: Start<'_>, alone: &SingleThreaded) -> Result<Forked, Failure> {
    let step = |step, object| move |error: io::Error| diagnose::explain(step, object, &error);
    let record = shared_record::Record::new().map_err(step("mmap", "the shared record"))?;
    let seal = seal();
    let (word, theirs) = socket::pair().map_err(step("socketpair", "the test's process"))?;
    // Before the body's number is chosen: the group has one, too.
    let group = insist_beside_others(site.pulse.0, || Group::new(alone)).map_err(|error| {
        diagnose::explain("fork", "the leader of the test's process group", &error)
    })?;
    let numbering = isolate::number_next_process();
    let side = insist_beside_others(site.pulse.0, || process::fork(alone))
        .map_err(|error| diagnose::explain("fork", "the test's process", &error))?;
    let Side::Parent(pid) = side else {
        drop(word);
        // It is init that reaps the leader.
        std::mem::forget(group);
        body::main(site, (start, theirs), (record, seal), alone)
    };
    // So that a signal to the body's group reaches neither init nor what has left the group.
    group.take_in(pid).map_err(step("setpgid", "the test's process"))?;
    Ok(Forked { pid, record, seal, word, numbering })
}

/// Sets the sandbox up, and gives the body the word to begin.
fn begin(site: &Site<'_>, forked: Forked) -> Result<Running, Failure> {
    let step = |step, object| move |error: io::Error| diagnose::explain(step, object, &error);
    let Forked { pid, record, seal, word, numbering } = forked;
    wait_for_go(site.go);
    let (proc, mut limitations) = set_up(site, numbering)?;
    let neighbour = add_neighbour(site, &mut limitations)?;
    // So that a body cannot trace init, stop it, or speak in its name. After the fork: a
    // debugger that follows it could not look at the body before the body is open again.
    process::make_undumpable().map_err(step("prctl", "PR_SET_DUMPABLE of init"))?;
    let text = messages::Ready { limitations: limitations.clone() }.encode();
    match framing::send(&word, &text, || framing::wait_for_room(&word, site.alive.as_fd())) {
        // A body that could not get ready has left a record, and ended.
        Err(error) if !framing::is_hang_up(&error) => {
            return Err(errno::failure("send", "the message to the test's process", &error));
        }
        _ => {}
    }
    Ok(Running { pid, ready: progress::now(), record, seal, proc, neighbour, limitations })
}

/// The sandbox. If it is the first one and refused, the server takes the matter on: it may try
/// another way, and knows what to tell.
fn set_up(
    site: &Site<'_>,
    numbering: Transcript,
) -> Result<(Option<OwnedFd>, Vec<String>), Failure> {
    let mut transcript = Transcript::default();
    let tried = isolate::set_up(site.identity, site.mode, &mut transcript);
    transcript.0.extend(numbering.0);
    let done = |proc| (proc, transcript.limitations());
    let Some(news) = site.news else { return tried.map(done).map_err(explained) };
    match tried.and_then(|proc| isolate::try_loopback().map(|()| proc)) {
        Ok(proc) => {
            tell(news, &News::Allowed(devconf::known().unwrap_or_default()));
            Ok(done(proc))
        }
        // That is no trait of the machine.
        Err(refused) if refused.failure.errno.is_none_or(errno::may_come_free) => {
            Err(explained(refused))
        }
        Err(refused) => {
            tell(news, &News::from(refused));
            process::exit_now(1)
        }
    }
}

/// Adds the neighbour that the test asks for. That it cannot be had says nothing of other tests.
fn add_neighbour(
    site: &Site<'_>,
    limitations: &mut Vec<String>,
) -> Result<Option<OwnedFd>, Failure> {
    if site.network == Network::Loopback {
        return Ok(None);
    }
    let neighbour = insist_beside_others(site.pulse.0, Neighbour::new)
        .map_err(|error| diagnose::explain("unshare", "a network for the neighbour", &error))?;
    let mut transcript = Transcript::default();
    let kept = neighbour.connect(&mut transcript)?;
    limitations.extend(transcript.limitations());
    Ok(Some(kept))
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
fn supervise(site: &Site<'_>, case: &Case, control: &OwnedFd, running: Running) -> Report {
    let mut time = TimeLimit { ready: running.ready, limit: case.timeout().duration() };
    loop {
        let began = running.record.progress().began();
        if began.is_none() && site.pulse.0.is_short() && site.pulse.0.others_run() {
            // It may wait for what other tests hold.
            time.ready = progress::now();
        }
        let look = time.look(progress::now(), began);
        let left = match look {
            Left::Unlimited => None,
            Left::Wait(left) => Some(left),
            Left::Over(_) => Some(Duration::ZERO),
        };
        let events = [
            Until::Readable(site.children.as_fd()),
            // What the runner sends there is for the body.
            Until::HungUp(control.as_fd()),
            Until::HungUp(site.alive.as_fd()),
        ];
        let ended = match fds::wait(&events, left) {
            Ok(ready) if ready[1].hung_up || ready[2].hung_up => process::exit_now(1),
            Ok(ready) => ready[0].readable && signals::clear(site.children).is_ok(),
            Err(_) => process::exit_now(1),
        };
        // Of a process that has ended it can be read until that is reaped.
        let limit = if ended { limits::processor_time_of(running.pid) } else { None };
        let status = if ended { reap_until(running.pid) } else { None };
        if let Some(status) = status {
            let used_up = limit.filter(|&limit| unfailing::time_of_children() >= limit);
            return Report::Ended(Ended { used_up, ..report(running, status, None) });
        }
        // The kernel kills the body when init ends.
        if let Left::Over(limit) = look {
            let limit = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
            return Report::Ended(report(running, Status::Signaled(signals::KILL), Some(limit)));
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

fn report(running: Running, status: Status, timed_out: Option<u64>) -> Ended {
    let Running { pid, record, seal, proc, limitations, .. } = running;
    let stack_overflow = record.stack_overflow().load(std::sync::atomic::Ordering::Relaxed) != 0;
    let stage = Stage::from_number(record.progress().stage()).unwrap_or(Stage::Body);
    let is_unseen = record.is_unseen();
    let record = record.read(seal).and_then(|(kind, text)| Record::from_parts(kind, &text));
    let record = if is_unseen { record.map(Record::unseen) } else { record };
    let is_alone = timed_out.is_none() && !process::others_exist();
    let left = match &proc {
        // The usual case, which is told for less than a listing.
        _ if is_alone => Vec::new(),
        Some(proc) => leftovers::list(proc, pid),
        None if timed_out.is_some() => Vec::new(),
        None => vec!["some, which cannot be listed without a /proc".into()],
    };
    let used_up = None;
    Ended { status, record, stage, timed_out, stack_overflow, left, is_alone, limitations, used_up }
}
