//! A test from request to end, as the server sees it: the descriptors that it holds, the order
//! that it sends to the init, the answer to the runner.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use crate::error::Failure;
use crate::harness::child::context::Order;
use crate::harness::protocol::messages;
use crate::harness::protocol::messages::{End, Message};
use crate::harness::protocol::report::Report;
use crate::harness::protocol::retry::Backoff;
use crate::isolate::Setting;
use crate::registry::case::Case;
use crate::sys::net::socket;
use crate::sys::process;
use crate::sys::process::signals;
use crate::sys::process::{Pid, Status};

/// Time that an init may live beyond the limit of its test. Init enforces the limit itself; this
/// is for an init that cannot, as one that was stopped by SIGSTOP.
const GRACE: Duration = Duration::from_secs(15);

/// Time that the kernel may take to end an init that the server has killed.
const AFTER_KILL: Duration = Duration::from_secs(5);

/// Request for a test.
#[derive(Debug)]
pub(crate) struct Request {
    index: usize,
    pub(crate) case: &'static Case,
    /// Properties of its sandbox.
    pub(crate) setting: Setting,
    pub(crate) control: OwnedFd,
    stdout: OwnedFd,
    stderr: OwnedFd,
    pub(crate) directory: OwnedFd,
    pub(crate) backoff: Backoff,
    pub(crate) not_before: Instant,
    /// Whether the request was given to a warm sandbox that has ended. It is not given to another
    /// one.
    pub(crate) is_returned: bool,
}

/// Test whose init runs.
#[derive(Debug)]
pub(crate) struct Test {
    pub(crate) init: Pid,
    pub(crate) setting: Setting,
    /// Part of the request that the server keeps until the end is sent to the runner.
    held: Option<Held>,
    /// Time at which its runner stopped waiting for it.
    released: Option<Instant>,
    /// Time limit of the test.
    limit: Option<Duration>,
    /// Time at which init is killed; after that, time at which its end is no longer awaited.
    /// `None` for a test without a time limit.
    pub(crate) deadline: Option<Instant>,
    pub(crate) overdue: bool,
}

/// Part of a request that the server keeps while the test runs.
#[derive(Debug)]
enum Held {
    /// Socket of the runner, for the end.
    Control(OwnedFd),
    /// Request that a warm sandbox has not taken yet, and the socket with its order.
    Whole { request: Request, orders: OwnedFd },
    /// Request whose warm sandbox has ended without taking it.
    Unread(Request),
}

impl Request {
    /// Creates the request for the test at `index` of the table, with the descriptors that came
    /// with it.
    pub(crate) fn new(
        (index, case): (usize, &'static Case),
        control: OwnedFd,
        [stdout, stderr, directory]: [OwnedFd; 3],
    ) -> Self {
        let (backoff, not_before) = (Backoff::new(), Instant::now());
        Self {
            index,
            case,
            setting: case.setting(),
            control,
            stdout,
            stderr,
            directory,
            backoff,
            not_before,
            is_returned: false,
        }
    }

    /// Returns the order for an init that is forked for this request.
    pub(crate) fn order(&self) -> Order<'_> {
        let Self { case, control, stdout, stderr, .. } = self;
        Order { case, control, stdout, stderr }
    }

    /// Sends the order to a warm sandbox.
    pub(crate) fn send_order(&self, spare: &OwnedFd) -> io::Result<()> {
        let fds = [&self.control, &self.stdout, &self.stderr].map(|fd| fd.as_fd());
        socket::send(spare.as_fd(), &messages::Order { index: self.index }.encode(), &fds)
    }

    /// Marks the request as given to a warm sandbox that has ended.
    pub(crate) fn returned(self) -> Self {
        Self { is_returned: true, ..self }
    }
}

