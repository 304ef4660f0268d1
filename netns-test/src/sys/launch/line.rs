//! The connection between a caller and the program that it starts: a pipe for a report, and a socket
//! that ends the program.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicI32, Ordering};

use crate::sys::fds;
use crate::sys::launch::refusal::{Call, Refusal};
use crate::sys::process;

/// The caller's ends of what connects it with a program that it starts.
#[derive(Debug)]
pub(crate) struct Line {
    report: OwnedFd,
    /// A byte sent there ends the program and all that it has started.
    pub(crate) control: UnixStream,
}

/// What a caller is told of the start of a program.
#[derive(Debug)]
pub(crate) enum Told {
    /// Every step is done but exec.
    Begun,
    /// With the words of a helper program.
    Refused(Refusal, String),
    /// Its processes have ended without a word, or could not be made.
    Nothing,
}

/// The other ends, by number, while a program is started; the new processes have them under the same.
#[derive(Debug)]
pub(crate) struct Ends {
    /// The process that starts the program.
    caller: AtomicI32,
    report: AtomicI32,
    control: AtomicI32,
}

/// Those ends, as the caller holds them.
#[derive(Debug)]
pub(crate) struct Held {
    _report: OwnedFd,
    _control: UnixStream,
}

impl Ends {
    /// None: a refusal is told by its error number alone.
    pub(crate) fn none() -> Self {
        let caller = AtomicI32::new(process::id());
        Self { caller, report: AtomicI32::new(-1), control: AtomicI32::new(-1) }
    }

    /// New ones, for one start of the command; to be held until that is over.
    pub(crate) fn connect(&self) -> io::Result<(Line, Held)> {
        let (report, told) = fds::pipe()?;
        fds::set_nonblocking(&report)?;
        let told = fds::beyond_stdio(told)?;
        let (control, listened) = UnixStream::pair()?;
        let listened = UnixStream::from(fds::beyond_stdio(listened.into())?);
        self.caller.store(process::id(), Ordering::Relaxed);
        self.report.store(told.as_raw_fd(), Ordering::Relaxed);
        self.control.store(listened.as_raw_fd(), Ordering::Relaxed);
        Ok((Line { report, control }, Held { _report: told, _control: listened }))
    }

    /// Forgets them: the numbers are no longer theirs.
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
    /// What the new processes have told.
    pub(crate) fn told(&self) -> Told {
        let mut buffer = [0; 1024];
        let length = fds::read_available(&self.report, &mut buffer).ok().flatten();
        match length.and_then(|length| Refusal::decode(buffer.get(..length)?)) {
            None => Told::Nothing,
            Some((refusal, _)) if refusal.call == Call::Begin => Told::Begun,
            Some((refusal, words)) => {
                Told::Refused(refusal, String::from_utf8_lossy(words).trim().to_owned())
            }
        }
    }
}
