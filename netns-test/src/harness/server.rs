//! The fork server: a copy of the test binary from before `main`, with one thread and
//! little memory, that forks an init for each request.
//!
//! Forking in the runner would copy locks that other threads hold, and take longer the
//! more memory the runner uses. The server keeps nothing of the runner's but one end of
//! a socket; not stdout either, or `cargo test | tail` would wait for it.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use super::case::Case;
use super::init::{self, Job, Origin};
use super::patience::{Patience, insist};
use super::wire::{self, Message, Report};
use crate::error::Failure;
use crate::sandbox::{self, Identity};
use crate::sys::process::{self, Pid, Side, SingleThreaded, Status};
use crate::sys::{errno, fds, limits, signals, socket};
use crate::userns::Caller;
use crate::{diagnose, premain};

/// The server, as the runner knows it.
#[derive(Debug)]
pub(super) struct Server {
    pid: Pid,
    socket: OwnedFd,
    /// Of the socket, to notice that a test has closed it and its number was reused.
    identity: (u64, u64),
}

impl Server {
    /// Where requests go.
    pub(super) fn socket(&self) -> io::Result<BorrowedFd<'_>> {
        let socket = self.socket.as_fd();
        if fds::identity(socket)? == self.identity {
            return Ok(socket);
        }
        Err(io::Error::other("the test program has closed the harness's socket"))
    }

    /// Why it does not answer.
    pub(super) fn how_it_ended(&self) -> String {
        let socket = [self.socket.as_fd()];
        let hung_up = fds::wait(&socket, Some(Duration::from_secs(1)))
            .is_ok_and(|ready| ready.iter().any(|ready| ready.hung_up));
        if !hung_up {
            return "the fork server has dropped the request: it had no descriptors left".into();
        }
        // A process that has closed its socket is about to end.
        match process::wait_for(self.pid) {
            Some(Status::Exited(code)) => format!("the fork server exited with status {code}"),
            Some(Status::Signaled(signal)) => {
                format!("the fork server was killed by {}", signals::name(signal))
            }
            None => "the fork server has ended".into(),
        }
    }
}

/// Forks the server. In the new process this does not return.
pub(super) fn fork(alone: SingleThreaded) -> Result<Server, Failure> {
    let what = "the fork server";
    match process::thread_count() {
        Ok(1) => {}
        Ok(count) => {
            let reason = format!("the process has {count} threads before main already");
            return Err(Failure::new("fork", what, reason).advise(
                "a library that is loaded or preloaded before the program starts them; \
                 a fork would copy their locks",
            ));
        }
        Err(error) => return Err(diagnose::explain("read", "/proc/self/task", &error)),
    }
    let failed = |error: io::Error| diagnose::explain("fork", what, &error);
    let (ours, theirs) = socket::pair().map_err(failed)?;
    let (ours, theirs) =
        (fds::beyond_stdio(ours).map_err(failed)?, fds::beyond_stdio(theirs).map_err(failed)?);
    let identity = fds::identity(ours.as_fd()).map_err(failed)?;
    let runner = process::id();
    match insist(|| process::fork(&alone)).map_err(failed)? {
        Side::Parent(pid) => Ok(Server { pid, socket: ours, identity }),
        Side::Child => match Running::new(theirs, runner, alone) {
            Ok(mut server) => server.serve(),
            Err(_) => process::exit_now(1),
        },
    }
}

/// The server, in its own process.
struct Running {
    alone: SingleThreaded,
    requests: OwnedFd,
    /// Readable when a child has ended.
    children: OwnedFd,
    /// Init holds the first end and sees when the second, held here alone, is closed.
    alive: (OwnedFd, OwnedFd),
    caller: Result<Caller, Failure>,
    origin: Origin,
    waiting: VecDeque<Request>,
    tests: Vec<Test>,
    last_end: Option<Instant>,
}

/// A test that has been asked for.
struct Request {
    case: &'static Case,
    control: OwnedFd,
    stdout: OwnedFd,
    stderr: OwnedFd,
    directory: OwnedFd,
    caller: OwnedFd,
    patience: Patience,
    not_before: Instant,
}

/// A test whose init runs.
struct Test {
    init: Pid,
    control: OwnedFd,
}

impl Running {
    fn new(requests: OwnedFd, runner: Pid, alone: SingleThreaded) -> io::Result<Self> {
        process::die_with_parent()?;
        if process::parent_id() != runner {
            process::exit_now(1);
        }
        let null = fds::open_null()?;
        for number in 0..=2 {
            fds::install_stdio(&null, number)?;
        }
        fds::close_all_except(&[requests.as_raw_fd()])?;
        std::mem::forget(null);
        let origin =
            Origin { name: process::name()?, ignores_children: signals::stop_ignoring_children() };
        process::set_name(c"netns-test")?;
        // Tests get the runner's limits back; many of them may run at once.
        drop(limits::raise_open_files());
        Ok(Self {
            alone,
            requests,
            children: signals::watch_children()?,
            alive: fds::pipe()?,
            caller: Caller::read(),
            origin,
            waiting: VecDeque::new(),
            tests: Vec::new(),
            last_end: None,
        })
    }

