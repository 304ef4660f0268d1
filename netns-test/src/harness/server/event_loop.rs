//! The event loop of the fork server: receives requests, forks an init for each, and reports to
//! the runner when init has ended.
//!
//! The server keeps one end of a socket of the runner's descriptors, and nothing else. With
//! stdout, `cargo test | tail` would wait for the server.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

use crate::diagnose;
use crate::env;
use crate::error::Failure;
use crate::harness::child::context::descriptors_lost;
use crate::harness::protocol::heartbeat::{HEARTBEAT, Heartbeat};
use crate::harness::protocol::messages;
use crate::harness::protocol::messages::End;
use crate::harness::protocol::report::Report;
use crate::harness::server::launch::Launcher;
use crate::harness::server::test::{Request, Test, refuse, refuse_all, send_end};
use crate::harness::server::trial;
use crate::harness::server::trial::{Support, Trial};
use crate::harness::server::warm_pool::WarmPool;
use crate::harness::server::{last_word, setup};
use crate::isolate::Setting;
use crate::probe::TrialOutcome;
use crate::registry::case::Case;
use crate::registry::sections;
use crate::sys::fds::Until;
use crate::sys::net::socket;
use crate::sys::process;
use crate::sys::process::{Pid, SingleThreaded, Status};
use crate::sys::process::{shared_record, signals};
use crate::sys::{errno, fds};

/// Pause before the end of a test is sent again to a runner whose socket was full.
const RESEND_PAUSE: Duration = Duration::from_millis(20);

/// Time between two looks at the tests' shortages while there are warm sandboxes. Less than a test
/// waits without progress.
const SHORTAGE_LOOK: Duration = Duration::from_millis(500);

/// Descriptors that the server needs besides those of requests and tests.
const OWN_DESCRIPTORS: usize = 32;

/// Descriptors of a queued request.
const DESCRIPTORS_OF_A_REQUEST: usize = 4;

/// Runs the server's process.
pub(crate) fn main(
    requests: &OwnedFd,
    (runner, heartbeat): (Pid, Heartbeat),
    alone: &SingleThreaded,
    memory: &shared_record::Record,
) -> ! {
    let mut event_loop = match EventLoop::new(requests, (runner, heartbeat), alone) {
        Ok(event_loop) => event_loop,
        Err(failure) => refuse_all(requests, &failure),
    };
    let status = loop {
        match event_loop.step() {
            Ok(true) => {}
            // The tests that still run end with the server.
            Ok(false) => {
                event_loop.bid_farewell();
                break 0;
            }
            Err(failure) => {
                last_word::write(memory, &failure);
                break 1;
            }
        }
    };
    event_loop.end();
    process::exit_now(status)
}

/// State of the server between two events.
pub(crate) struct EventLoop<'a> {
    pub(crate) launcher: Launcher<'a>,
    requests: &'a OwnedFd,
    runner: Pid,
    pub(crate) open_files: usize,
    pub(crate) support: Support,
    pub(crate) waiting: VecDeque<Request>,
    pub(crate) tests: Vec<Test>,
    pub(crate) pool: WarmPool,
    /// Shortages of tests' processes for which warm sandboxes were discarded.
    shortages: u32,
    /// Whether [`setup::warm_up`] has run.
    is_warm: bool,
    /// Ends of tests that are still to be sent: the sockets of their runners were full.
    unsent_ends: Vec<(OwnedFd, End)>,
    /// Time at which a test last ended and released its resources.
    pub(crate) last_end: Option<Instant>,
    /// Time at which a request was last refused because no resource was released in time.
    pub(crate) last_refusal: Option<Instant>,
}

impl<'a> EventLoop<'a> {
    fn new(
        requests: &'a OwnedFd,
        (runner, heartbeat): (Pid, Heartbeat),
        alone: &'a SingleThreaded,
    ) -> Result<Self, Failure> {
        let (origin, farewell) = setup::become_server(requests, runner)?;
        // If wait4(2) is refused, neither this process nor an init could reap its children.
        process::reap().map_err(|error| diagnose::explain("wait4", "own children", &error))?;
        diagnose::note_limits();
        Ok(Self {
            open_files: origin.limits.open_files(),
            launcher: Launcher::new(origin, (heartbeat, farewell), alone)?,
            requests,
            runner,
            support: Support::new(),
            waiting: VecDeque::new(),
            tests: Vec::new(),
            pool: WarmPool::new(env::settings().ok().and_then(|settings| settings.spares)),
            shortages: 0,
            is_warm: false,
            unsent_ends: Vec::new(),
            last_end: None,
            last_refusal: None,
        })
    }

