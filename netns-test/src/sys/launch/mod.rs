//! Starts a program in namespaces of its own, from a process that may have other threads.
//!
//! The standard library forks; what is here happens between that and exec:
//!
//! ```text
//! caller ──fork (std)──▶ monitor ──clone──▶ init (pid 1) ──fork──▶ program
//!        its child, stays outside    new namespaces             goes on to exec (std)
//! ```
//!
//! The monitor is what the caller waits for and signals: it passes signals on, ends as the program
//! ended, and only when nothing of it is left. Init makes the place, reaps, and takes every
//! other process with it when it ends.
//!
//! Other threads of the caller may have held any lock when std forked. So nothing here allocates
//! memory, takes a lock or panics: it makes system calls on what the caller has laid out in a
//! [`Plan`], and tells of a refusal by the numbers of a [`Refusal`].

pub(crate) mod action;
pub(crate) mod init;
pub(crate) mod maps;
pub(crate) mod monitor;
pub(crate) mod refusal;

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

pub(crate) use crate::sys::launch::action::{Action, FileSystem, Keep};
pub(crate) use crate::sys::launch::maps::{Helper, MOST_RANGES, Maps};
pub(crate) use crate::sys::launch::refusal::{At, Call, Refusal};

use crate::sys::fds;
use crate::sys::process;
use crate::sys::process::Namespace;
use crate::sys::process::caps::Caps;

/// All that is to be done for a program, laid out.
#[derive(Debug)]
pub(crate) struct Plan {
    /// A network namespace of somebody else's, to be joined.
    pub(crate) network: Option<OwnedFd>,
    /// Those that are made.
    pub(crate) namespaces: Vec<Namespace>,
    pub(crate) maps: Maps,
    /// What init does, in order.
    pub(crate) steps: Vec<Action>,
    pub(crate) person: Person,
    /// Where the program begins; where the caller is, if there is none.
    pub(crate) directory: Option<CString>,
    /// What the program has besides the standard streams, each under the caller's number.
    pub(crate) passed: Arc<Vec<OwnedFd>>,
    /// Whether init leads a session of its own: the program has no terminal then, and cannot
    /// signal the caller's process group.
    pub(crate) own_session: bool,
}

/// Who the program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Person {
    /// The uid and gid to change to, without other groups.
    pub(crate) change: Option<(u32, u32)>,
    /// Whether groups can be changed.
    pub(crate) clear_groups: bool,
    /// Capabilities that it is not to have.
    pub(crate) dropped: Caps,
    /// Whether it keeps the others, though it is not root.
    pub(crate) ambient: bool,
}

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

/// Writes the maps of the child `init`, as its parent; what has failed, with the words of a helper.
pub(crate) fn write_maps(maps: &Maps, init: process::Pid) -> Result<(), (Refusal, String)> {
    let mut words = maps::Words::none();
    maps.write_for(init, &mut words)
        .map_err(|refusal| (refusal, String::from_utf8_lossy(words.bytes()).into_owned()))
}

/// Has `command` do all of `plan` when it is started.
pub(crate) fn set_up(command: &mut Command, plan: Arc<Plan>, ends: Arc<Ends>) {
    use std::os::unix::process::CommandExt as _;
    let begin = move || monitor::begin(&plan, &ends);
    // SAFETY: between fork and exec the closure makes system calls on memory that is laid out in
    // the plan; it allocates nothing and takes no lock, as this module's rules say.
    unsafe { command.pre_exec(begin) };
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

    fn caller(&self) -> process::Pid {
        self.caller.load(Ordering::Relaxed)
    }

    fn report(&self) -> RawFd {
        self.report.load(Ordering::Relaxed)
    }

    fn control(&self) -> RawFd {
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
