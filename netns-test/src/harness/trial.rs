//! Try, then explain: the first sandbox shows what this machine allows. The other tests wait
//! until that is known, for the time of one set-up.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use super::order::Request;
use crate::error::Failure;
use crate::probe::{self, News};
use crate::sandbox::Mode;
use crate::sys::process::{Pid, SingleThreaded};
use crate::sys::{devconf, fds};
use crate::userns::Caller;

/// More than the news of any failure: a path and a profile, in sentences.
const BUFFER: usize = 16 << 10;

/// How long a first sandbox may take to be set up before it is given up.
pub(super) const LIMIT: Duration = Duration::from_secs(60);

/// What this machine allows, as far as it is known.
#[derive(Debug)]
pub(super) enum Grant {
    /// Nothing is known; this is tried next. With the failures of what was tried before.
    Open(Mode, Vec<Failure>),
    /// A first sandbox is being set up. With what was so before.
    Trying(Trial, Mode, Vec<Failure>),
    /// Sandboxes can be had.
    Allowed(Mode),
    /// None can be had.
    Refused(Failure),
}

/// A first sandbox, and the request that it is for.
#[derive(Debug)]
pub(super) struct Trial {
    pub(super) init: Pid,
    /// Where its init tells whether it has come to an end.
    pub(super) news: OwnedFd,
    pub(super) request: Request,
    /// Where it is to take the order, if it has not been given it.
    pub(super) hand: Option<OwnedFd>,
    /// When it is given up.
    pub(super) deadline: Instant,
}

impl Grant {
    pub(super) fn new() -> Self {
        Self::Open(Mode::full(), Vec::new())
    }

    /// A trial of the mode that is open has begun.
    pub(super) fn start(&mut self, trial: Trial) {
        if let Self::Open(mode, failures) = self {
            *self = Self::Trying(trial, mode.clone(), std::mem::take(failures));
        }
    }

    /// The trial and what it tells, if it does so now; a refusal leaves its mode open, until
    /// that is denied.
    pub(super) fn hear(&mut self) -> Option<(Trial, News)> {
        let Self::Trying(trial, ..) = self else { return None };
        // Not on the stack, which would be touched each time that there is nothing to hear.
        let mut buffer = vec![0; BUFFER];
        let length = fds::read_available(&trial.news, &mut buffer).ok().flatten()?;
        // Nothing at its end: then its end is what there is to see.
        let news = News::decode(&buffer[..length])?;
        let (trial, mode) = self.reopen()?;
        if let News::Allowed(altered) = news {
            // For those that are forked from now on.
            devconf::learn(altered);
            *self = Self::Allowed(mode);
        }
        Some((trial, news))
    }

    /// The request that waits for a first sandbox.
    pub(super) fn request(&self) -> Option<&Request> {
        if let Self::Trying(trial, ..) = self { Some(&trial.request) } else { None }
    }

    /// Whether `init` is the process of a first sandbox that is being set up.
    pub(super) fn is_trying(&self, init: Pid) -> bool {
        matches!(self, Self::Trying(trial, ..) if trial.init == init)
    }

    /// The trial, if its time is over.
    pub(super) fn overdue(&mut self, now: Instant) -> Option<Trial> {
        match self {
            Self::Trying(trial, ..) if trial.deadline <= now => Some(self.reopen()?.0),
            _ => None,
        }
    }

    /// The trial, if `init` is its process, which has ended without news.
    pub(super) fn end_of(&mut self, init: Pid) -> Option<Trial> {
        match self {
            Self::Trying(trial, ..) if trial.init == init => Some(self.reopen()?.0),
            _ => None,
        }
    }

    fn reopen(&mut self) -> Option<(Trial, Mode)> {
        let state = std::mem::replace(self, Self::new());
        let Self::Trying(trial, mode, failures) = state else {
            *self = state;
            return None;
        };
        *self = Self::Open(mode.clone(), failures);
        Some((trial, mode))
    }

    /// The mode that was tried is refused: the next one, or the end.
    pub(super) fn deny(&mut self, failure: Failure, caller: &Caller, alone: &SingleThreaded) {
        let Self::Open(mode, failures) = self else { return };
        let next = probe::next_mode(mode, caller, alone);
        let mut failures = std::mem::take(failures);
        let reason = failure.summary();
        failures.push(failure);
        *self = match next {
            Some(mode) => Self::Open(mode.because(&reason), failures),
            None => Self::Refused(probe::all_in_one(failures)),
        };
    }
}

impl Trial {
    pub(super) fn new(
        (init, news): (Pid, OwnedFd),
        request: Request,
        hand: Option<OwnedFd>,
    ) -> Self {
        Self { init, news, request, hand, deadline: Instant::now() + LIMIT }
    }
}
