//! The connection between a caller and the program that it starts: a pipe for a report, and a
//! socket that ends the program.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicI32, Ordering};

use crate::sys::fds;
use crate::sys::launch::refusal::{Call, Refusal};
use crate::sys::process;

/// The caller's ends of the connection to a program that it starts.
#[derive(Debug)]
pub(crate) struct Line {
    report: OwnedFd,
    /// A socket; a byte sent to it ends the program and all its descendants.
    pub(crate) control: UnixStream,
}

/// The outcome of a start, as reported to the caller.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Every step is done but exec.
    Begun,
    /// A step was refused; the text is a helper program's output.
    Refused(Refusal, String),
    /// No report: the processes have ended early, or could not be created.
    Nothing,
}

/// The numbers of the other ends while a program is started. The new processes inherit them.
#[derive(Debug)]
pub(crate) struct Ends {
    /// The process that starts the program.
    caller: AtomicI32,
    report: AtomicI32,
    control: AtomicI32,
}

/// The other ends, owned by the caller during a start.
#[derive(Debug)]
pub(crate) struct Held {
    _report: OwnedFd,
    _control: UnixStream,
}

impl Ends {
    /// Returns no ends: a refusal is then reported by its error number only.
    pub(crate) fn none() -> Self {
        let caller = AtomicI32::new(process::id());
        Self { caller, report: AtomicI32::new(-1), control: AtomicI32::new(-1) }
    }

    /// Creates the ends for one start. Hold them until it is over.
    pub(crate) fn connect(&self) -> io::Result<(Line, Held)> {
        let (report, sent) = fds::pipe()?;
        fds::set_nonblocking(&report)?;
        let sent = fds::beyond_stdio(sent)?;
        let (control, listened) = UnixStream::pair()?;
        let listened = UnixStream::from(fds::beyond_stdio(listened.into())?);
        self.caller.store(process::id(), Ordering::Relaxed);
        self.report.store(sent.as_raw_fd(), Ordering::Relaxed);
        self.control.store(listened.as_raw_fd(), Ordering::Relaxed);
        Ok((Line { report, control }, Held { _report: sent, _control: listened }))
    }

    /// Forgets the numbers, which may be reused now.
    pub(crate) fn disconnect(&self) {
        self.report.store(-1, Ordering::Relaxed);
        self.control.store(-1, Ordering::Relaxed);
    }

    pub(crate) fn caller(&self) -> process::Pid {
        self.caller.load(Ordering::Relaxed)
    }

    pub(crate) fn report(&self) -> RawFd {
        self.report.load(Ordering::Relaxed)
    }

    pub(crate) fn control(&self) -> RawFd {
        self.control.load(Ordering::Relaxed)
    }
}

impl Line {
    /// Reads the report of the new processes.
    pub(crate) fn outcome(&self) -> Outcome {
        let mut buffer = [0; 1024];
        let length = fds::read_available(&self.report, &mut buffer).ok().flatten();
        match length.and_then(|length| Refusal::decode(buffer.get(..length)?)) {
            None => Outcome::Nothing,
            Some((refusal, _)) if refusal.call == Call::Begin => Outcome::Begun,
            Some((refusal, words)) => {
                Outcome::Refused(refusal, String::from_utf8_lossy(words).trim().to_owned())
            }
        }
    }
}
