//! A test that has been asked for, from the request to the end: what the server holds of it,
//! and what it answers.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

use super::case::Case;
use super::patience::Patience;
use super::wire::{End, Message, Report};
use crate::diagnose;
use crate::error::Failure;
use crate::sys::process::{self, Pid, Status};
use crate::sys::{errno, signals, socket};

/// How much longer than its test an init may live. It keeps the time itself; this is for
/// one that cannot, as when somebody has stopped it.
const GRACE: Duration = Duration::from_secs(15);

/// How long the kernel may take to end an init that the server has killed.
const AFTER_KILL: Duration = Duration::from_secs(5);

/// A test that has been asked for.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) case: &'static Case,
    pub(super) control: OwnedFd,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
    pub(super) directory: OwnedFd,
    pub(super) patience: Patience,
    pub(super) not_before: Instant,
}

/// A test whose init runs.
#[derive(Debug)]
pub(super) struct Test {
    pub(super) init: Pid,
    /// To its runner, as long as that has not been told of the end.
    pub(super) control: Option<OwnedFd>,
    /// When init is killed, and then when its end is no longer waited for; nothing for a test
    /// without a time limit.
    pub(super) deadline: Option<Instant>,
    pub(super) overdue: bool,
}

impl Request {
    pub(super) fn new(case: &'static Case, control: OwnedFd, fds: [OwnedFd; 3]) -> Self {
        let [stdout, stderr, directory] = fds;
        let (patience, not_before) = (Patience::new(), Instant::now());
        Self { case, control, stdout, stderr, directory, patience, not_before }
    }
}

impl Test {
    pub(super) fn new(init: Pid, request: Request) -> Self {
        let limit = request.case.time_limit();
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit + GRACE));
        Self { init, control: Some(request.control), deadline, overdue: false }
    }

    /// Kills an init whose time is over. If the kernel has not ended it some time later, the
    /// runner is told so: something of it that waits for a device cannot be killed.
    pub(super) fn keep_time(&mut self, now: Instant) -> Option<(OwnedFd, End)> {
        if self.deadline.is_none_or(|deadline| deadline > now) {
            return None;
        }
        if self.overdue {
            self.deadline = None;
            let end = End { status: Status::Signaled(signals::KILL), overdue: true };
            return self.control.take().map(|control| (control, end));
        }
        process::kill(self.init);
        (self.deadline, self.overdue) = (Some(now + AFTER_KILL), true);
        None
    }
}

/// Tells the runner that there will be no test. Little enough to fit into its socket, and
/// a runner that no longer listens needs no answer.
pub(super) fn refuse(control: &OwnedFd, report: &Report) {
    let end = End { status: Status::Exited(0), overdue: false };
    for message in [Message::Part(report.encode()), Message::Complete, Message::Gone(end)] {
        drop(socket::try_send(control.as_fd(), &message.encode()));
    }
}

/// Whether the runner knows now, or no longer wants to.
pub(super) fn tell(control: &OwnedFd, end: End) -> bool {
    match socket::try_send(control.as_fd(), &Message::Gone(end).encode()) {
        Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        Ok(()) => true,
    }
}

/// What is left to a server that cannot serve: to say why.
pub(super) fn refuse_all(requests: &OwnedFd, failure: &Failure) -> ! {
    let mut buffer = [0; 64];
    loop {
        match socket::receive(requests.as_fd(), &mut buffer) {
            Ok(message) if message.length > 0 => {
                if let Some(control) = message.fds.first() {
                    refuse(control, &Report::NotStarted(failure.clone()));
                }
            }
            _ => process::exit_now(1),
        }
    }
}

/// The kernel has handed over fewer descriptors than were sent.
pub(super) fn descriptors_lost() -> Failure {
    diagnose::explain("receive", "the request's descriptors", &errno::too_many_files())
}
