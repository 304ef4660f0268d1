//! Try, then explain: the first sandbox shows what this machine allows. The other tests wait
//! until that is known, for the time of one set-up.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use crate::error::Failure;
use crate::harness::server::test::Request;
use crate::isolate::Mode;
use crate::probe;
use crate::probe::News;
use crate::sys::fds;
use crate::sys::net::devconf;
use crate::sys::process::{Pid, SingleThreaded};
use crate::userns::Caller;

/// More than the news of any failure: a path and a profile, in sentences.
const BUFFER: usize = 16 << 10;

/// How long a first sandbox may take to be set up before it is given up.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// What this machine allows, as far as it is known.
#[derive(Debug)]
pub(crate) enum Grant {
    /// Nothing is known; this is tried next.
    Open(Mode, Tried),
    /// A first sandbox is being set up. With what was so before.
    Trying(Trial, Mode, Tried),
    /// Sandboxes can be had.
    Allowed(Mode),
    /// None can be had, for good.
    Refused(Failure),
}

/// What was tried before.
#[derive(Debug, Default)]
pub(crate) struct Tried {
    failures: Vec<Failure>,
    /// Whether one of them was for want of something that may come free.
    may_pass: bool,
}

/// A first sandbox, and the request that it is for.
#[derive(Debug)]
pub(crate) struct Trial {
    pub(crate) init: Pid,
    /// Where its init tells whether it has come to an end.
    pub(crate) news: OwnedFd,
    pub(crate) request: Request,
    /// Where it is to take the order, if it has not been given it.
    pub(crate) hand: Option<OwnedFd>,
    /// When it is given up.
    pub(crate) deadline: Instant,
}

impl Grant {
    pub(crate) fn new() -> Self {
        Self::Open(Mode::full(), Tried::default())
    }

    /// A trial of the mode that is open has begun.
    pub(crate) fn start(&mut self, trial: Trial) {
        if let Self::Open(mode, tried) = self {
            *self = Self::Trying(trial, mode.clone(), std::mem::take(tried));
        }
    }

    /// The trial and what it tells, if it does so now; a refusal leaves its mode open, until
    /// that is denied.
    pub(crate) fn hear(&mut self) -> Option<(Trial, News)> {
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
    pub(crate) fn request(&self) -> Option<&Request> {
        if let Self::Trying(trial, ..) = self { Some(&trial.request) } else { None }
    }

    /// Whether `init` is the process of a first sandbox that is being set up.
    pub(crate) fn is_trying(&self, init: Pid) -> bool {
        matches!(self, Self::Trying(trial, ..) if trial.init == init)
    }

    /// The trial, if its time is over.
    pub(crate) fn overdue(&mut self, now: Instant) -> Option<Trial> {
        match self {
            Self::Trying(trial, ..) if trial.deadline <= now => Some(self.reopen()?.0),
            _ => None,
        }
    }

    /// The trial, if `init` is its process, which has ended without news.
    pub(crate) fn end_of(&mut self, init: Pid) -> Option<Trial> {
        match self {
            Self::Trying(trial, ..) if trial.init == init => Some(self.reopen()?.0),
            _ => None,
        }
    }

    fn reopen(&mut self) -> Option<(Trial, Mode)> {
        let state = std::mem::replace(self, Self::new());
        let Self::Trying(trial, mode, tried) = state else {
            *self = state;
            return None;
        };
        *self = Self::Open(mode.clone(), tried);
        Some((trial, mode))
    }

    /// The mode that was tried is refused, or cannot be had now, if it `may_pass`: the next one is
    /// tried, or it is the end. Where there is no next one and one of them may be had later, gives the
    /// failure for the test that has asked; the next test tries anew.
    pub(crate) fn deny(
        &mut self,
        (failure, may_pass): (Failure, bool),
        caller: &Caller,
        alone: &SingleThreaded,
    ) -> Option<Failure> {
        let Self::Open(mode, tried) = self else { return None };
        let next = probe::next_mode(mode, caller, alone);
        let Tried { mut failures, may_pass: before } = std::mem::take(tried);
        let may_pass = may_pass || before;
        let reason = failure.summary();
        failures.push(failure);
        if let Some(mode) = next {
            *self = Self::Open(mode.because(&reason), Tried { failures, may_pass });
            return None;
        }
        let failure = probe::all_in_one(failures);
        if may_pass {
            *self = Self::new();
            return Some(failure);
        }
        *self = Self::Refused(failure);
        None
    }
}

impl Trial {
    pub(crate) fn new(
        (init, news): (Pid, OwnedFd),
        request: Request,
        hand: Option<OwnedFd>,
    ) -> Self {
        Self { init, news, request, hand, deadline: Instant::now() + LIMIT }
    }
}
