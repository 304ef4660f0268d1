//! Sends the request for one test, replays the output, and waits for the end.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::error::Failure;
use crate::harness::child::runner_env::RunnerEnv;
use crate::harness::protocol::framing;
use crate::harness::protocol::messages;
use crate::harness::protocol::messages::Message;
use crate::harness::protocol::report::{Ended, Record, Report};
use crate::harness::protocol::retry::retry_while;
use crate::harness::runner::output::{Replay, Streams};
use crate::harness::runner::verdict::Outcome;
use crate::harness::server::handle::{NoServer, Server};
use crate::harness::server::watchdog;
use crate::harness::server::watchdog::Watch;
use crate::sys::errno::Refusal;
use crate::sys::fds::Until;
use crate::sys::net::socket;
use crate::sys::process::limits;
use crate::sys::process::signals;
use crate::sys::process::signals::Mask;
use crate::sys::text::field;
use crate::sys::{errno, fds};
use crate::{diagnose, env, userns};

/// Time that the kernel may take to end the processes of a test that has reported. A process that
/// waits for a device or is held by a debugger may take any time.
const LAST_PROCESS: Duration = Duration::from_secs(30);

/// Most bytes of evidence. Init sends less; a body that can write to init's memory may not.
const MOST_EVIDENCE: usize = 64 << 20;

/// Runs test number `index`, which has this time limit. Returns when all its processes but init
/// have ended. Appends the evidence of a test
/// that has not passed to `evidence`.
pub(crate) fn perform(
    server: Result<&Server, NoServer>,
    (index, limit): (usize, Option<Duration>),
    (replay, evidence): (&mut Replay, &mut Vec<u8>),
) -> Outcome {
    let server = match server {
        Ok(server) => server,
        Err(NoServer::Refused(failure)) => return Outcome::Refused(failure),
        Err(NoServer::Failed(failure)) => return Outcome::NotRequested(failure),
    };
    diagnose::note_refusals();
    let mut watch = server.watch(limit);
    let prepare = || Ok((Channels::open()?, user_now()?));
    let prepared = retry_while(|| Holder::count() > 0, prepare);
    let _holder = Holder::new();
    let ((ours, theirs), user) = match prepared {
        Ok(prepared) => prepared,
        Err(refusal) => return Outcome::NotRequested(not_prepared(&refusal)),
    };
    if let Some(reason) = server.still_stopped() {
        return Outcome::ServerLost(reason);
    }
    if let Err(error) = theirs.send(server, messages::Request { index, user }, &mut watch) {
        return not_sent(server, "the request", &error);
    }
    drop(theirs);
    // While the sandbox is set up. On a failure this function closes the socket, which ends the
    // set-up.
    let environment = match retry_while(|| Holder::count() > 1, || runner_env(server)) {
        Ok(environment) => environment.encode(),
        Err(refusal) => return Outcome::NotRequested(not_prepared(&refusal)),
    };
    let room = || wait_for_room(ours.control.as_fd(), server, &mut watch);
    match framing::send(&ours.control, &environment, room) {
        // A server that refuses the request or dies is noticed in `follow`.
        Err(error) if !framing::is_hang_up(&error) => {
            not_sent(server, "environment and limits for the test", &error)
        }
        _ => ours.follow(server, &mut watch, (replay, evidence)),
    }
}

/// Completes failures with facts that the processes of the test could not see.
fn seen_from_outside(report: Report) -> Report {
    let of_record = |record| match record {
        Record::NotStarted(failure) => Record::NotStarted(diagnose::seen_from_outside(failure)),
        record => record,
    };
    match report {
        Report::NotStarted(failure) => Report::NotStarted(diagnose::seen_from_outside(failure)),
        Report::Ended(ended) => {
            Report::Ended(Ended { record: ended.record.map(of_record), ..ended })
        }
        report @ Report::Refused(_) => report,
    }
}

/// Explains a request that could not be prepared.
fn not_prepared(refusal: &Refusal) -> Failure {
    let Refusal { step, object, error } = refusal;
    if *object == WORKING_DIRECTORY && error.kind() == io::ErrorKind::PermissionDenied {
        let advice = "the user of the tests may not search it; run them in a directory that it may";
        return errno::failure(step, *object, error).advise(advice);
    }
    diagnose::explain(step, object, error)
}

