//! The fork server in its own process: takes requests, forks an init for each, and tells
//! the runner when that has ended.
//!
//! It keeps nothing of the runner's but one end of a socket; not stdout either, or
//! `cargo test | tail` would wait for it.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

use crate::diagnose;
use crate::env;
use crate::error::Failure;
use crate::harness::child::context::descriptors_lost;
use crate::harness::protocol::heartbeat::{HEARTBEAT, Pulse};
use crate::harness::protocol::messages;
use crate::harness::protocol::messages::End;
use crate::harness::protocol::report::Report;
use crate::harness::server::launch::Launcher;
use crate::harness::server::test::{Request, Test, refuse, refuse_all, tell};
use crate::harness::server::trial;
use crate::harness::server::trial::{Grant, Trial};
use crate::harness::server::warm_pool::Spares;
use crate::harness::server::{last_word, setup};
use crate::isolate::Setting;
use crate::probe::News;
use crate::registry::case::Case;
use crate::registry::sections;
use crate::sys::fds::Until;
use crate::sys::net::socket;
use crate::sys::process;
use crate::sys::process::{Pid, SingleThreaded, Status};
use crate::sys::process::{shared_record, signals};
use crate::sys::{errno, fds};

/// How soon a runner that is busy is told again that a test has ended.
const NEXT_TELLING: Duration = Duration::from_millis(20);

/// Descriptors that the server needs besides those of requests and tests.
const OWN_DESCRIPTORS: usize = 32;

/// Descriptors of a request that waits.
const DESCRIPTORS_OF_A_REQUEST: usize = 4;

/// The server's whole life.
pub(crate) fn main(
    requests: &OwnedFd,
    (runner, pulse): (Pid, Pulse),
    alone: &SingleThreaded,
    memory: &shared_record::Record,
) -> ! {
    let mut serving = match Serving::new(requests, (runner, pulse), alone) {
        Ok(serving) => serving,
        Err(failure) => refuse_all(requests, &failure),
    };
    let status = loop {
        match serving.step() {
            Ok(true) => {}
            // Tests that run go with the server.
            Ok(false) => break 0,
            Err(failure) => {
                last_word::write(memory, &failure);
                break 1;
            }
        }
    };
    serving.end();
    process::exit_now(status)
}

/// The server, between two events.
pub(crate) struct Serving<'a> {
    pub(crate) launcher: Launcher<'a>,
    requests: &'a OwnedFd,
    pub(crate) open_files: usize,
    pub(crate) grant: Grant,
    pub(crate) waiting: VecDeque<Request>,
    pub(crate) tests: Vec<Test>,
    pub(crate) spares: Spares,
    /// Whether bodies find what has been made for the first.
    is_warm: bool,
    /// Runners that were too busy to be told of the end of a test.
    untold: Vec<(OwnedFd, End)>,
    /// When a test has last ended, and so something come free.
    pub(crate) last_end: Option<Instant>,
    /// When a request was last refused because nothing came free.
    pub(crate) last_refusal: Option<Instant>,
}

impl<'a> Serving<'a> {
    fn new(
        requests: &'a OwnedFd,
        (runner, pulse): (Pid, Pulse),
        alone: &'a SingleThreaded,
    ) -> Result<Self, Failure> {
        let origin = setup::become_server(requests, runner)?;
        // Without it neither this process nor an init would learn of an end.
        process::reap().map_err(|error| diagnose::explain("wait4", "own children", &error))?;
        Ok(Self {
            open_files: origin.limits.open_files(),
            launcher: Launcher::new(origin, pulse, alone)?,
            requests,
            grant: Grant::new(),
            waiting: VecDeque::new(),
            tests: Vec::new(),
            spares: Spares::new(env::settings().ok().and_then(|settings| settings.spares)),
            is_warm: false,
            untold: Vec::new(),
            last_end: None,
            last_refusal: None,
        })
    }