    /// Waits for events and handles them. Returns `false` when the server is to end.
    fn step(&mut self) -> Result<bool, Failure> {
        let of = |step, object| move |error: io::Error| diagnose::explain(step, object, &error);
        let requests = self.requests.as_fd();
        let requests =
            if self.has_room() { Until::Readable(requests) } else { Until::HungUp(requests) };
        let mut events = vec![Until::Readable(self.launcher.children.as_fd()), requests];
        // Read after the requests, so that a mount made before a request is seen with it.
        events.extend(self.pool.change_of_mounts().map(Until::HungUp));
        let mounts = events.len() > 2;
        if let Support::Trying(trial, ..) = &self.support {
            events.push(Until::Readable(trial.outcome.as_fd()));
        }
        let order_sockets = events.len();
        events.extend(self.tests.iter().filter_map(Test::orders).map(Until::HungUp));
        let ready =
            fds::wait(&events, self.next_deadline()).map_err(of("ppoll", "requests and tests"))?;
        self.launcher.heartbeat.beat();
        // Other processes may hold the runner's socket. The signal of its end has ended the wait.
        if process::parent_id() != self.runner {
            return Ok(false);
        }
        if mounts && ready[2].hung_up {
            self.pool.discard();
        }
        let warm = self.tests.iter_mut().filter(|test| test.orders().is_some());
        let warm = warm.zip(&ready[order_sockets..]).filter(|(_, at)| at.hung_up);
        for (test, _) in warm {
            test.note_hang_up();
            self.pool.note_begin();
        }
        // Before the end of its init is handled: the outcome was sent earlier.
        self.read_trial();
        if ready[0].readable {
            signals::clear(&self.launcher.children).map_err(of("read", "the end of tests"))?;
            self.reap().map_err(of("wait4", "the end of tests"))?;
        }
        let is_asked = ready[1].readable || ready[1].hung_up;
        if is_asked && !self.receive().map_err(of("recvmsg", "a request"))? {
            return Ok(false);
        }
        self.kill_overdue();
        self.yield_to_tests();
        self.start_waiting();
        self.warm_sandbox();
        self.unsent_ends.retain(|(control, end)| !send_end(control, *end));
        self.launcher.heartbeat.note_running(self.count_that_will_end());
        Ok(true)
    }

    /// Returns whether the descriptors of one more request fit into the table of descriptors.
    fn has_room(&self) -> bool {
        self.waiting.is_empty() || self.descriptors() < self.open_files
    }

    /// Counts the descriptors that are in use or may be.
    pub(crate) fn descriptors(&self) -> usize {
        let tests: usize = self.tests.iter().map(Test::descriptors).sum();
        let others = self.unsent_ends.len() + self.pool.len();
        OWN_DESCRIPTORS + DESCRIPTORS_OF_A_REQUEST * self.waiting.len() + tests + others
    }

    fn next_deadline(&self) -> Option<Duration> {
        let now = Instant::now();
        let spare = self.sandbox_to_warm().map(|_| self.pool.not_before());
        // While a first sandbox is tried, the other requests wait for its outcome only.
        let start = match &self.support {
            Support::Trying(trial, ..) => Some(trial.deadline),
            _ => self.waiting.front().map(|next| next.not_before.max(self.crowded_until(now))),
        };
        let kill = self.tests.iter().filter_map(|test| test.deadline).min();
        let resend = (!self.unsent_ends.is_empty()).then(|| now + RESEND_PAUSE);
        // By the heartbeat a waiting runner sees that the server runs.
        let is_idle = self.tests.is_empty() && self.waiting.is_empty();
        let beat = (!is_idle || self.support.request().is_some()).then(|| now + HEARTBEAT);
        let has_spares = self.pool.len() > 0 && !self.tests.is_empty();
        let look = has_spares.then(|| now + SHORTAGE_LOOK);
        let next = [spare, start, kill, resend, beat, look].into_iter().flatten().min()?;
        Some(next.saturating_duration_since(now))
    }

