//! The fork server as the runner knows it, and the fork that makes it.
//!
//! Forking in the runner would copy locks that other threads hold, and take longer the
//! more memory the runner uses. The server is a copy of the test binary from before
//! `main`, with one thread and little memory.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::diagnose;
use crate::env;
use crate::error::Failure;
use crate::harness::protocol::heartbeat::Pulse;
use crate::harness::protocol::retry::insist;
use crate::harness::server::watchdog::Watch;
use crate::harness::server::{event_loop, last_word, watchdog};
use crate::registry::versions;
use crate::sys::fds::Until;
use crate::sys::net::socket;
use crate::sys::process;
use crate::sys::process::{Pid, Side, SingleThreaded, Status};
use crate::sys::process::{limits, shared_record, signals, unfailing};
use crate::sys::{errno, fds};

/// How long a server that has closed its socket may take to end.
const LAST_MOMENT: Duration = Duration::from_secs(1);

/// The server.
#[derive(Debug)]
pub(crate) struct Server {
    pid: Pid,
    /// The process that has forked it.
    runner: Pid,
    socket: OwnedFd,
    /// Of the socket, to notice that a test has closed it and its number was reused.
    identity: (u64, u64),
    /// The environment in the moment of the fork, which each body starts with.
    pub(crate) environment: Vec<(OsString, OsString)>,
    pulse: Pulse,
    /// Why it has ended itself.
    last_word: shared_record::Record,
    /// Whether a test was lost because it does nothing.
    was_still: AtomicBool,
}

impl Server {
    /// Where requests go.
    pub(crate) fn socket(&self) -> io::Result<BorrowedFd<'_>> {
        let socket = self.socket.as_fd();
        if fds::identity(socket)? == self.identity {
            return Ok(socket);
        }
        Err(io::Error::other("the test program has closed the harness's socket"))
    }

    /// What hangs up when the server has gone.
    ///
    /// A test's own socket need not: an ordinary test may have forked while the other end
    /// was still open here. The other end of this one was never open beside threads.
    pub(crate) fn liveness(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Looks whether it goes on, for a test with this time limit.
    pub(crate) fn watch(&self, limit: Option<Duration>) -> Watch {
        Watch::new(self.pid, self.pulse, limit)
    }

    /// Notes that a test was lost because it does nothing: the next ones are lost at once.
    pub(crate) fn note_still(&self) {
        self.was_still.store(true, Ordering::Relaxed);
    }

    /// Why it need not be asked: it was found stopped, and still is.
    pub(crate) fn still_stopped(&self) -> Option<String> {
        if !self.was_still.load(Ordering::Relaxed) {
            return None;
        }
        let told = watchdog::still_stopped(self.pid);
        self.was_still.store(told.is_some(), Ordering::Relaxed);
        told
    }

    /// Why it does not answer.
    pub(crate) fn how_it_ended(&self) -> String {
        if let Some(failure) = last_word::read(&self.last_word) {
            return format!("the fork server could not go on: {failure}");
        }
        if let Err(error) = self.socket() {
            return error.to_string();
        }
        let hung_up = fds::wait(&[Until::HungUp(self.liveness())], Some(LAST_MOMENT))
            .is_ok_and(|ready| ready[0].hung_up);
        if !hung_up {
            return "the fork server has dropped the request, as it does where `ulimit -n` \
                    leaves it no descriptor"
                .into();
        }
        // A process that has closed its socket is about to end.
        match self.wait_for_end() {
            Some(Status::Exited(code)) => format!("the fork server exited with status {code}"),
            Some(Status::Signaled(signals::SYS)) => {
                let failure = diagnose::killed_by_filter();
                format!("the fork server was killed by a filter: {failure}")
            }
            Some(Status::Signaled(signal)) => {
                let limit = limits::processor_time().map_or_else(String::new, |limit| {
                    format!(" (its processor time is limited to {limit} s: `ulimit -t`)")
                });
                format!("the fork server was killed by {}{limit}", signals::name(signal))
            }
            None => "the fork server has ended".into(),
        }
    }

    /// Has it end and reaps it: nobody else does where process 1 is no init, as in many
    /// containers. Only in the process that has forked it.
    pub(crate) fn end(&self) {
        if process::id() != self.runner || self.socket().is_err() {
            return;
        }
        socket::hang_up(self.liveness());
        // A server that somebody has stopped is left to its parent's death.
        if self.wait_for_end().is_some() {
            process::reap_aside(self.pid);
        }
    }

    /// Waits for its end, which is near; nothing if it does not come, or is not told.
    fn wait_for_end(&self) -> Option<Status> {
        let since = Instant::now();
        let process = process::descriptor_of(self.pid).ok();
        loop {
            if let Some(status) = process::end_of(self.pid).ok()? {
                return Some(status);
            }
            let left = LAST_MOMENT.checked_sub(since.elapsed())?;
            match &process {
                Some(process) => drop(fds::wait(&[Until::Readable(process.as_fd())], Some(left))),
                // Linux before 5.3.
                None => thread::yield_now(),
            }
        }
    }
}

/// Why there is no server.
#[derive(Clone, Debug)]
pub(crate) enum NoServer {
    /// This machine, or this program, allows none.
    Refused(Failure),
    Failed(Failure),
}

/// Forks the server. In the new process this does not return.
pub(crate) fn fork(alone: &SingleThreaded) -> Result<Server, NoServer> {
    match process::thread_count() {
        Ok(1) => {}
        other => {
            let failure = diagnose::not_alone(other);
            let is_shortage = failure.errno.is_some_and(errno::is_shortage_code);
            let no_server = if is_shortage { NoServer::Failed } else { NoServer::Refused };
            return Err(no_server(failure));
        }
    }
    let failed = |step: &'static str, object: &'static str| {
        move |error: io::Error| NoServer::Failed(diagnose::explain(step, object, &error))
    };
    unfailing::refused_identity().map_err(|(call, error)| failed(call, "the runner")(error))?;
    let (ours, theirs) = socket::pair().map_err(failed("socketpair", "runner and fork server"))?;
    let number = || failed("fcntl", "F_DUPFD_CLOEXEC of the fork server's socket");
    let ours = fds::beyond_stdio(ours).map_err(number())?;
    let theirs = fds::beyond_stdio(theirs).map_err(number())?;
    let identity =
        fds::identity(ours.as_fd()).map_err(failed("fstat", "the fork server's socket"))?;
    let shared = || failed("mmap", "memory to share with the fork server");
    let pulse = Pulse::new().map_err(shared())?;
    let last_word = shared_record::Record::new().map_err(shared())?;
    let runner = process::id();
    match insist(|| process::fork_aside(alone)).map_err(failed("clone", "the fork server"))? {
        Side::Parent(pid) => {
            let environment = env::variables();
            let was_still = AtomicBool::new(false);
            Ok(Server {
                pid,
                runner,
                socket: ours,
                identity,
                environment,
                pulse,
                last_word,
                was_still,
            })
        }
        Side::Child => {
            versions::note_server();
            event_loop::main(&theirs, (runner, pulse), alone, &last_word)
        }
    }
}