    /// Until the runner has gone; its tests then go with the server.
    fn serve(&mut self) -> ! {
        loop {
            match self.step() {
                Ok(true) => {}
                Ok(false) => process::exit_now(0),
                Err(_) => process::exit_now(1),
            }
        }
    }

    /// Whether to go on.
    fn step(&mut self) -> io::Result<bool> {
        let timeout = self
            .waiting
            .front()
            .map(|request| request.not_before.saturating_duration_since(Instant::now()));
        let ready = fds::wait(&[self.requests.as_fd(), self.children.as_fd()], timeout)?;
        if ready[1].readable {
            signals::clear(&self.children)?;
            self.reap()?;
        }
        if ready[0].readable || ready[0].hung_up {
            match self.receive() {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                // The request's control socket, if it came, is closed: the runner knows.
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
                Err(error) => return Err(error),
            }
        }
        self.start_waiting();
        Ok(true)
    }

    /// Tells the runner of each test that has no process left.
    fn reap(&mut self) -> io::Result<()> {
        while let Some((pid, status)) = process::reap()? {
            let Some(place) = self.tests.iter().position(|test| test.init == pid) else { continue };
            let test = self.tests.swap_remove(place);
            self.last_end = Some(Instant::now());
            say(&test.control, &Message::Gone(status));
        }
        Ok(())
    }

    /// Takes one request in; `false` when the runner has gone.
    fn receive(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 64];
        let message = socket::receive(self.requests.as_fd(), &mut buffer)?;
        if message.length == 0 && message.fds.is_empty() {
            return Ok(false);
        }
        let invalid = || io::Error::from(io::ErrorKind::InvalidData);
        let index = wire::decode_request(&buffer[..message.length]).ok_or_else(invalid)?;
        let case = premain::cases().get(index).copied().flatten().ok_or_else(invalid)?;
        let fds: [OwnedFd; 5] = message.fds.try_into().map_err(|_| invalid())?;
        let [control, stdout, stderr, directory, caller] = fds;
        let (patience, not_before) = (Patience::new(), Instant::now());
        self.waiting.push_back(Request {
            case,
            control,
            stdout,
            stderr,
            directory,
            caller,
            patience,
            not_before,
        });
        Ok(true)
    }

    /// Starts what can be started, in order: what one lacks, the next lacks too.
    fn start_waiting(&mut self) {
        while let Some(mut request) = self.waiting.pop_front() {
            if request.not_before > Instant::now() {
                return self.waiting.push_front(request);
            }
            match self.start(&request) {
                Ok(init) => self.tests.push(Test { init, control: request.control }),
                Err(Refusal::Shortage(error)) => {
                    // Tests that run will free what is short.
                    let progress =
                        if self.tests.is_empty() { self.last_end } else { Some(Instant::now()) };
                    if let Some(pause) = request.patience.next_pause(progress) {
                        request.not_before = Instant::now() + pause;
                        return self.waiting.push_front(request);
                    }
                    let failure = diagnose::explain_clone(&self.alone, &error);
                    refuse(&request.control, failure);
                }
                Err(Refusal::Failed(failure)) => refuse(&request.control, failure),
            }
        }
    }

    fn start(&self, request: &Request) -> Result<Pid, Refusal> {
        let user = request.case.user;
        let identity = Identity::new(user, self.caller.as_ref().map_err(Failure::clone)?);
        let shortage = |error: io::Error| match errno::is_shortage(&error) {
            true => Refusal::Shortage(error),
            false => Refusal::Failed(diagnose::explain_clone(&self.alone, &error)),
        };
        fds::change_directory(&request.directory)
            .map_err(|error| errno::failure("fchdir", "the runner's working directory", &error))?;
        let (go, start) = fds::pipe().map_err(shortage)?;
        let side = process::fork_into(&self.alone, &sandbox::NAMESPACES).map_err(shortage)?;
        let Side::Parent(pid) = side else {
            init::main(
                &Job {
                    case: request.case,
                    identity: &identity,
                    control: &request.control,
                    stdout: &request.stdout,
                    stderr: &request.stderr,
                    caller: &request.caller,
                    children: &self.children,
                    alive: &self.alive.0,
                    go: &go,
                    origin: &self.origin,
                },
                &self.alone,
            )
        };
        // Without the maps init cannot begin; it ends when `start` is closed.
        identity.maps.write_for(pid).map_err(diagnose::explain_rights)?;
        drop(fds::write_once(start.as_fd(), b"g"));
        Ok(pid)
    }
}

/// Why a test could not be started.
enum Refusal {
    /// Something is used up that may come free.
    Shortage(io::Error),
    Failed(Failure),
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Tells the runner that there will be no test.
fn refuse(control: &OwnedFd, failure: Failure) {
    init::send_report(control, &Report::NotStarted(failure));
    say(control, &Message::Gone(Status::Exited(0)));
}

/// A runner that no longer listens needs no answer.
fn say(control: &OwnedFd, message: &Message) {
    drop(socket::send(control.as_fd(), &message.encode(), &[]));
}