    /// Discards the warm sandboxes if the process of a test has begun to wait for a resource, as
    /// for the namespace of a neighbour.
    fn yield_to_tests(&mut self) {
        let shortages = self.launcher.heartbeat.shortages();
        if mem::replace(&mut self.shortages, shortages) != shortages && self.pool.discard() {
            self.last_end = Some(Instant::now());
        }
    }

    /// Reaps the inits that have ended, and sends the end of each to its runner.
    fn reap(&mut self) -> io::Result<()> {
        while let Some((pid, status)) = process::reap()? {
            // The outcome may have arrived since the last look.
            if self.support.is_trying(pid) {
                self.read_trial();
            }
            if let Some(trial) = self.support.end_of(pid) {
                self.launcher.forget(pid);
                self.last_end = Some(Instant::now());
                self.end_trial(trial, status);
                continue;
            }
            self.launcher.forget(pid);
            self.launcher.heartbeat.note_end();
            if self.pool.forget(pid) {
                continue;
            }
            let Some(place) = self.tests.iter().position(|test| test.init == pid) else { continue };
            self.last_end = Some(Instant::now());
            match self.tests.swap_remove(place).end(status) {
                Ok(end) => self.unsent_ends.extend(end),
                Err(request) => self.waiting.push_front(request),
            }
        }
        Ok(())
    }

    /// Handles the end of a first sandbox's init that has not sent the outcome of its set-up.
    fn end_trial(&mut self, trial: Trial, status: Status) {
        if status == Status::Signaled(signals::SYS) {
            self.deny_to(trial.request, diagnose::killed_by_filter(), false);
        } else if trial.orders.is_some() {
            self.waiting.push_front(trial.request.returned());
        } else {
            // The cause is unknown, so it says nothing about other tests.
            let end = End { status, overdue: false, remains: false };
            self.unsent_ends.push((trial.request.control, end));
        }
    }

    fn kill_overdue(&mut self) {
        let now = Instant::now();
        let heartbeat = self.launcher.heartbeat;
        if heartbeat.is_short() && heartbeat.others_run() {
            // A test that waits for a free process while other tests run is not late.
            let launcher = &self.launcher;
            let waits = |test: &&mut Test| launcher.not_begun(test.init).is_some();
            self.tests.iter_mut().filter(waits).for_each(|test| test.wait_longer(now));
        }
        self.unsent_ends.extend(self.tests.iter_mut().filter_map(|test| test.keep_time(now)));
        if let Some(trial) = self.support.overdue(now) {
            self.give_trial_up(&trial);
        }
    }

    /// Kills the init of a first sandbox whose set-up takes too long, and refuses all requests
    /// that wait for its outcome: they would take as long.
    fn give_trial_up(&mut self, trial: &Trial) {
        process::kill(trial.init);
        let reason = format!("not ready after {} s", trial::LIMIT.as_secs());
        let report = Report::NotStarted(Failure::new("set up", "the sandbox of a test", reason));
        refuse(&trial.request.control, &report);
        for request in self.waiting.drain(..) {
            refuse(&request.control, &report);
        }
        self.tests.push(Test::given_up(trial.init, trial.request.setting));
    }

    /// Reads the outcome of the first sandbox, if it has arrived.
    fn read_trial(&mut self) {
        match self.support.poll() {
            None => {}
            Some((trial, TrialOutcome::Allowed(_))) => self.accept(trial),
            Some((trial, outcome @ TrialOutcome::Refused { .. })) => {
                let failure = outcome.explained().expect("a refusal is not a success");
                self.deny_to(trial.request, failure, false);
            }
        }
    }

