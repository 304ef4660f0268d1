//! The scheduler: starts queued tests in a warm sandbox if one fits, else in a new one, and
//! refills the warm pool when no test waits.

use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use crate::diagnose;
use crate::error::Failure;
use crate::harness::protocol::report::Report;
use crate::harness::protocol::retry::Backoff;
use crate::harness::server::event_loop::EventLoop;
use crate::harness::server::launch::{LaunchError, Launched, Wanted};
use crate::harness::server::test::{Request, Test, refuse};
use crate::harness::server::trial::{Support, Trial};
use crate::isolate::{Identity, Mode, Setting};
use crate::sys::fds;
use crate::sys::process;

/// Most inits that may still be ending, with their namespaces, when a test begins. One, if the
/// machine allows so few processes or namespaces that the test could lack one.
const MOST_LEAVING: usize = 8;

/// Longest time that an ending init delays other tests.
const LEAVING: Duration = Duration::from_secs(5);

/// Pause before the scheduler checks again whether a test has begun.
const NEXT_LOOK: Duration = Duration::from_millis(1);

/// Descriptors that warm sandboxes leave to tests.
const DESCRIPTORS_FOR_TESTS: usize = 256;

impl EventLoop<'_> {
    /// Starts queued tests in order. Stops at the first that lacks a resource: the next ones would
    /// lack it too.
    pub(crate) fn start_waiting(&mut self) {
        while let Some(request) = self.waiting.pop_front() {
            // As after a time in which this process was stopped.
            if fds::has_hung_up(request.control.as_fd()).unwrap_or(false) {
                continue;
            }
            let now = Instant::now();
            if self.crowded_until(now) > now {
                return self.waiting.push_front(request);
            }
            let (mode, is_trial) = match &self.support {
                Support::Trying(..) => return self.waiting.push_front(request),
                Support::Refused(failure) => {
                    refuse(&request.control, &Report::Refused(failure.clone()));
                    continue;
                }
                Support::Unknown(mode, _) => (mode.clone(), true),
                Support::Allowed(mode) => (mode.clone(), false),
            };
            let caller = &self.launcher.caller;
            let identity = || Identity::new(request.setting, caller, &mode).ok();
            if let Some((init, orders)) = self.pool.assign(&request, identity) {
                self.tests.push(Test::new(init, request, Some(orders)));
                continue;
            }
            if request.not_before > now {
                return self.waiting.push_front(request);
            }
            match self.start(&request, &mode, is_trial) {
                Ok(Launched { init, outcome: None, .. }) => {
                    self.tests.push(Test::new(init, request, None));
                }
                Ok(Launched { init, outcome: Some(outcome), orders, .. }) => {
                    self.support.start(Trial::new((init, outcome), request, orders));
                }
                Err(error) => {
                    if !self.handle_error(request, error, &mode, is_trial) {
                        return;
                    }
                }
            }
        }
    }

    /// Counts the tests that run and will end, as far as is known.
    pub(crate) fn count_that_will_end(&self) -> usize {
        let now = Instant::now();
        let trial = usize::from(self.support.request().is_some());
        trial + self.tests.iter().filter(|test| will_end(test, now)).count()
    }

    /// Returns the earliest time at which a test can begin: `now`, or the time at which enough
    /// ending inits have ended or exceeded their time. On a machine with low limits one test
    /// begins after another: tests that each hold a part of the processes that they need would
    /// wait for each other.
    pub(crate) fn crowded_until(&self, now: Instant) -> Instant {
        let half = self.tests.iter().filter_map(|test| self.launcher.not_begun(test.init));
        let is_half = half.into_iter().any(|since| since + LEAVING > now);
        if is_half && (self.launcher.heartbeat.was_short() || self.pool.is_tight()) {
            return now + NEXT_LOOK;
        }
        let ends = self.tests.iter().filter_map(|test| Some(test.released()? + LEAVING));
        let mut ends: Vec<_> = ends.filter(|&end| end > now).collect();
        if ends.is_empty() {
            return now;
        }
        let most = if self.pool.is_tight() { 1 } else { MOST_LEAVING };
        if ends.len() < most {
            return now;
        }
        ends.sort_unstable();
        ends[ends.len() - most]
    }

    /// Assigns the first sandbox, which is ready, to its request.
    pub(crate) fn accept(&mut self, trial: Trial) {
        let Trial { init, request, orders, .. } = trial;
        if orders.as_ref().is_none_or(|orders| request.send_order(orders).is_ok()) {
            self.tests.push(Test::new(init, request, orders));
        } else {
            process::kill(init);
            self.waiting.push_front(request.returned());
        }
    }

    /// Tries the next mode for the first queued request after this mode was refused, or refuses
    /// the request if there is none. With `may_pass` later requests try again.
    fn deny(&mut self, failure: Failure, may_pass: bool) {
        let (caller, alone) = (&self.launcher.caller, self.launcher.alone);
        let Some(failure) = self.support.deny((failure, may_pass), caller, alone) else { return };
        if let Some(request) = self.waiting.pop_front() {
            refuse(&request.control, &Report::NotStarted(failure));
        }
    }

    /// Returns the setting for which a sandbox is to be made in advance. Queued tests come first,
    /// and so do tests whose warm sandbox has not taken the order yet: they need the free
    /// processors.
    pub(crate) fn sandbox_to_warm(&self) -> Option<Setting> {
        let has_room = self.descriptors() + DESCRIPTORS_FOR_TESTS < self.open_files;
        let is_quiet =
            self.waiting.is_empty() && self.tests.iter().all(|test| test.orders().is_none());
        let is_time = is_quiet && has_room;
        if is_time && matches!(self.support, Support::Allowed(_)) {
            self.pool.wanted()
        } else {
            None
        }
    }

    /// Makes at most one warm sandbox: a request may have come meanwhile.
    pub(crate) fn warm_sandbox(&mut self) {
        let (Some(setting), Support::Allowed(mode)) = (self.sandbox_to_warm(), &self.support)
        else {
            return;
        };
        if self.pool.not_before() > Instant::now() {
            return;
        }
        self.pool.make(setting, |directory| {
            let wanted = Wanted { setting, mode, directory, request: None, is_trial: false };
            self.launcher.launch(&wanted).ok()
        });
    }

    /// Starts an init for a test.
    fn start(
        &self,
        request: &Request,
        mode: &Mode,
        is_trial: bool,
    ) -> Result<Launched, LaunchError> {
        let (setting, directory) = (request.setting, &request.directory);
        // With warm sandboxes requested by variable the first test gets one too: its trial does
        // not know the test.
        let knows_test = !is_trial || !self.pool.is_requested() || request.is_returned;
        let request = knows_test.then_some(request);
        self.launcher.launch(&Wanted { setting, mode, directory, request, is_trial })
    }

    /// Handles a launch that has failed. Returns whether to go on with the next request.
    fn handle_error(
        &mut self,
        mut request: Request,
        error: LaunchError,
        mode: &Mode,
        is_trial: bool,
    ) -> bool {
        match error {
            LaunchError::Shortage(shortage) => {
                if self.pool.discard() {
                    self.last_end = Some(Instant::now());
                }
                if let Some(pause) = self.pause(&mut request.backoff) {
                    request.not_before = Instant::now() + pause;
                    self.waiting.push_front(request);
                    return false;
                }
                self.last_refusal = Some(Instant::now());
                let failure = self.launcher.explain(shortage, mode);
                // A shortage is not a property of the machine. If it may last, root need not wait
                // for a user namespace and tries the next mode.
                if is_trial && diagnose::is_out_of_reach(&failure) {
                    self.deny_to(request, failure, true);
                } else {
                    refuse(&request.control, &Report::NotStarted(failure));
                }
            }
            LaunchError::Refused(failure) if is_trial => self.deny_to(request, failure, false),
            LaunchError::Refused(failure) | LaunchError::Failed(failure) => {
                refuse(&request.control, &Report::NotStarted(failure));
            }
        }
        true
    }

    /// Handles the refusal of this request's mode as [`Self::deny`] does.
    pub(crate) fn deny_to(&mut self, request: Request, failure: Failure, may_pass: bool) {
        self.waiting.push_front(request);
        self.deny(failure, may_pass);
    }

    /// Returns the pause before the next try, or `None` if the shortage has lasted long enough.
    fn pause(&self, backoff: &mut Backoff) -> Option<Duration> {
        let now = Instant::now();
        // The running tests will release resources.
        if self.tests.iter().any(|test| will_end(test, now)) {
            return backoff.next_pause(Some(now));
        }
        // A wait that was in vain is not repeated until a test ends.
        if self.last_refusal.is_some() && self.last_refusal > self.last_end {
            return None;
        }
        backoff.next_pause(self.last_end)
    }
}

/// Returns whether the test runs, or its init is ending and not yet overdue.
fn will_end(test: &Test, now: Instant) -> bool {
    !test.overdue && test.released().is_none_or(|at| at + LEAVING > now)
}
