//! The runner's side of one test: asks the server, replays output, waits for the end.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::caller::Caller;
use super::output::{Replay, Streams};
use super::parts;
use super::patience::insist_while;
use super::server::{NoServer, Server};
use super::verdict::Outcome;
use super::wire::{self, Message, Report};
use crate::sys::fds::Until;
use crate::sys::signals::{self, Mask};
use crate::sys::{errno, fds, limits, socket};
use crate::{diagnose, userns};

/// How long the kernel may take to end the processes of a test that has reported. One that
/// waits for a device or is held by a debugger may take for ever.
const LAST_PROCESS: Duration = Duration::from_secs(30);

/// Has test number `index` run, and waits until every process of it but init has gone.
pub(super) fn perform(
    server: Result<&Server, NoServer>,
    index: usize,
    replay: &mut Replay,
) -> Outcome {
    let server = match server {
        Ok(server) => server,
        Err(NoServer::Refused(failure)) => return Outcome::Refused(failure),
        Err(NoServer::Failed(failure)) => return Outcome::NotRequested(failure),
    };
    let refused = |error: io::Error| {
        let is_denied = |error: &io::Error| error.kind() == io::ErrorKind::PermissionDenied;
        let directory = fds::open_place(Path::new("."));
        let failure = if is_denied(&error) && directory.is_err_and(|error| is_denied(&error)) {
            let advice =
                "the user of the tests may not search it; run them in a directory that it may";
            errno::failure("open", "the working directory", &error).advise(advice)
        } else {
            diagnose::explain("prepare", "the request for a sandbox", &error)
        };
        Outcome::NotRequested(failure)
    };
    let prepare = || Ok((Channels::open()?, userns::user_now()?));
    let prepared = insist_while(|| Holder::count() > 0, prepare);
    let _holder = Holder::new();
    let ((ours, theirs), user) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return refused(error),
    };
    if let Err(error) = theirs.send(server, wire::Request { index, user }) {
        if parts::is_hang_up(&error) {
            return Outcome::ServerLost(server.how_it_ended());
        }
        return Outcome::NotRequested(diagnose::explain("send", "the request", &error));
    }
    drop(theirs);
    // While the sandbox is made. If it fails, that ends when its socket is closed here.
    let caller = match insist_while(|| Holder::count() > 1, || caller(server)) {
        Ok(caller) => caller.encode(),
        Err(error) => return refused(error),
    };
    let room = || parts::wait_for_room(&ours.control, server.liveness());
    match parts::send(&ours.control, &caller, room) {
        // A server that refuses the request, or dies, is noticed there.
        Err(error) if !parts::is_hang_up(&error) => {
            let what = "environment and limits for the test";
            Outcome::NotRequested(diagnose::explain("send", what, &error))
        }
        _ => ours.follow(server, replay),
    }
}

/// Stands for the descriptors that a request holds until its test has ended.
struct Holder;

static HOLDERS: AtomicUsize = AtomicUsize::new(0);

impl Holder {
    fn new() -> Self {
        HOLDERS.fetch_add(1, Ordering::Relaxed);
        Self
    }