/// Returns the outcome of a request of which a part, `what`, could not be sent.
fn not_sent(server: &Server, what: &str, error: &io::Error) -> Outcome {
    if framing::is_hang_up(error) {
        Outcome::ServerLost(server.how_it_ended())
    } else if error.kind() == STILL {
        server.note_silent();
        Outcome::ServerLost(error.to_string())
    } else {
        Outcome::NotRequested(diagnose::explain("send", what, error))
    }
}

/// Kind of the error of a server that does not run. Its text is the explanation.
const STILL: io::ErrorKind = io::ErrorKind::TimedOut;

/// Waits until the socket is writable.
///
/// # Errors
///
/// If `server` has gone, or does not run.
fn wait_for_room(socket: BorrowedFd<'_>, server: &Server, watch: &mut Watch) -> io::Result<()> {
    loop {
        let events = [Until::Writable(socket), Until::HungUp(server.liveness())];
        let ready = fds::wait(&events, Some(watchdog::PAUSE))?;
        if ready[1].hung_up {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if ready[0].writable || ready[0].hung_up {
            return Ok(());
        }
        if let Some(reason) = watch.look(|| false) {
            return Err(io::Error::new(STILL, reason));
        }
    }
}

const WORKING_DIRECTORY: &str = "the working directory";

/// Returns the runner's user and capabilities. The server refuses others than those of its fork.
fn user_now() -> Result<(u32, u32, u64), Refusal> {
    userns::user_now().map_err(errno::at("capget", "own capabilities"))
}

/// Guard of the descriptors that a request holds until its test has ended.
struct Holder;

static HOLDERS: AtomicUsize = AtomicUsize::new(0);

impl Holder {
    fn new() -> Self {
        HOLDERS.fetch_add(1, Ordering::Relaxed);
        Self
    }

    /// Counts the requests of this process, which other threads hold.
    fn count() -> usize {
        HOLDERS.load(Ordering::Relaxed)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        HOLDERS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Descriptors of a test that the runner keeps. When it drops them, as after a panic of `print!`,
/// init ends the test.
struct Channels {
    control: OwnedFd,
    output: Streams,
}

/// Descriptors that the runner sends to the server.
struct Sent {
    control: OwnedFd,
    stdout: OwnedFd,
    stderr: OwnedFd,
    directory: OwnedFd,
}

/// Messages received so far.
#[derive(Default)]
struct Received {
    parts: Vec<u8>,
    /// The report, `None` if it cannot be decoded, and the time at which it was complete.
    report: Option<(Option<Report>, Instant)>,
}

impl Channels {
    fn open() -> Result<(Self, Sent), Refusal> {
        let (control, their_control) =
            socket::pair().map_err(errno::at("socketpair", "runner and test"))?;
        let (output, stdout, stderr) = Streams::open()?;
        let directory =
            fds::open_place(Path::new(".")).map_err(errno::at("open", WORKING_DIRECTORY))?;
        Ok((Self { control, output }, Sent { control: their_control, stdout, stderr, directory }))
    }

    fn follow(
        mut self,
        server: &Server,
        watch: &mut Watch,
        (replay, evidence): (&mut Replay, &mut Vec<u8>),
    ) -> Outcome {
        let outcome = self.wait_for_the_end(server, watch, (replay, evidence));
        self.output.finish(replay);
        outcome
    }

    fn wait_for_the_end(
        &mut self,
        server: &Server,
        watch: &mut Watch,
        (replay, evidence): (&mut Replay, &mut Vec<u8>),
    ) -> Outcome {
        let mut received = Received::default();
        loop {
            let left = received.time_left();
            let (is_readable, server_is_there) = match self.wait_and_replay(server, left, replay) {
                Ok(ready) => ready,
                Err(error) => {
                    let failure = diagnose::explain("ppoll", "the test's end", &error);
                    return Outcome::ServerLost(failure.to_string());
                }
            };
            let message = is_readable.then(|| framing::receive_message(&self.control)).transpose();
            match message {
                Ok(Some(Message::Part(part))) => received.parts.extend(part),
                Ok(Some(Message::Last(part))) => {
                    received.parts.extend(part);
                    match Report::decode(&received.parts).map(seen_from_outside) {
                        Some(report) if report.is_final() => return Outcome::Ended(report),
                        report => received.report = Some((report, Instant::now())),
                    }
                }
                Ok(Some(Message::Evidence(part))) => {
                    if evidence.len() < MOST_EVIDENCE {
                        evidence.extend(part);
                    }
                }
                Ok(Some(Message::SoFar(text))) => replay.add_text(&text),
                Ok(Some(Message::Gone(end))) => {
                    let report = received.report.and_then(|(report, _)| report);
                    return Outcome::Gone { report, end };
                }
                Ok(None) if server_is_there => {
                    if left == Some(Duration::ZERO) {
                        let report = received.report.and_then(|(report, _)| report);
                        return Outcome::Lingers { report, server: None };
                    }
                    // After a report only the server's message is missing.
                    let is_independent =
                        || left.is_none() && socket::all_was_read(self.control.as_fd());
                    if let Some(reason) = watch.look(is_independent) {
                        server.note_silent();
                        return match received.report {
                            None => Outcome::ServerLost(reason),
                            Some((report, _)) => Outcome::Lingers { report, server: Some(reason) },
                        };
                    }
                }
                Err(error) if error.raw_os_error().is_some() && !framing::is_hang_up(&error) => {
                    let failure = diagnose::explain("recvmsg", "the report of the test", &error);
                    return Outcome::ServerLost(failure.to_string());
                }
                Ok(None) | Err(_) => return Outcome::ServerLost(server.how_it_ended()),
            }
        }
    }

    /// Waits for output or a message, and replays output. Returns whether there is a message, and
    /// whether the server runs.
    fn wait_and_replay(
        &mut self,
        server: &Server,
        timeout: Option<Duration>,
        replay: &mut Replay,
    ) -> io::Result<(bool, bool)> {
        let control = Until::Readable(self.control.as_fd());
        let mut events = vec![control, Until::HungUp(server.liveness())];
        events.extend(self.output.sources().map(Until::Readable));
        let timeout = timeout.unwrap_or(watchdog::PAUSE).min(watchdog::PAUSE);
        let mut ready = fds::wait(&events, Some(timeout))?;
        self.output.turn(replay);
        let is_there = !ready[1].hung_up;
        if !is_there {
            // A message sent before the server ended may have arrived after the poll.
            let control = Until::Readable(self.control.as_fd());
            ready = fds::wait(&[control], Some(Duration::ZERO))?;
        }
        Ok((ready[0].readable || ready[0].hung_up, is_there))
    }
}

impl Received {
    /// Returns the time left for the last process, or `None` (no limit) while the test runs.
    fn time_left(&self) -> Option<Duration> {
        self.report.as_ref().map(|(_, since)| LAST_PROCESS.saturating_sub(since.elapsed()))
    }
}

impl Sent {
    fn send(
        &self,
        server: &Server,
        request: messages::Request,
        watch: &mut Watch,
    ) -> io::Result<()> {
        let fds = [&self.control, &self.stdout, &self.stderr, &self.directory];
        let fds = fds.map(|fd| fd.as_fd());
        let request = request.encode();
        loop {
            let socket = server.socket()?;
            let send = || socket::try_send_fds(socket, &request, &fds).map_err(framing::full);
            match retry_while(|| Holder::count() > 1, send) {
                Err(error) if error.kind() == framing::FULL => {
                    wait_for_room(socket, server, watch)?;
                }
                other => return other,
            }
        }
    }
}

/// Reads the attributes of this process and thread for the body.
fn runner_env(server: &Server) -> Result<RunnerEnv, Refusal> {
    let text = |(mut name, value): (OsString, OsString)| {
        name.push("=");
        name.push(value);
        name.into_vec()
    };
    let environment = env::variables();
    let has_changed = environment != server.environment;
    Ok(RunnerEnv {
        environment: has_changed.then(|| environment.into_iter().map(text).collect()),
        limits: limits::get().map_err(errno::at("prlimit", "the runner"))?,
        mask: signals::mask().unwrap_or(Mask(0)),
        umask: umask().map_err(errno::at("read", "Umask in /proc/self/status"))?,
    })
}

/// Reads the umask from `/proc`: umask(2) would change it for a moment, for all threads.
fn umask() -> io::Result<u32> {
    let status = fds::read_small("/proc/self/status")?;
    let value = field(&status, "Umask:");
    let value = value.and_then(|value| u32::from_str_radix(value, 8).ok());
    value.ok_or_else(|| io::Error::other("no Umask in /proc/self/status"))
}
