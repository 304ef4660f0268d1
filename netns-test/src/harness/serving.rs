//! The fork server in its own process: takes requests, forks an init for each, and tells
//! the runner when that has ended.
//!
//! It keeps nothing of the runner's but one end of a socket; not stdout either, or
//! `cargo test | tail` would wait for it.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

use super::case::Case;
use super::init::{self, Job, Origin};
use super::patience::Patience;
use super::wire::{self, End, Message, Report};
use crate::error::Failure;
use crate::sandbox::{self, Identity};
use crate::sys::fds::Until;
use crate::sys::process::{self, Pid, Side, SingleThreaded, Status};
use crate::sys::{errno, fds, limits, signals, socket};
use crate::userns::Caller;
use crate::{diagnose, premain};

/// How much longer than its test an init may live. It keeps the time itself; this is for
/// one that cannot, as when somebody has stopped it.
const GRACE: Duration = Duration::from_secs(15);

/// How long the kernel may take to end an init that the server has killed.
const AFTER_KILL: Duration = Duration::from_secs(5);

/// How soon a runner that is busy is told again that a test has ended.
const NEXT_TELLING: Duration = Duration::from_millis(20);

/// Descriptors that the server needs besides those of requests and tests.
const OWN_DESCRIPTORS: usize = 32;

/// Descriptors of a request that waits.
const DESCRIPTORS_OF_A_REQUEST: usize = 4;

/// The server's whole life.
pub(super) fn main(requests: &OwnedFd, runner: Pid, alone: &SingleThreaded) -> ! {
    let mut serving = match Serving::new(requests, runner, alone) {
        Ok(serving) => serving,
        Err(failure) => refuse_all(requests, &failure),
    };
    loop {
        match serving.step() {
            Ok(true) => {}
            // Tests that run go with the server.
            Ok(false) => process::exit_now(0),
            Err(_) => process::exit_now(1),
        }
    }
}

struct Serving<'a> {
    alone: &'a SingleThreaded,
    requests: &'a OwnedFd,
    /// Readable when a child has ended.
    children: OwnedFd,
    /// Init holds the first end and sees when the second, held here alone, is closed.
    alive: (OwnedFd, OwnedFd),
    caller: Caller,
    origin: Origin,
    open_files: usize,
    waiting: VecDeque<Request>,
    tests: Vec<Test>,
    /// Runners that were too busy to be told of the end of a test.
    untold: Vec<(OwnedFd, End)>,
    /// When a test has last ended, and so something come free.
    last_end: Option<Instant>,
    /// When a request was last refused because nothing came free.
    last_refusal: Option<Instant>,
}

/// A test that has been asked for.
struct Request {
    case: &'static Case,
    control: OwnedFd,
    stdout: OwnedFd,
    stderr: OwnedFd,
    directory: OwnedFd,
    patience: Patience,
    not_before: Instant,
}

/// A test whose init runs.
struct Test {
    init: Pid,
    /// To its runner, as long as that has not been told of the end.
    control: Option<OwnedFd>,
    /// When init is killed, and then when its end is no longer waited for; nothing for a test
    /// without a time limit.
    deadline: Option<Instant>,
    overdue: bool,
}

impl<'a> Serving<'a> {
    fn new(requests: &'a OwnedFd, runner: Pid, alone: &'a SingleThreaded) -> Result<Self, Failure> {
        let step = |step, object| move |error: io::Error| errno::failure(step, object, &error);
        process::die_with_parent().map_err(step("prctl", "PR_SET_PDEATHSIG of the server"))?;
        if process::parent_id() != runner {
            process::exit_now(1);
        }
        // An ordinary test may signal its group; the runner's death is what ends the server.
        process::lead_own_session().map_err(step("setsid", "the server"))?;
        fds::close_all_except(&[requests.as_raw_fd()])
            .map_err(step("close", "the runner's descriptors"))?;
        let null = fds::open_null().map_err(step("open", "/dev/null"))?;
        for number in 0..=2 {
            fds::install_stdio(&null, number).map_err(step("dup2", "/dev/null"))?;
        }
        let origin = Origin {
            name: process::name().map_err(step("prctl", "PR_GET_NAME"))?,
            ignores_children: signals::stop_ignoring_children(),
        };
        process::set_name(c"netns-test").map_err(step("prctl", "PR_SET_NAME"))?;
        // Bodies get the runner's limits back; many of them may run at once.
        let open_files = limits::raise_open_files().map_err(step("setrlimit", "open files"))?;
        Ok(Self {
            alone,
            requests,
            children: signals::watch_children().map_err(step("signalfd", "SIGCHLD"))?,
            alive: fds::pipe().map_err(step("pipe", "the server"))?,
            caller: Caller::read()?,
            origin,
            open_files,
            waiting: VecDeque::new(),
            tests: Vec::new(),
            untold: Vec::new(),
            last_end: None,
            last_refusal: None,
        })
    }