impl Test {
    /// Creates the test of an init. `orders` is the socket with its order, if it is a warm
    /// sandbox.
    pub(crate) fn new(init: Pid, request: Request, orders: Option<OwnedFd>) -> Self {
        let (setting, limit) = (request.setting, request.case.timeout().duration());
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit + GRACE));
        let held = match orders {
            None => Held::Control(request.control),
            Some(orders) => Held::Whole { request, orders },
        };
        Self { init, setting, held: Some(held), released: None, limit, deadline, overdue: false }
    }

    /// Creates a test whose init was killed, and whose runner was answered.
    pub(crate) fn given_up(init: Pid, setting: Setting) -> Self {
        let (limit, deadline) = (None, None);
        Self { init, setting, held: None, released: None, limit, deadline, overdue: true }
    }

    /// Returns the socket of the runner, if the runner waits.
    pub(crate) fn control(&self) -> Option<BorrowedFd<'_>> {
        self.held.as_ref().map(|held| held.control().as_fd())
    }

    /// Notes that the runner has stopped waiting: it has the report of an init that was the last
    /// process of its test, or has gone.
    pub(crate) fn note_released(&mut self, now: Instant) {
        self.held = None;
        self.released = Some(now);
    }

    /// Returns the time at which the runner stopped waiting.
    pub(crate) fn released(&self) -> Option<Instant> {
        self.released
    }

    /// Kills an init that is overdue. Returns the end for the runner if the kernel has not ended
    /// that init some time later: a process that waits for a device cannot be killed.
    pub(crate) fn keep_time(&mut self, now: Instant) -> Option<(OwnedFd, End)> {
        if self.deadline.is_none_or(|deadline| deadline > now) {
            return None;
        }
        if self.overdue {
            self.deadline = None;
            let status = Status::Signaled(signals::KILL);
            let end = End { status, overdue: true, remains: true };
            return self.held.take().map(|held| (held.into_control(), end));
        }
        process::kill(self.init);
        (self.deadline, self.overdue) = (Some(now + AFTER_KILL), true);
        None
    }

    /// Extends the deadline of an init whose test has not begun.
    pub(crate) fn wait_longer(&mut self, now: Instant) {
        if let (Some(limit), false) = (self.limit, self.overdue) {
            self.deadline = now.checked_add(limit + GRACE);
        }
    }

    /// Returns the socket that hangs up when a warm sandbox has taken its order or has ended.
    pub(crate) fn orders(&self) -> Option<BorrowedFd<'_>> {
        match &self.held {
            Some(Held::Whole { orders, .. }) => Some(orders.as_fd()),
            _ => None,
        }
    }

    /// Notes that the socket with the order has hung up.
    pub(crate) fn note_hang_up(&mut self) {
        self.held = self.held.take().map(|held| match held {
            Held::Whole { request, orders } if socket::was_not_read(orders.as_fd()) => {
                Held::Unread(request)
            }
            Held::Whole { request, .. } => Held::Control(request.control),
            held => held,
        });
    }

    /// Counts the descriptors that the server keeps for the test.
    pub(crate) fn descriptors(&self) -> usize {
        match self.held {
            None => 0,
            Some(Held::Control(_)) => 1,
            Some(Held::Whole { .. } | Held::Unread(_)) => 5,
        }
    }

    /// Returns the end for the runner, if it waits.
    ///
    /// # Errors
    ///
    /// The request, if the init was a warm sandbox that has not taken the order: the test has not
    /// begun.
    pub(crate) fn end(mut self, status: Status) -> Result<Option<(OwnedFd, End)>, Request> {
        self.note_hang_up();
        match self.held {
            Some(Held::Unread(request)) if !self.overdue => Err(request.returned()),
            held => {
                let end = End { status, overdue: self.overdue, remains: false };
                Ok(held.map(|held| (held.into_control(), end)))
            }
        }
    }
}

impl Held {
    fn control(&self) -> &OwnedFd {
        match self {
            Self::Control(control) => control,
            Self::Whole { request, .. } | Self::Unread(request) => &request.control,
        }
    }

    fn into_control(self) -> OwnedFd {
        match self {
            Self::Control(control) => control,
            Self::Whole { request, .. } | Self::Unread(request) => request.control,
        }
    }
}

/// Answers the runner that the test is not run. The answer is short enough for an empty socket; a
/// runner that has gone needs none.
pub(crate) fn refuse(control: &OwnedFd, report: &Report) {
    let end = End { status: Status::Exited(0), overdue: false, remains: false };
    for message in [Message::Last(report.encode()), Message::Gone(end)] {
        drop(socket::try_send(control.as_fd(), &message.encode()));
    }
}

/// Sends the end of a test to its runner. Returns `false` if the runner's socket is full.
pub(crate) fn send_end(control: &OwnedFd, end: End) -> bool {
    match socket::try_send(control.as_fd(), &Message::Gone(end).encode()) {
        Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        Ok(()) => true,
    }
}

/// Answers all requests with `failure`, until the runner ends.
pub(crate) fn refuse_all(requests: &OwnedFd, failure: &Failure) -> ! {
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