    /// Whether to go on.
    fn step(&mut self) -> Result<bool, Failure> {
        let of = |step, object| move |error: io::Error| diagnose::explain(step, object, &error);
        let requests = self.requests.as_fd();
        let requests =
            if self.has_room() { Until::Readable(requests) } else { Until::HungUp(requests) };
        let mut events = vec![Until::Readable(self.launcher.children.as_fd()), requests];
        // Looked at after the requests: what was mounted before one of them is seen with it.
        events.extend(self.spares.change_of_mounts().map(Until::HungUp));
        let mounts = events.len() > 2;
        if let Grant::Trying(trial, ..) = &self.grant {
            events.push(Until::Readable(trial.news.as_fd()));
        }
        let hands = events.len();
        events.extend(self.tests.iter().filter_map(Test::hand).map(Until::HungUp));
        let ready =
            fds::wait(&events, self.next_deadline()).map_err(of("ppoll", "requests and tests"))?;
        self.launcher.pulse.beat();
        if mounts && ready[2].hung_up {
            self.spares.discard();
        }
        let told = self.tests.iter_mut().filter(|test| test.hand().is_some());
        let told = told.zip(&ready[hands..]).filter(|(_, at)| at.hung_up);
        for (test, _) in told {
            test.note_hang_up();
            self.spares.note_begin();
        }
        // Before its end is seen: it tells first.
        self.hear_of_trial();
        if ready[0].readable {
            signals::clear(&self.launcher.children).map_err(of("read", "the end of tests"))?;
            self.reap().map_err(of("wait4", "the end of tests"))?;
        }
        let is_asked = ready[1].readable || ready[1].hung_up;
        if is_asked && !self.receive().map_err(of("recvmsg", "a request"))? {
            return Ok(false);
        }
        self.kill_overdue();
        self.start_waiting();
        self.make_spare();
        self.untold.retain(|(control, end)| !tell(control, *end));
        self.launcher.pulse.note_running(self.count_that_will_end());
        Ok(true)
    }

    /// Whether one more request fits into the table of descriptors.
    fn has_room(&self) -> bool {
        self.waiting.is_empty() || self.descriptors() < self.open_files
    }

    /// How many are in use, or may be.
    pub(crate) fn descriptors(&self) -> usize {
        let tests: usize = self.tests.iter().map(Test::descriptors).sum();
        let others = self.untold.len() + self.spares.len();
        OWN_DESCRIPTORS + DESCRIPTORS_OF_A_REQUEST * self.waiting.len() + tests + others
    }