    /// How many there are in this process: tests of other threads.
    fn count() -> usize {
        HOLDERS.load(Ordering::Relaxed)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        HOLDERS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The descriptors of a test that the runner keeps. When it drops them, as when a
/// `print!` panics, init ends the test.
struct Channels {
    control: OwnedFd,
    output: Streams,
}

/// Those that it sends.
struct Sent {
    control: OwnedFd,
    stdout: OwnedFd,
    stderr: OwnedFd,
    directory: OwnedFd,
}

/// What the runner has been told so far.
#[derive(Default)]
struct News {
    parts: Vec<u8>,
    /// The report, once it is complete, and since when it is.
    report: Option<(Option<Report>, Instant)>,
}

impl Channels {
    fn open() -> io::Result<(Self, Sent)> {
        let (control, their_control) = socket::pair()?;
        let (output, stdout, stderr) = Streams::open()?;
        let directory = fds::open_place(Path::new("."))?;
        Ok((Self { control, output }, Sent { control: their_control, stdout, stderr, directory }))
    }

    fn follow(mut self, server: &Server, replay: &mut Replay) -> Outcome {
        let outcome = self.wait_for_the_end(server, replay);
        self.output.finish(replay);
        outcome
    }

    fn wait_for_the_end(&mut self, server: &Server, replay: &mut Replay) -> Outcome {
        let mut news = News::default();
        loop {
            let left = news.time_left();
            let (has_news, server_is_there) = match self.wait_and_replay(server, left, replay) {
                Ok(ready) => ready,
                Err(error) => return Outcome::ServerLost(format!("waiting for it: {error}")),
            };
            let message = has_news.then(|| parts::receive_message(&self.control)).transpose();
            match message {
                Ok(Some(Message::Part(part))) => news.parts.extend(part),
                Ok(Some(Message::Last(part))) => {
                    news.parts.extend(part);
                    match Report::decode(&news.parts) {
                        Some(report) if report.is_last_word() => return Outcome::Ended(report),
                        report => news.report = Some((report, Instant::now())),
                    }
                }
                Ok(Some(Message::Gone(end))) => {
                    let report = news.report.and_then(|(report, _)| report);
                    return Outcome::Gone { report, end };
                }
                Ok(None) if server_is_there => {
                    if left == Some(Duration::ZERO) {
                        return Outcome::Lingers(news.report.and_then(|(report, _)| report));
                    }
                }
                Ok(None) | Err(_) => return Outcome::ServerLost(server.how_it_ended()),
            }
        }
    }

    /// Waits for output or news, and replays output; whether there are news, and the server.
    fn wait_and_replay(
        &mut self,
        server: &Server,
        timeout: Option<Duration>,
        replay: &mut Replay,
    ) -> io::Result<(bool, bool)> {
        let control = Until::Readable(self.control.as_fd());
        let mut events = vec![control, Until::HungUp(server.liveness())];
        events.extend(self.output.sources().map(Until::Readable));
        let mut ready = fds::wait(&events, timeout)?;
        self.output.turn(replay);
        let is_there = !ready[1].hung_up;
        if !is_there {
            // What was said before it went may have come after the look at it.
            let control = Until::Readable(self.control.as_fd());
            ready = fds::wait(&[control], Some(Duration::ZERO))?;
        }
        Ok((ready[0].readable || ready[0].hung_up, is_there))
    }
}

impl News {
    /// How long to wait for the last process; for ever while the test runs.
    fn time_left(&self) -> Option<Duration> {
        self.report.as_ref().map(|(_, since)| LAST_PROCESS.saturating_sub(since.elapsed()))
    }
}

impl Sent {
    fn send(&self, server: &Server, request: wire::Request) -> io::Result<()> {
        let fds = [&self.control, &self.stdout, &self.stderr, &self.directory];
        let fds = fds.map(|fd| fd.as_fd());
        insist_while(
            || Holder::count() > 1,
            || socket::send(server.socket()?, &request.encode(), &fds),
        )
    }
}

/// This process and thread, as a test would find them.
fn caller(server: &Server) -> io::Result<Caller> {
    let text = |(mut name, value): (OsString, OsString)| {
        name.push("=");
        name.push(value);
        name.into_vec()
    };
    let environment = environment();
    let has_changed = environment != server.environment;
    Ok(Caller {
        environment: has_changed.then(|| environment.into_iter().map(text).collect()),
        limits: limits::get()?,
        mask: signals::mask().unwrap_or(Mask(0)),
        umask: umask()?,
    })
}

/// The variables of this process, by name and value.
pub(super) fn environment() -> Vec<(OsString, OsString)> {
    std::env::vars_os().collect()
}

/// From `/proc`: asking with umask(2) would change it for a moment, for all threads.
fn umask() -> io::Result<u32> {
    let status = fds::read_small("/proc/self/status")?;
    let value = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    let value = value.and_then(|value| u32::from_str_radix(value.trim(), 8).ok());
    value.ok_or_else(|| io::Error::other("no Umask in /proc/self/status"))
}