    /// Whether to go on.
    fn step(&mut self) -> io::Result<bool> {
        let requests = self.requests.as_fd();
        let requests =
            if self.has_room() { Until::Readable(requests) } else { Until::HungUp(requests) };
        let events = [Until::Readable(self.children.as_fd()), requests];
        let ready = fds::wait(&events, self.next_deadline())?;
        if ready[0].readable {
            signals::clear(&self.children)?;
            self.reap()?;
        }
        if (ready[1].readable || ready[1].hung_up) && !self.receive() {
            return Ok(false);
        }
        self.kill_overdue();
        self.start_waiting();
        self.untold.retain(|(control, end)| !tell(control, *end));
        Ok(true)
    }

    /// Whether one more request fits into the table of descriptors.
    fn has_room(&self) -> bool {
        let held = OWN_DESCRIPTORS
            + DESCRIPTORS_OF_A_REQUEST * self.waiting.len()
            + self.tests.len()
            + self.untold.len();
        self.waiting.is_empty() || held < self.open_files
    }

    fn next_deadline(&self) -> Option<Duration> {
        let now = Instant::now();
        let start = self.waiting.front().map(|request| request.not_before);
        let kill = self.tests.iter().filter_map(|test| test.deadline).min();
        let telling = (!self.untold.is_empty()).then(|| now + NEXT_TELLING);
        let next = [start, kill, telling].into_iter().flatten().min()?;
        Some(next.saturating_duration_since(now))
    }

    /// Tells the runner of each test that has no process left.
    fn reap(&mut self) -> io::Result<()> {
        while let Some((pid, status)) = process::reap()? {
            let Some(place) = self.tests.iter().position(|test| test.init == pid) else { continue };
            let test = self.tests.swap_remove(place);
            self.last_end = Some(Instant::now());
            let end = End { status, overdue: test.overdue };
            self.untold.extend(test.control.map(|control| (control, end)));
        }
        Ok(())
    }

    fn kill_overdue(&mut self) {
        let now = Instant::now();
        for test in &mut self.tests {
            if test.deadline.is_none_or(|deadline| deadline > now) {
                continue;
            }
            if test.overdue {
                // Something of it that waits for a device cannot be killed.
                let end = End { status: Status::Signaled(signals::KILL), overdue: true };
                self.untold.extend(test.control.take().map(|control| (control, end)));
                test.deadline = None;
            } else {
                process::kill(test.init);
                (test.deadline, test.overdue) = (Some(now + AFTER_KILL), true);
            }
        }
    }

    /// Takes one request in; `false` when the runner has gone.
    fn receive(&mut self) -> bool {
        let mut buffer = [0; 64];
        let message = match socket::receive(self.requests.as_fd(), &mut buffer) {
            Ok(message) => message,
            Err(error) => return error.kind() != io::ErrorKind::ConnectionReset,
        };
        if message.length == 0 && message.fds.is_empty() {
            return false;
        }
        let mut fds = message.fds;
        if fds.is_empty() {
            // Nobody can be answered; the runner sees that its socket is closed.
            return true;
        }
        let control = fds.remove(0);
        match self.case_of(&buffer[..message.length]) {
            Err(failure) => refuse(&control, failure),
            Ok(case) => match <[OwnedFd; 3]>::try_from(fds) {
                Ok(fds) => self.waiting.push_back(Request::new(case, control, fds)),
                Err(_) => refuse(&control, descriptors_lost()),
            },
        }
        true
    }

