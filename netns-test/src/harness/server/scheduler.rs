//! How the server starts what it can: a test where there is a spare, or a sandbox for it; and
//! spares for the tests to come.

use std::time::{Duration, Instant};

use crate::diagnose;
use crate::error::Failure;
use crate::harness::protocol::report::Report;
use crate::harness::protocol::retry::Patience;
use crate::harness::server::event_loop::Serving;
use crate::harness::server::launch::{Lack, Launched, Wanted};
use crate::harness::server::test::{Request, Test, refuse};
use crate::harness::server::trial::{Grant, Trial};
use crate::isolate::{Identity, Mode, Setting};
use crate::sys::process;

/// How many inits may be on their way out, with their namespaces, when a test begins, unless the machine
/// allows so few processes or namespaces that the test could miss one.
const MOST_LEAVING: usize = 8;

/// How long one may take for that. If something keeps it, the tests that wait do without it.
const LEAVING: Duration = Duration::from_secs(5);

/// How soon it is looked again whether a test has begun.
const NEXT_LOOK: Duration = Duration::from_millis(1);

/// Descriptors that spares leave to the tests that ask.
const DESCRIPTORS_FOR_TESTS: usize = 256;

impl Serving<'_> {
    /// Starts what can be started, in order: what one lacks, the next lacks too.
    pub(crate) fn start_waiting(&mut self) {
        while let Some(request) = self.waiting.pop_front() {
            let now = Instant::now();
            if self.crowded_until(now) > now {
                return self.waiting.push_front(request);
            }
            let (mode, is_trial) = match &self.grant {
                Grant::Trying(..) => return self.waiting.push_front(request),
                Grant::Refused(failure) => {
                    refuse(&request.control, &Report::Refused(failure.clone()));
                    continue;
                }
                Grant::Open(mode, _) => (mode.clone(), true),
                Grant::Allowed(mode) => (mode.clone(), false),
            };
            let caller = &self.launcher.caller;
            let identity = || Identity::new(request.setting, caller, &mode).ok();
            if let Some((init, hand)) = self.spares.hand_over(&request, identity) {
                self.tests.push(Test::new(init, request, Some(hand)));
                continue;
            }
            if request.not_before > now {
                return self.waiting.push_front(request);
            }
            match self.start(&request, &mode, is_trial) {
                Ok(Launched { init, news: None, .. }) => {
                    self.tests.push(Test::new(init, request, None));
                }
                Ok(Launched { init, news: Some(news), hand, .. }) => {
                    self.grant.start(Trial::new((init, news), request, hand));
                }
                Err(lack) => {
                    if !self.bear(request, lack, &mode, is_trial) {
                        return;
                    }
                }
            }
        }
    }

    /// How many tests have not ended, and will unless something keeps them.
    pub(crate) fn count_that_will_end(&self) -> usize {
        let now = Instant::now();
        let trial = usize::from(self.grant.request().is_some());
        trial + self.tests.iter().filter(|test| will_end(test, now)).count()
    }

    /// When a test can begin: `now`, or when one of too many inits that have nobody to tell has ended, at
    /// the latest. Where there is little room, one test after the other begins: several that each have
    /// some of the processes that they need would wait for each other.
    pub(crate) fn crowded_until(&self, now: Instant) -> Instant {
        let half = self.tests.iter().filter_map(|test| self.launcher.not_begun(test.init));
        let is_half = half.into_iter().any(|since| since + LEAVING > now);
        if is_half && (self.launcher.pulse.was_short() || self.spares.is_tight()) {
            return now + NEXT_LOOK;
        }
        let ends = self.tests.iter().filter_map(|test| Some(test.left()? + LEAVING));
        let mut ends: Vec<_> = ends.filter(|&end| end > now).collect();
        if ends.is_empty() {
            return now;
        }
        let most = if self.spares.is_tight() { 1 } else { MOST_LEAVING };
        if ends.len() < most {
            return now;
        }
        ends.sort_unstable();
        ends[ends.len() - most]
    }

    /// The first sandbox stands.
    pub(crate) fn accept(&mut self, trial: Trial) {
        let Trial { init, request, hand, .. } = trial;
        if hand.as_ref().is_none_or(|hand| request.hand_to(hand).is_ok()) {
            self.tests.push(Test::new(init, request, hand));
        } else {
            process::kill(init);
            self.waiting.push_front(request.returned());
        }
    }

    /// What was tried for the request that is the first of those that wait is refused; not for good,
    /// if it `may_pass`.
    fn deny(&mut self, failure: Failure, may_pass: bool) {
        let (caller, alone) = (&self.launcher.caller, self.launcher.alone);
        let Some(failure) = self.grant.deny((failure, may_pass), caller, alone) else { return };
        if let Some(request) = self.waiting.pop_front() {
            refuse(&request.control, &Report::NotStarted(failure));
        }
    }

    /// The setting for which a spare is to be made now. Tests that wait come first, and those that a spare has
    /// been given and not yet begun: it is on its way on the processors that are free.
    pub(crate) fn spare_to_make(&self) -> Option<Setting> {
        let has_room = self.descriptors() + DESCRIPTORS_FOR_TESTS < self.open_files;
        let is_quiet =
            self.waiting.is_empty() && self.tests.iter().all(|test| test.hand().is_none());
        let is_time = is_quiet && has_room;
        if is_time && matches!(self.grant, Grant::Allowed(_)) { self.spares.wanted() } else { None }
    }

    /// One at a time: a request may have come meanwhile.
    pub(crate) fn make_spare(&mut self) {
        let (Some(setting), Grant::Allowed(mode)) = (self.spare_to_make(), &self.grant) else {
            return;
        };
        if self.spares.not_before() > Instant::now() {
            return;
        }
        self.spares.make(setting, |directory| {
            let wanted = Wanted { setting, mode, directory, request: None, is_trial: false };
            self.launcher.launch(&wanted).ok()
        });
    }

    /// Starts an init for a test.
    fn start(&self, request: &Request, mode: &Mode, is_trial: bool) -> Result<Launched, Lack> {
        let (setting, directory) = (request.setting, &request.directory);
        // Where spares are asked for the first test gets one, too: what tries it out is not told
        // for whom.
        let is_told = !is_trial || !self.spares.are_asked_for() || request.is_returned;
        let request = is_told.then_some(request);
        self.launcher.launch(&Wanted { setting, mode, directory, request, is_trial })
    }

    /// A request cannot be met now; whether to go on with the next one.
    fn bear(&mut self, mut request: Request, lack: Lack, mode: &Mode, is_trial: bool) -> bool {
        match lack {
            Lack::Shortage(error) => {
                if self.spares.discard() {
                    self.last_end = Some(Instant::now());
                }
                if let Some(pause) = self.pause(&mut request.patience) {
                    request.not_before = Instant::now() + pause;
                    self.waiting.push_front(request);
                    return false;
                }
                self.last_refusal = Some(Instant::now());
                let alone = self.launcher.alone;
                let failure = diagnose::explain_clone(alone, mode.namespaces(), &error);
                // What may come free another time is no trait of the machine. Where that may be long,
                // root need not wait for a user namespace.
                if is_trial && diagnose::is_out_of_reach(&failure) {
                    self.deny_to(request, failure, true);
                } else {
                    refuse(&request.control, &Report::NotStarted(failure));
                }
            }
            Lack::Refused(failure) if is_trial => self.deny_to(request, failure, false),
            Lack::Refused(failure) | Lack::Failed(failure) => {
                refuse(&request.control, &Report::NotStarted(failure));
            }
        }
        true
    }

    /// As [`Self::deny`], of this request.
    pub(crate) fn deny_to(&mut self, request: Request, failure: Failure, may_pass: bool) {
        self.waiting.push_front(request);
        self.deny(failure, may_pass);
    }

    /// How long to wait for something to come free; `None` if it has been long enough.
    fn pause(&self, patience: &mut Patience) -> Option<Duration> {
        let now = Instant::now();
        // Tests that run will free what is short.
        if self.tests.iter().any(|test| will_end(test, now)) {
            return patience.next_pause(Some(now));
        }
        // What was waited for in vain before is not waited for again.
        if self.last_refusal.is_some() && self.last_refusal > self.last_end {
            return None;
        }
        patience.next_pause(self.last_end)
    }
}

/// Whether a test runs, or an init is on its way out and nothing has kept it.
fn will_end(test: &Test, now: Instant) -> bool {
    !test.overdue && test.left().is_none_or(|at| at + LEAVING > now)
}
