//! How the server starts an init, in new namespaces: for a test, or as a spare, which is told over a
//! socket which test it is for. A shortage there must not keep a test from running, so the other way
//! does without.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Instant;

use crate::diagnose;
use crate::diagnose::{Step, Witness};
use crate::error::Failure;
use crate::harness::child::context::{Origin, Site, Task};
use crate::harness::child::init;
use crate::harness::protocol::heartbeat::{Mark, Pulse};
use crate::harness::server::test::Request;
use crate::isolate::{Identity, Mode, Setting};
use crate::sys::net::socket;
use crate::sys::process;
use crate::sys::process::signals;
use crate::sys::process::{Pid, Side, SingleThreaded};
use crate::sys::{errno, fds};
use crate::userns::Caller;

/// What the server starts an init with.
#[derive(Debug)]
pub(crate) struct Launcher<'a> {
    pub(crate) alone: &'a SingleThreaded,
    /// Readable when a child has ended.
    pub(crate) children: OwnedFd,
    /// Init holds the first end and sees when the second, held here alone, is closed.
    alive: (OwnedFd, OwnedFd),
    pub(crate) caller: Caller,
    origin: Origin,
    pub(crate) pulse: Pulse,
    /// Where the bodies of those that have not ended note that they have begun, and since when they
    /// are there.
    marks: RefCell<Vec<(Pid, Mark, Instant)>>,
}

/// The init that is wanted.
#[derive(Debug)]
pub(crate) struct Wanted<'w> {
    pub(crate) setting: Setting,
    pub(crate) mode: &'w Mode,
    /// Where it will be.
    pub(crate) directory: &'w OwnedFd,
    /// Its test; none for a spare.
    pub(crate) request: Option<&'w Request>,
    /// Whether it is to tell how the set-up goes.
    pub(crate) is_trial: bool,
}

/// An init that has been started.
#[derive(Debug)]
pub(crate) struct Launched {
    pub(crate) init: Pid,
    /// Who its body is, by what the machine said at the start.
    pub(crate) identity: Identity,
    /// Where a spare takes the order for a test.
    pub(crate) hand: Option<OwnedFd>,
    /// Where it tells how the set-up goes.
    pub(crate) news: Option<OwnedFd>,
}

/// Why none could be started.
#[derive(Debug)]
pub(crate) enum Lack {
    /// Something is used up that may come free.
    Shortage(io::Error),
    /// The kernel does not allow it.
    Refused(Failure),
    Failed(Failure),
}

impl<'a> Launcher<'a> {
    /// For the process that calls, which is to be the parent of all of them.
    pub(crate) fn new(
        origin: Origin,
        pulse: Pulse,
        alone: &'a SingleThreaded,
    ) -> Result<Self, Failure> {
        let step = |step, object| move |error: io::Error| diagnose::explain(step, object, &error);
        signals::block_children().map_err(step("sigprocmask", "SIGCHLD"))?;
        let children = signals::watch_children().map_err(step("signalfd", "SIGCHLD"))?;
        let alive = fds::pipe().map_err(step("pipe", "the server"))?;
        Ok(Self {
            alone,
            children,
            alive,
            caller: Caller::read()?,
            origin,
            pulse,
            marks: RefCell::default(),
        })
    }

    pub(crate) fn launch(&self, wanted: &Wanted<'_>) -> Result<Launched, Lack> {
        let Wanted { setting, mode, directory, request, is_trial } = *wanted;
        let identity = Identity::new(setting, &self.caller, mode).map_err(Lack::Failed)?;
        let shortage = |error| self.lack(error, mode);
        let failed =
            |step, object| move |error| Lack::Failed(diagnose::explain(step, object, &error));
        let of_call = |step, object| move |error| lack_of(step, object, error);
        let (go, start) = fds::pipe().map_err(of_call("pipe", "the test's init"))?;
        let order = request.map(Request::order);
        let (hand, theirs) = pair_if(order.is_none(), socket::pair)
            .map_err(of_call("socketpair", "the init of a spare"))?;
        let (news, told) =
            pair_if(is_trial, fds::pipe).map_err(of_call("pipe", "the first sandbox"))?;
        let mark = self.pulse.mark();
        // In a new mount namespace the working directory is that of the new mounts; a
        // descriptor would stay in the old ones.
        fds::change_directory(directory)
            .map_err(failed("fchdir", "the runner's working directory"))?;
        let side = process::fork_into(self.alone, mode.namespaces());
        if let Ok(Side::Child) = side {
            let task = match (order, &theirs) {
                (Some(order), _) => Task::This(order),
                (None, Some(hand)) => Task::Awaited(hand),
                (None, None) => process::exit_now(1),
            };
            let (children, alive, origin) = (&self.children, &self.alive.0, &self.origin);
            let (identity, go, news) = (&identity, &go, told.as_ref());
            let (network, pulse) = (setting.network, (self.pulse, mark));
            let site =
                Site { identity, mode, network, children, alive, origin, go, news, task, pulse };
            init::main(&site, self.alone)
        }
        fds::leave_directory().map_err(failed("chdir", "/ in the server"))?;
        let Side::Parent(init) = side.map_err(shortage)? else { process::exit_now(1) };
        self.marks.borrow_mut().push((init, mark, Instant::now()));
        // Until the word to go on init can do nothing; it ends when `start` is closed.
        identity.maps.write_for(init).map_err(refused_maps)?;
        if let Some(news) = &news {
            fds::set_nonblocking(news).map_err(failed("fcntl", "the pipe of a first sandbox"))?;
        }
        drop(fds::write_once(start.as_fd(), b"g"));
        Ok(Launched { init, identity, hand, news })
    }

    /// Since when this init is there, if the body of its test has not begun.
    pub(crate) fn not_begun(&self, init: Pid) -> Option<Instant> {
        let marks = self.marks.borrow();
        let of_init = marks.iter().find(|(other, ..)| *other == init);
        of_init.filter(|(_, mark, _)| !mark.is_set()).map(|(.., since)| *since)
    }

    /// This init has ended.
    pub(crate) fn forget(&self, init: Pid) {
        self.marks.borrow_mut().retain(|(other, ..)| *other != init);
    }

    fn lack(&self, error: io::Error, mode: &Mode) -> Lack {
        if errno::is_shortage(&error) && !diagnose::is_forbidden(&error, mode.namespaces()) {
            return Lack::Shortage(error);
        }
        Lack::Refused(diagnose::explain_clone(self.alone, mode.namespaces(), &error))
    }
}

/// What a call has that has nothing to do with namespaces.
fn lack_of(step: &str, object: &str, error: io::Error) -> Lack {
    if errno::is_shortage(&error) {
        return Lack::Shortage(error);
    }
    Lack::Refused(diagnose::explain(step, object, &error))
}

/// Our end and theirs of what `make` gives, if it is needed.
fn pair_if(
    is_needed: bool,
    make: fn() -> io::Result<(OwnedFd, OwnedFd)>,
) -> io::Result<(Option<OwnedFd>, Option<OwnedFd>)> {
    Ok(if is_needed {
        make().map(|(ours, theirs)| (Some(ours), Some(theirs)))?
    } else {
        (None, None)
    })
}

fn refused_maps(failure: Failure) -> Lack {
    match failure.errno {
        None => Lack::Failed(failure),
        Some(code) if errno::is_shortage_code(code) => {
            Lack::Shortage(io::Error::from_raw_os_error(code))
        }
        Some(_) => {
            let step = Step::Maps { of_root: false };
            Lack::Refused(diagnose::with_cause(failure, step, &Witness::default()))
        }
    }
}