    /// Which test a request is for.
    fn case_of(&self, bytes: &[u8]) -> Result<&'static Case, Failure> {
        let invalid = || Failure::new("receive", "the request", "it makes no sense");
        let request = wire::Request::decode(bytes).ok_or_else(invalid)?;
        if request.user != self.caller.user() {
            let reason = "the runner has changed its user or its capabilities since it started";
            return Err(Failure::new("fork", "a body for this user", reason));
        }
        premain::cases().get(request.index).copied().flatten().ok_or_else(invalid)
    }

    /// Starts what can be started, in order: what one lacks, the next lacks too.
    fn start_waiting(&mut self) {
        while let Some(mut request) = self.waiting.pop_front() {
            if request.not_before > Instant::now() {
                return self.waiting.push_front(request);
            }
            match self.start(&request) {
                Ok(init) => self.tests.push(Test::new(init, request)),
                Err(Refusal::Shortage(error)) => {
                    if let Some(pause) = self.pause(&mut request.patience) {
                        request.not_before = Instant::now() + pause;
                        return self.waiting.push_front(request);
                    }
                    self.last_refusal = Some(Instant::now());
                    refuse(&request.control, diagnose::explain_clone(self.alone, &error));
                }
                Err(Refusal::Failed(failure)) => refuse(&request.control, failure),
            }
        }
    }

    /// How long to wait for something to come free; `None` if it has been long enough.
    fn pause(&self, patience: &mut Patience) -> Option<Duration> {
        // Tests that run will free what is short.
        if self.tests.iter().any(|test| !test.overdue) {
            return patience.next_pause(Some(Instant::now()));
        }
        // What was waited for in vain before is not waited for again.
        if self.last_refusal.is_some() && self.last_refusal > self.last_end {
            return None;
        }
        patience.next_pause(self.last_end)
    }

    fn start(&self, request: &Request) -> Result<Pid, Refusal> {
        let identity = Identity::new(request.case.user, &self.caller);
        let shortage = |error: io::Error| {
            if errno::is_shortage(&error) && !diagnose::is_forbidden(&error) {
                return Refusal::Shortage(error);
            }
            Refusal::Failed(diagnose::explain_clone(self.alone, &error))
        };
        let (go, start) = fds::pipe().map_err(shortage)?;
        // In a new mount namespace the working directory is that of the new mounts; a
        // descriptor would stay in the old ones.
        fds::change_directory(&request.directory)
            .map_err(|error| errno::failure("fchdir", "the runner's working directory", &error))?;
        let side = process::fork_into(self.alone, &sandbox::NAMESPACES);
        if let Ok(Side::Child) = side {
            init::main(&self.job(request, &identity, &go), self.alone)
        }
        fds::leave_directory()
            .map_err(|error| errno::failure("chdir", "/ in the server", &error))?;
        let Side::Parent(pid) = side.map_err(shortage)? else { process::exit_now(1) };
        // Without the maps init cannot begin; it ends when `start` is closed.
        identity.maps.write_for(pid).map_err(diagnose::explain_rights)?;
        drop(fds::write_once(start.as_fd(), b"g"));
        Ok(pid)
    }

    fn job<'j>(&'j self, request: &'j Request, identity: &'j Identity, go: &'j OwnedFd) -> Job<'j> {
        Job {
            case: request.case,
            identity,
            control: &request.control,
            stdout: &request.stdout,
            stderr: &request.stderr,
            children: &self.children,
            alive: &self.alive.0,
            go,
            origin: &self.origin,
        }
    }
}

impl Request {
    fn new(case: &'static Case, control: OwnedFd, fds: [OwnedFd; 3]) -> Self {
        let [stdout, stderr, directory] = fds;
        let (patience, not_before) = (Patience::new(), Instant::now());
        Self { case, control, stdout, stderr, directory, patience, not_before }
    }
}

impl Test {
    fn new(init: Pid, request: Request) -> Self {
        let limit = request.case.time_limit();
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit + GRACE));
        Self { init, control: Some(request.control), deadline, overdue: false }
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

/// The kernel has handed over fewer descriptors than were sent.
fn descriptors_lost() -> Failure {
    diagnose::explain("receive", "the request's descriptors", &errno::too_many_files())
}

/// Tells the runner that there will be no test. Little enough to fit into its socket, and
/// a runner that no longer listens needs no answer.
fn refuse(control: &OwnedFd, failure: Failure) {
    let report = Report::NotStarted(failure).encode();
    let end = End { status: Status::Exited(0), overdue: false };
    for message in [Message::Part(report), Message::Complete, Message::Gone(end)] {
        drop(socket::try_send(control.as_fd(), &message.encode()));
    }
}

/// Whether the runner knows now, or no longer wants to.
fn tell(control: &OwnedFd, end: End) -> bool {
    match socket::try_send(control.as_fd(), &Message::Gone(end).encode()) {
        Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        Ok(()) => true,
    }
}

/// What is left to a server that cannot serve: to say why.
fn refuse_all(requests: &OwnedFd, failure: &Failure) -> ! {
    let mut buffer = [0; 64];
    loop {
        match socket::receive(requests.as_fd(), &mut buffer) {
            Ok(message) if message.length > 0 => {
                if let Some(control) = message.fds.first() {
                    refuse(control, failure.clone());
                }
            }
            _ => process::exit_now(1),
        }
    }
}
