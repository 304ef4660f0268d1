//! A test that has been asked for, from the request to the end: what the server holds of it, what
//! it tells the init that runs it, and what it answers.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use crate::error::Failure;
use crate::harness::child::context::Order;
use crate::harness::protocol::messages;
use crate::harness::protocol::messages::{End, Message};
use crate::harness::protocol::report::Report;
use crate::harness::protocol::retry::Patience;
use crate::isolate::Setting;
use crate::registry::case::Case;
use crate::sys::net::socket;
use crate::sys::process;
use crate::sys::process::signals;
use crate::sys::process::{Pid, Status};

/// How much longer than its test an init may live. It keeps the time itself; this is for
/// one that cannot, as when somebody has stopped it.
const GRACE: Duration = Duration::from_secs(15);

/// How long the kernel may take to end an init that the server has killed.
const AFTER_KILL: Duration = Duration::from_secs(5);

/// A test that has been asked for.
#[derive(Debug)]
pub(crate) struct Request {
    index: usize,
    pub(crate) case: &'static Case,
    /// What its sandbox is made by.
    pub(crate) setting: Setting,
    pub(crate) control: OwnedFd,
    stdout: OwnedFd,
    stderr: OwnedFd,
    pub(crate) directory: OwnedFd,
    pub(crate) patience: Patience,
    pub(crate) not_before: Instant,
    /// Whether a spare that it was given to is lost: it is not given to another one.
    pub(crate) is_returned: bool,
}

/// A test whose init runs.
#[derive(Debug)]
pub(crate) struct Test {
    pub(crate) init: Pid,
    pub(crate) setting: Setting,
    /// As long as its runner has not been told of the end.
    held: Option<Held>,
    /// Since when its runner has not waited for it.
    left: Option<Instant>,
    /// The test's time limit.
    limit: Option<Duration>,
    /// When init is killed, and then when its end is no longer waited for; nothing for a test
    /// without a time limit.
    pub(crate) deadline: Option<Instant>,
    pub(crate) overdue: bool,
}

/// What the server keeps of the request for a test that runs.
#[derive(Debug)]
enum Held {
    /// Where to tell the runner of the end.
    Control(OwnedFd),
    /// All of it, and where a spare was told of it, until that has looked.
    Whole { request: Request, hand: OwnedFd },
    /// All of it: the spare has ended without a look.
    Unread(Request),
}

impl Request {
    /// For the test at this place in the table, with the descriptors that came with it.
    pub(crate) fn new(
        (index, case): (usize, &'static Case),
        control: OwnedFd,
        [stdout, stderr, directory]: [OwnedFd; 3],
    ) -> Self {
        let (patience, not_before) = (Patience::new(), Instant::now());
        Self {
            index,
            case,
            setting: case.setting(),
            control,
            stdout,
            stderr,
            directory,
            patience,
            not_before,
            is_returned: false,
        }
    }

    /// For an init that is forked for it.
    pub(crate) fn order(&self) -> Order<'_> {
        let Self { case, control, stdout, stderr, .. } = self;
        Order { case, control, stdout, stderr }
    }

    /// Tells a spare that this is its test.
    pub(crate) fn hand_to(&self, spare: &OwnedFd) -> io::Result<()> {
        let fds = [&self.control, &self.stdout, &self.stderr].map(|fd| fd.as_fd());
        socket::send(spare.as_fd(), &messages::Order { index: self.index }.encode(), &fds)
    }

    /// The same, when the spare that it was given to is lost.
    pub(crate) fn returned(self) -> Self {
        Self { is_returned: true, ..self }
    }
}

impl Test {
    /// `hand` is where the init was told of it, if that was a spare.
    pub(crate) fn new(init: Pid, request: Request, hand: Option<OwnedFd>) -> Self {
        let (setting, limit) = (request.setting, request.case.timeout().duration());
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit + GRACE));
        let held = match hand {
            None => Held::Control(request.control),
            Some(hand) => Held::Whole { request, hand },
        };
        Self { init, setting, held: Some(held), left: None, limit, deadline, overdue: false }
    }

    /// One whose runner knows that it will not come, and whose init has been killed.
    pub(crate) fn given_up(init: Pid, setting: Setting) -> Self {
        let (limit, deadline) = (None, None);
        Self { init, setting, held: None, left: None, limit, deadline, overdue: true }
    }

    /// Where its runner waits for its end; nothing if it does not.
    pub(crate) fn control(&self) -> Option<BorrowedFd<'_>> {
        self.held.as_ref().map(|held| held.control().as_fd())
    }

    /// The runner waits no longer: it has the report of an init that was the last process of its test,
    /// or has gone.
    pub(crate) fn note_left(&mut self, now: Instant) {
        self.held = None;
        self.left = Some(now);
    }

    /// Since when, if it has not ended since.
    pub(crate) fn left(&self) -> Option<Instant> {
        self.left
    }

    /// Kills an init whose time is over. If the kernel has not ended it some time later, the
    /// runner is told so: something of it that waits for a device cannot be killed.
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

    /// Gives an init more time whose test has not begun.
    pub(crate) fn wait_longer(&mut self, now: Instant) {
        if let (Some(limit), false) = (self.limit, self.overdue) {
            self.deadline = now.checked_add(limit + GRACE);
        }
    }

    /// What hangs up when a spare has looked at its order, or has ended.
    pub(crate) fn hand(&self) -> Option<BorrowedFd<'_>> {
        match &self.held {
            Some(Held::Whole { hand, .. }) => Some(hand.as_fd()),
            _ => None,
        }
    }

    /// It has hung up.
    pub(crate) fn note_hang_up(&mut self) {
        self.held = self.held.take().map(|held| match held {
            Held::Whole { request, hand } if socket::was_not_read(hand.as_fd()) => {
                Held::Unread(request)
            }
            Held::Whole { request, .. } => Held::Control(request.control),
            held => held,
        });
    }

    /// How many of the server's descriptors it keeps.
    pub(crate) fn descriptors(&self) -> usize {
        match self.held {
            None => 0,
            Some(Held::Control(_)) => 1,
            Some(Held::Whole { .. } | Held::Unread(_)) => 5,
        }
    }

    /// What its runner is to be told when init has ended; or the request itself, if that was a
    /// spare which has not looked at it: the test has not begun.
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

/// Tells the runner that there will be no test. Little enough to fit into its socket, and
/// a runner that no longer listens needs no answer.
pub(crate) fn refuse(control: &OwnedFd, report: &Report) {
    let end = End { status: Status::Exited(0), overdue: false, remains: false };
    for message in [Message::Last(report.encode()), Message::Gone(end)] {
        drop(socket::try_send(control.as_fd(), &message.encode()));
    }
}

/// Whether the runner knows now, or no longer wants to.
pub(crate) fn tell(control: &OwnedFd, end: End) -> bool {
    match socket::try_send(control.as_fd(), &Message::Gone(end).encode()) {
        Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        Ok(()) => true,
    }
}

/// What is left to a server that cannot serve: to say why.
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
