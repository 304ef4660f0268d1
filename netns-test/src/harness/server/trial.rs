//! Try, then explain: the first sandbox shows which namespaces this machine allows. The other
//! tests wait for the time of one set-up.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use crate::error::Failure;
use crate::harness::server::test::Request;
use crate::isolate::Mode;
use crate::probe;
use crate::probe::TrialOutcome;
use crate::sys::fds;
use crate::sys::net::devconf;
use crate::sys::process::{Pid, SingleThreaded};
use crate::userns::Caller;

/// Size of the buffer in bytes, more than any outcome needs: a path, a security profile,
/// sentences.
const BUFFER: usize = 16 << 10;

/// Longest time for the set-up of a first sandbox.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Support of sandboxes by this machine, as far as it is known.
#[derive(Debug)]
pub(crate) enum Support {
    /// Not known. This mode is tried next.
    Unknown(Mode, Tried),
    /// A first sandbox is being set up in this mode.
    Trying(Trial, Mode, Tried),
    /// Sandboxes are possible in this mode.
    Allowed(Mode),
    /// Sandboxes are not possible.
    Refused(Failure),
}

/// Modes that were tried before.
#[derive(Debug, Default)]
pub(crate) struct Tried {
    failures: Vec<Failure>,
    /// Whether one of the failures was a shortage.
    may_pass: bool,
}

/// First sandbox, and the request that it is for.
#[derive(Debug)]
pub(crate) struct Trial {
    pub(crate) init: Pid,
    /// Read end of the pipe for the outcome of its set-up.
    pub(crate) outcome: OwnedFd,
    pub(crate) request: Request,
    /// Socket for its order, if it is a warm sandbox.
    pub(crate) orders: Option<OwnedFd>,
    /// Time at which it is given up.
    pub(crate) deadline: Instant,
}

impl Support {
    pub(crate) fn new() -> Self {
        Self::Unknown(Mode::full(), Tried::default())
    }

    /// Starts the trial of the next mode.
    pub(crate) fn start(&mut self, trial: Trial) {
        if let Self::Unknown(mode, tried) = self {
            *self = Self::Trying(trial, mode.clone(), std::mem::take(tried));
        }
    }

    /// Returns the trial and its outcome, if that has arrived. After a refusal the mode is still
    /// the next one, until [`Self::deny`].
    pub(crate) fn poll(&mut self) -> Option<(Trial, TrialOutcome)> {
        let Self::Trying(trial, ..) = self else { return None };
        // Not on the stack, whose pages would be touched by each poll.
        let mut buffer = vec![0; BUFFER];
        let length = fds::read_available(&trial.outcome, &mut buffer).ok().flatten()?;
        // Empty if the pipe is closed: then the end of init is handled.
        let outcome = TrialOutcome::decode(&buffer[..length])?;
        let (trial, mode) = self.reopen()?;
        if let TrialOutcome::Allowed(altered) = outcome {
            // For the inits that are forked from now on.
            devconf::learn(altered);
            *self = Self::Allowed(mode);
        }
        Some((trial, outcome))
    }

    /// Returns the request that waits for a first sandbox.
    pub(crate) fn request(&self) -> Option<&Request> {
        if let Self::Trying(trial, ..) = self { Some(&trial.request) } else { None }
    }

    /// Returns whether `init` belongs to the current trial.
    pub(crate) fn is_trying(&self, init: Pid) -> bool {
        matches!(self, Self::Trying(trial, ..) if trial.init == init)
    }

    /// Returns the trial if its time is over.
    pub(crate) fn overdue(&mut self, now: Instant) -> Option<Trial> {
        match self {
            Self::Trying(trial, ..) if trial.deadline <= now => Some(self.reopen()?.0),
            _ => None,
        }
    }

    /// Returns the trial if `init`, which has ended without an outcome, belongs to it.
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
        *self = Self::Unknown(mode.clone(), tried);
        Some((trial, mode))
    }

    /// Notes that the tried mode is refused, or not available now if it `may_pass`, and proceeds
    /// to the next mode. If there is none and one of the modes may be available later, returns the
    /// failure for the current request, and starts over with the next one.
    pub(crate) fn deny(
        &mut self,
        (failure, may_pass): (Failure, bool),
        caller: &Caller,
        alone: &SingleThreaded,
    ) -> Option<Failure> {
        let Self::Unknown(mode, tried) = self else { return None };
        let next = probe::next_mode(mode, caller, alone);
        let Tried { mut failures, may_pass: before } = std::mem::take(tried);
        let may_pass = may_pass || before;
        let reason = failure.summary();
        failures.push(failure);
        if let Some(mode) = next {
            *self = Self::Unknown(mode.because(&reason), Tried { failures, may_pass });
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
        (init, outcome): (Pid, OwnedFd),
        request: Request,
        orders: Option<OwnedFd>,
    ) -> Self {
        Self { init, outcome, request, orders, deadline: Instant::now() + LIMIT }
    }
}
