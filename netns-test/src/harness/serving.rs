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
use super::order::{Request, Test, descriptors_lost, refuse, refuse_all, tell};
use super::patience::Patience;
use super::trial::{self, Grant, Trial};
use super::wire::{self, End, Report};
use crate::diagnose::{self, Step, Witness};
use crate::error::Failure;
use crate::premain;
use crate::probe::News;
use crate::sandbox::{Identity, Mode};
use crate::sys::fds::Until;
use crate::sys::process::{self, Pid, Side, SingleThreaded, Status};
use crate::sys::{errno, fds, limits, signals, socket};
use crate::userns::Caller;

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
    grant: Grant,
    waiting: VecDeque<Request>,
    tests: Vec<Test>,
    /// Runners that were too busy to be told of the end of a test.
    untold: Vec<(OwnedFd, End)>,
    /// When a test has last ended, and so something come free.
    last_end: Option<Instant>,
    /// When a request was last refused because nothing came free.
    last_refusal: Option<Instant>,
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
            grant: Grant::new(),
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
        let mut events = vec![Until::Readable(self.children.as_fd()), requests];
        if let Grant::Trying(trial, ..) = &self.grant {
            events.push(Until::Readable(trial.news.as_fd()));
        }
        let ready = fds::wait(&events, self.next_deadline())?;
        // Before its end is seen: it tells first.
        self.hear_of_trial();
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
        // While a first sandbox is tried, the others wait for that alone.
        let start = match &self.grant {
            Grant::Trying(trial, ..) => Some(trial.deadline),
            _ => self.waiting.front().map(|request| request.not_before),
        };
        let kill = self.tests.iter().filter_map(|test| test.deadline).min();
        let telling = (!self.untold.is_empty()).then(|| now + NEXT_TELLING);
        let next = [start, kill, telling].into_iter().flatten().min()?;
        Some(next.saturating_duration_since(now))
    }

    /// Tells the runner of each test that has no process left.
    fn reap(&mut self) -> io::Result<()> {
        while let Some((pid, status)) = process::reap()? {
            // It may have told since the last look.
            if self.grant.is_trying(pid) {
                self.hear_of_trial();
            }
            if let Some(trial) = self.grant.end_of(pid) {
                self.last_end = Some(Instant::now());
                if status == Status::Signaled(signals::SYS) {
                    self.waiting.push_front(trial.request);
                    self.deny(diagnose::killed_by_filter());
                    continue;
                }
                // Nothing is known from that: whatever happened is this test's.
                self.untold.push((trial.request.control, End { status, overdue: false }));
                continue;
            }
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
        self.untold.extend(self.tests.iter_mut().filter_map(|test| test.keep_time(now)));
        if let Some(trial) = self.grant.overdue(now) {
            self.give_trial_up(&trial);
        }
    }

    /// Ends a first sandbox that does not come to stand, and the requests that wait for it: one
    /// after the other they would fare no better.
    fn give_trial_up(&mut self, trial: &Trial) {
        process::kill(trial.init);
        let reason = format!("it did not stand after {} s", trial::LIMIT.as_secs());
        let report = Report::NotStarted(Failure::new("set up", "the sandbox of a test", reason));
        refuse(&trial.request.control, &report);
        for request in self.waiting.drain(..) {
            refuse(&request.control, &report);
        }
        self.tests.push(Test { init: trial.init, control: None, deadline: None, overdue: true });
    }

    /// Learns what has become of the first sandbox, if that is known now.
    fn hear_of_trial(&mut self) {
        match self.grant.hear() {
            None => {}
            Some((trial, News::Allowed)) => self.tests.push(Test::new(trial.init, trial.request)),
            Some((trial, news @ News::Refused { .. })) => {
                self.waiting.push_front(trial.request);
                self.deny(news.explained().expect("it is no news of success"));
            }
        }
    }

    fn deny(&mut self, failure: Failure) {
        self.grant.deny(failure, &self.caller, self.alone);
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
            Err(failure) => refuse(&control, &Report::NotStarted(failure)),
            Ok(case) => match <[OwnedFd; 3]>::try_from(fds) {
                Ok(fds) => self.waiting.push_back(Request::new(case, control, fds)),
                Err(_) => refuse(&control, &Report::NotStarted(descriptors_lost())),
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
            let (mode, is_trial) = match &self.grant {
                Grant::Trying(..) => return self.waiting.push_front(request),
                Grant::Refused(failure) => {
                    refuse(&request.control, &Report::Refused(failure.clone()));
                    continue;
                }
                Grant::Open(mode, _) => (mode.clone(), true),
                Grant::Allowed(mode) => (mode.clone(), false),
            };
            if request.not_before > Instant::now() {
                return self.waiting.push_front(request);
            }
            match self.start(&request, &mode, is_trial) {
                Ok((init, None)) => self.tests.push(Test::new(init, request)),
                Ok((init, Some(news))) => self.grant.start(Trial::new(init, news, request)),
                Err(Lack::Shortage(error)) => {
                    if let Some(pause) = self.pause(&mut request.patience) {
                        request.not_before = Instant::now() + pause;
                        return self.waiting.push_front(request);
                    }
                    self.last_refusal = Some(Instant::now());
                    let failure = diagnose::explain_clone(self.alone, mode.namespaces(), &error);
                    // What may come free another time is no trait of the machine.
                    let is_lasting = diagnose::is_lasting(&failure);
                    self.give_up(request, failure, is_trial && is_lasting);
                }
                Err(Lack::Refused(failure)) => self.give_up(request, failure, is_trial),
                Err(Lack::Failed(failure)) => self.give_up(request, failure, false),
            }
        }
    }

    /// A request cannot be met, or not in this mode, if that `is_refusal`.
    fn give_up(&mut self, request: Request, failure: Failure, is_refusal: bool) {
        if is_refusal {
            self.waiting.push_front(request);
            self.deny(failure);
        } else {
            refuse(&request.control, &Report::NotStarted(failure));
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

    /// Starts an init; with it, if this is a trial, where that will tell how it goes.
    fn start(
        &self,
        request: &Request,
        mode: &Mode,
        is_trial: bool,
    ) -> Result<(Pid, Option<OwnedFd>), Lack> {
        let identity =
            Identity::new(request.case.user, &self.caller, mode).map_err(Lack::Failed)?;
        let shortage = |error: io::Error| {
            if errno::is_shortage(&error) && !diagnose::is_forbidden(&error, mode.namespaces()) {
                return Lack::Shortage(error);
            }
            Lack::Refused(diagnose::explain_clone(self.alone, mode.namespaces(), &error))
        };
        let (go, start) = fds::pipe().map_err(shortage)?;
        let news = if is_trial { Some(fds::pipe().map_err(shortage)?) } else { None };
        // In a new mount namespace the working directory is that of the new mounts; a
        // descriptor would stay in the old ones.
        let failed = |step, object| move |error| Lack::Failed(errno::failure(step, object, &error));
        fds::change_directory(&request.directory)
            .map_err(failed("fchdir", "the runner's working directory"))?;
        let side = process::fork_into(self.alone, mode.namespaces());
        if let Ok(Side::Child) = side {
            let news = news.as_ref().map(|(_, theirs)| theirs);
            init::main(&self.job(request, &identity, mode, (&go, news)), self.alone)
        }
        fds::leave_directory().map_err(failed("chdir", "/ in the server"))?;
        let Side::Parent(pid) = side.map_err(shortage)? else { process::exit_now(1) };
        // Without the maps init cannot begin; it ends when `start` is closed.
        identity.maps.write_for(pid).map_err(|failure| match failure.errno {
            None => Lack::Failed(failure),
            Some(_) => {
                let step = Step::Maps { of_root: false };
                Lack::Refused(diagnose::with_cause(failure, step, &Witness::default()))
            }
        })?;
        let news = news.map(|(ours, _)| ours);
        if let Some(news) = &news {
            fds::set_nonblocking(news).map_err(failed("fcntl", "the pipe of a first sandbox"))?;
        }
        drop(fds::write_once(start.as_fd(), b"g"));
        Ok((pid, news))
    }

    fn job<'j>(
        &'j self,
        request: &'j Request,
        identity: &'j Identity,
        mode: &'j Mode,
        (go, news): (&'j OwnedFd, Option<&'j OwnedFd>),
    ) -> Job<'j> {
        Job {
            case: request.case,
            identity,
            mode,
            control: &request.control,
            stdout: &request.stdout,
            stderr: &request.stderr,
            children: &self.children,
            alive: &self.alive.0,
            go,
            news,
            origin: &self.origin,
        }
    }
}

/// Why a test could not be started.
enum Lack {
    /// Something is used up that may come free.
    Shortage(io::Error),
    /// The kernel does not allow it.
    Refused(Failure),
    Failed(Failure),
}