    fn next_deadline(&self) -> Option<Duration> {
        let now = Instant::now();
        let spare = self.spare_to_make().map(|_| self.spares.not_before());
        // While a first sandbox is tried, the others wait for that alone.
        let start = match &self.grant {
            Grant::Trying(trial, ..) => Some(trial.deadline),
            _ => self.waiting.front().map(|next| next.not_before.max(self.crowded_until(now))),
        };
        let kill = self.tests.iter().filter_map(|test| test.deadline).min();
        let telling = (!self.untold.is_empty()).then(|| now + NEXT_TELLING);
        // A runner that waits sees by that that this process goes on.
        let is_idle = self.tests.is_empty() && self.waiting.is_empty();
        let beat = (!is_idle || self.grant.request().is_some()).then(|| now + HEARTBEAT);
        let next = [spare, start, kill, telling, beat].into_iter().flatten().min()?;
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
                self.launcher.forget(pid);
                self.last_end = Some(Instant::now());
                self.end_trial(trial, status);
                continue;
            }
            self.launcher.forget(pid);
            self.launcher.pulse.note_end();
            if self.spares.forget(pid) {
                continue;
            }
            let Some(place) = self.tests.iter().position(|test| test.init == pid) else { continue };
            self.last_end = Some(Instant::now());
            match self.tests.swap_remove(place).end(status) {
                Ok(end) => self.untold.extend(end),
                Err(request) => self.waiting.push_front(request),
            }
        }
        Ok(())
    }

    /// The init of a first sandbox has ended before it could tell how the set-up went.
    fn end_trial(&mut self, trial: Trial, status: Status) {
        if status == Status::Signaled(signals::SYS) {
            self.deny_to(trial.request, diagnose::killed_by_filter(), false);
        } else if trial.hand.is_some() {
            self.waiting.push_front(trial.request.returned());
        } else {
            // Nothing is known from that: whatever happened is this test's.
            let end = End { status, overdue: false, remains: false };
            self.untold.push((trial.request.control, end));
        }
    }

    fn kill_overdue(&mut self) {
        let now = Instant::now();
        let pulse = self.launcher.pulse;
        if pulse.is_short() && pulse.others_run() {
            // One that waits for a process, as long as others run, does not keep the time of its test.
            let launcher = &self.launcher;
            let waits = |test: &&mut Test| launcher.not_begun(test.init).is_some();
            self.tests.iter_mut().filter(waits).for_each(|test| test.wait_longer(now));
        }
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
        self.tests.push(Test::given_up(trial.init, trial.request.setting));
    }

    /// Learns what has become of the first sandbox, if that is known now.
    fn hear_of_trial(&mut self) {
        match self.grant.hear() {
            None => {}
            Some((trial, News::Allowed(_))) => self.accept(trial),
            Some((trial, news @ News::Refused { .. })) => {
                let failure = news.explained().expect("it is no news of success");
                self.deny_to(trial.request, failure, false);
            }
        }
    }

    /// Takes one request in; `false` when the runner has gone.
    fn receive(&mut self) -> io::Result<bool> {
        if !std::mem::replace(&mut self.is_warm, true) {
            setup::warm_up();
        }
        let mut buffer = [0; 64];
        let message = match socket::receive(self.requests.as_fd(), &mut buffer) {
            Ok(message) => message,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(false),
            // Stray bytes are no request, and what is short may come free.
            Err(error) if error.raw_os_error().is_none_or(errno::may_come_free) => return Ok(true),
            Err(error) => return Err(error),
        };
        if message.length == 0 && message.fds.is_empty() {
            return Ok(false);
        }
        let mut fds = message.fds;
        if fds.is_empty() {
            // Nobody can be answered; the runner sees that its socket is closed.
            return Ok(true);
        }
        let control = fds.remove(0);
        let case = self.case_of(&buffer[..message.length]);
        let lost = |_| descriptors_lost();
        let parts = case.and_then(|case| Ok((case, <[OwnedFd; 3]>::try_from(fds).map_err(lost)?)));
        match parts {
            Err(failure) => refuse(&control, &Report::NotStarted(failure)),
            Ok(((index, case), fds)) => {
                // A runner that cannot be looked at counts as one that waits.
                drop(self.note_who_left());
                let request = Request::new((index, case), control, fds);
                self.spares.note_request(&request, self.others_for(request.setting));
                self.waiting.push_back(request);
            }
        }
        Ok(true)
    }

    /// Which test a request is for.
    fn case_of(&self, bytes: &[u8]) -> Result<(usize, &'static Case), Failure> {
        let invalid = || Failure::new("receive", "the request", "it makes no sense");
        let request = messages::Request::decode(bytes).ok_or_else(invalid)?;
        if request.user != self.launcher.caller.user() {
            let reason = "the runner has changed its user or its capabilities since it started";
            return Err(Failure::new("fork", "a body for this user", reason));
        }
        sections::case(request.index).map(|case| (request.index, case)).ok_or_else(invalid)
    }

    /// Notes which tests' runners wait no longer.
    fn note_who_left(&mut self) -> io::Result<()> {
        let controls = self.tests.iter().filter_map(Test::control).map(Until::HungUp);
        let controls: Vec<_> = controls.collect();
        if controls.is_empty() {
            return Ok(());
        }
        let ready = fds::wait(&controls, Some(Duration::ZERO))?;
        let now = Instant::now();
        let tests = self.tests.iter_mut().filter(|test| test.control().is_some());
        tests.zip(ready).filter(|(_, at)| at.hung_up).for_each(|(test, _)| test.note_left(now));
        Ok(())
    }

    /// Ends what still runs and waits for that and for what has been killed before, as nobody else
    /// would reap it where process 1 is no init.
    fn end(&mut self) {
        self.spares.end();
        let trial =
            if let Grant::Trying(trial, ..) = &self.grant { Some(trial.init) } else { None };
        self.tests.drain(..).map(|test| test.init).chain(trial).for_each(process::kill);
        process::reap_all();
    }

    /// How many tests of this setting have been asked for and have not ended.
    fn others_for(&self, setting: Setting) -> usize {
        let running =
            self.tests.iter().filter(|test| test.control().is_some()).map(|test| test.setting);
        let waiting = self.waiting.iter().chain(self.grant.request());
        let settings = running.chain(waiting.map(|request| request.setting));
        settings.filter(|&other| other == setting).count()
    }
}