    /// Receives one request. Returns `false` when the runner has gone.
    fn receive(&mut self) -> io::Result<bool> {
        if !mem::replace(&mut self.is_warm, true) {
            setup::warm_up();
        }
        let mut buffer = [0; 64];
        let message = match socket::receive(self.requests.as_fd(), &mut buffer) {
            Ok(message) => message,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(false),
            // Stray bytes are not a request, and a shortage may pass.
            Err(error) if error.raw_os_error().is_none_or(errno::may_come_free) => return Ok(true),
            Err(error) => return Err(error),
        };
        if message.length == 0 && message.fds.is_empty() {
            return Ok(false);
        }
        let mut fds = message.fds;
        if fds.is_empty() {
            // Without a socket there is no way to answer. The runner sees that its socket is
            // closed.
            return Ok(true);
        }
        let control = fds.remove(0);
        let case = self.case_of(&buffer[..message.length]);
        let lost = |_| descriptors_lost();
        let parts = case.and_then(|case| Ok((case, <[OwnedFd; 3]>::try_from(fds).map_err(lost)?)));
        match parts {
            Err(failure) => refuse(&control, &Report::NotStarted(failure)),
            Ok(((index, case), fds)) => {
                // A runner whose socket cannot be polled counts as waiting.
                drop(self.note_released_tests());
                let request = Request::new((index, case), control, fds);
                self.pool.note_request(&request, self.others_for(request.setting));
                self.waiting.push_back(request);
            }
        }
        Ok(true)
    }

    /// Returns position and case of the requested test.
    fn case_of(&self, bytes: &[u8]) -> Result<(usize, &'static Case), Failure> {
        let invalid = || Failure::new("receive", "the request", "the message cannot be decoded");
        let request = messages::Request::decode(bytes).ok_or_else(invalid)?;
        if request.user != self.launcher.caller.user() {
            let reason = "the runner has changed its user or its capabilities since it started";
            return Err(Failure::new("fork", "a body for this user", reason));
        }
        sections::case(request.index).map(|case| (request.index, case)).ok_or_else(invalid)
    }

    /// Notes which tests' runners have stopped waiting.
    fn note_released_tests(&mut self) -> io::Result<()> {
        let controls = self.tests.iter().filter_map(Test::control).map(Until::HungUp);
        let controls: Vec<_> = controls.collect();
        if controls.is_empty() {
            return Ok(());
        }
        let ready = fds::wait(&controls, Some(Duration::ZERO))?;
        let now = Instant::now();
        let tests = self.tests.iter_mut().filter(|test| test.control().is_some());
        tests.zip(ready).filter(|(_, at)| at.hung_up).for_each(|(test, _)| test.note_released(now));
        Ok(())
    }

    /// Lets the tests that run say what they wait for, if their runner has gone without ending this
    /// server.
    fn bid_farewell(&mut self) {
        let has_gone = !self.launcher.heartbeat.is_over() && !self.tests.is_empty();
        let Some(farewell) = self.launcher.farewell.take().filter(|_| has_gone) else { return };
        farewell.hear(|answers, left| {
            let children = Until::Readable(self.launcher.children.as_fd());
            let ready = fds::wait(&[children, Until::Readable(answers)], Some(left));
            let reaped = match ready.is_ok_and(|ready| ready[0].readable) {
                true => signals::clear(&self.launcher.children).and_then(|()| self.reap()),
                false => Ok(()),
            };
            reaped.is_ok() && !self.tests.is_empty()
        });
    }

    /// Kills all inits and reaps them and those killed before. In a container whose PID 1 is not
    /// an init, no other process would reap them.
    fn end(&mut self) {
        self.pool.end();
        let trial =
            if let Support::Trying(trial, ..) = &self.support { Some(trial.init) } else { None };
        self.tests.drain(..).map(|test| test.init).chain(trial).for_each(process::kill);
        process::reap_all();
    }

    /// Counts the tests with this setting that were requested and have not ended.
    fn others_for(&self, setting: Setting) -> usize {
        let running =
            self.tests.iter().filter(|test| test.control().is_some()).map(|test| test.setting);
        let waiting = self.waiting.iter().chain(self.support.request());
        let settings = running.chain(waiting.map(|request| request.setting));
        settings.filter(|&other| other == setting).count()
    }
}
