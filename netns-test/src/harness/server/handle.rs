//! The runner's handle of the fork server, and the fork.
//!
//! A fork of the runner itself would copy locks that other threads hold, and take longer the more
//! memory the runner uses. The server is a copy of the test binary from before `main`, with one
//! thread and little memory.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::diagnose;
use crate::env;
use crate::error::Failure;
use crate::harness::protocol::death;
use crate::harness::protocol::heartbeat::Heartbeat;
use crate::harness::protocol::retry::retry_shortage;
use crate::harness::server::watchdog::Watch;
use crate::harness::server::{event_loop, last_word, watchdog};
use crate::registry::versions;
use crate::sys::fds::Until;
use crate::sys::net::socket;
use crate::sys::process;
use crate::sys::process::{Pid, Side, SingleThreaded, Status};
use crate::sys::process::{limits, shared_record, signals, unfailing};
use crate::sys::{errno, fds};

/// Time that a server that has closed its socket may take to end.
const LAST_MOMENT: Duration = Duration::from_secs(1);

/// Handle of the server.
#[derive(Debug)]
pub(crate) struct Server {
    pid: Pid,
    /// Process that has forked the server.
    runner: Pid,
    socket: OwnedFd,
    /// Device and inode of the socket, to notice that a test has closed it and its number is
    /// reused.
    identity: (u64, u64),
    /// Environment at the fork, with which each body starts.
    pub(crate) environment: Vec<(OsString, OsString)>,
    heartbeat: Heartbeat,
    /// Reason for which the server has ended itself.
    last_word: shared_record::Record,
    /// Whether a test was lost because the server did not run.
    was_silent: AtomicBool,
}

impl Server {
    /// Returns the socket for requests.
    ///
    /// # Errors
    ///
    /// If the test program has closed it.
    pub(crate) fn socket(&self) -> io::Result<BorrowedFd<'_>> {
        let socket = self.socket.as_fd();
        if fds::identity(socket)? == self.identity {
            return Ok(socket);
        }
        Err(io::Error::other("the test program has closed the harness's socket"))
    }

    /// Returns a descriptor that hangs up when the server has gone.
    ///
    /// The socket of a test does not serve for this: an ordinary test may have forked while its
    /// other end was open here. The other end of this one was closed before there were threads.
    pub(crate) fn liveness(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Starts a watchdog for a test with this time limit.
    pub(crate) fn watch(&self, limit: Option<Duration>) -> Watch {
        Watch::new(self.pid, self.heartbeat, limit)
    }

    /// Notes that a test was lost because the server did not run: the next tests fail at once.
    pub(crate) fn note_silent(&self) {
        self.was_silent.store(true, Ordering::Relaxed);
    }

    /// Returns the reason for which a request is in vain: the server was found stopped, and still
    /// is.
    pub(crate) fn still_stopped(&self) -> Option<String> {
        if !self.was_silent.load(Ordering::Relaxed) {
            return None;
        }
        let explanation = watchdog::still_stopped(self.pid);
        self.was_silent.store(explanation.is_some(), Ordering::Relaxed);
        explanation
    }

    /// Returns the reason for which the server does not answer.
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
                let reason = death::of_harness(Status::Signaled(signal));
                let limit = limits::processor_time().map_or_else(String::new, |limit| {
                    format!(" (its processor time is limited to {limit} s: `ulimit -t`)")
                });
                format!("the fork server was killed by {}{limit}{reason}", signals::name(signal))
            }
            None => "the fork server has ended".into(),
        }
    }

    /// Ends the server and reaps it, in the process that has forked it. In many containers PID 1
    /// is not an init, and no other process would reap the server.
    pub(crate) fn end(&self) {
        if process::id() != self.runner || self.socket().is_err() {
            return;
        }
        self.heartbeat.note_over();
        socket::hang_up(self.liveness());
        // A server that is stopped (SIGSTOP) does not notice. If it was stopped at once, the kernel
        // does not end it with its parent either.
        if self.wait_for_end().is_none() && process::end_of(self.pid).is_ok_and(|end| end.is_none())
        {
            process::kill(self.pid);
        }
        if self.wait_for_end().is_some() {
            process::reap_aside(self.pid);
        }
    }

    /// Waits until the server has ended, which is expected soon. Returns `None` if it has not, or
    /// its status cannot be read.
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
                // Linux before 5.3 has no pidfd_open(2).
                None => thread::yield_now(),
            }
        }
    }
}

/// Reason for which there is no server.
#[derive(Clone, Debug)]
pub(crate) enum NoServer {
    /// This machine or this program does not allow one.
    Refused(Failure),
    Failed(Failure),
}

/// Forks the server. Does not return in the new process.
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
    let heartbeat = Heartbeat::new().map_err(shared())?;
    let last_word = shared_record::Record::new().map_err(shared())?;
    let runner = process::id();
    match retry_shortage(|| process::fork_aside(alone))
        .map_err(failed("clone", "the fork server"))?
    {
        Side::Parent(pid) => {
            let environment = env::variables();
            let was_silent = AtomicBool::new(false);
            Ok(Server {
                pid,
                runner,
                socket: ours,
                identity,
                environment,
                heartbeat,
                last_word,
                was_silent,
            })
        }
        Side::Child => {
            versions::note_server();
            event_loop::main(&theirs, (runner, heartbeat), alone, &last_word)
        }
    }
}
