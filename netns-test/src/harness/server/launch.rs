//! Launches inits in new namespaces, either for a test or for the warm pool. A warm sandbox
//! receives its test over a socket; a shortage of sockets must not keep a test from running, so an
//! init for a test has none.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Instant;

use crate::diagnose;
use crate::diagnose::{Step, Witness};
use crate::error::Failure;
use crate::harness::child::context::{Origin, Site, Task};
use crate::harness::child::init;
use crate::harness::protocol::heartbeat::{Heartbeat, Mark};
use crate::harness::server::farewell::Farewell;
use crate::harness::server::test::Request;
use crate::isolate::{Identity, Mode, Setting};
use crate::sys::errno::Refusal;
use crate::sys::net::socket;
use crate::sys::process;
use crate::sys::process::signals;
use crate::sys::process::{Pid, Side, SingleThreaded};
use crate::sys::{errno, fds};
use crate::userns::Caller;

/// Values that all inits of the server have in common.
#[derive(Debug)]
pub(crate) struct Launcher<'a> {
    pub(crate) alone: &'a SingleThreaded,
    /// Signalfd that is readable when a child has ended.
    pub(crate) children: OwnedFd,
    /// Pipe by which an init sees the end of the server: init holds the read end, and the server
    /// alone the write end.
    alive: (OwnedFd, OwnedFd),
    pub(crate) caller: Caller,
    origin: Origin,
    pub(crate) heartbeat: Heartbeat,
    /// None without reports, or where the kernel refuses it.
    pub(crate) farewell: Option<Farewell>,
    /// For each running init, the mark that its body sets when it begins, and the time of its
    /// launch.
    marks: RefCell<Vec<(Pid, Mark, Instant)>>,
}

/// Properties of an init to be launched.
#[derive(Debug)]
pub(crate) struct Wanted<'w> {
    pub(crate) setting: Setting,
    pub(crate) mode: &'w Mode,
    /// Working directory.
    pub(crate) directory: &'w OwnedFd,
    /// Request of its test; `None` for a warm sandbox.
    pub(crate) request: Option<&'w Request>,
    /// Whether init is to send the outcome of the set-up.
    pub(crate) is_trial: bool,
}

/// Init that was launched.
#[derive(Debug)]
pub(crate) struct Launched {
    pub(crate) init: Pid,
    /// Identity of its body, by the machine's files at the launch.
    pub(crate) identity: Identity,
    /// Socket for the order of a warm sandbox.
    pub(crate) orders: Option<OwnedFd>,
    /// Read end of the pipe for the outcome of the set-up.
    pub(crate) outcome: Option<OwnedFd>,
}

/// Reason for which an init was not launched.
#[derive(Debug)]
pub(crate) enum LaunchError {
    /// A resource is used up that may be released.
    Shortage(Shortage),
    /// The kernel does not allow it.
    Refused(Failure),
    Failed(Failure),
}

/// Call that has failed for want of a resource.
#[derive(Debug)]
pub(crate) enum Shortage {
    /// The clone of init into new namespaces.
    Clone(io::Error),
    /// Another call.
    Call(Refusal),
    /// A step of writing the id maps.
    Maps(Failure),
}

impl<'a> Launcher<'a> {
    /// Creates the launcher in the process that is to be the parent of all inits.
    pub(crate) fn new(
        origin: Origin,
        (heartbeat, farewell): (Heartbeat, Option<Farewell>),
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
            heartbeat,
            farewell,
            marks: RefCell::default(),
        })
    }

    pub(crate) fn launch(&self, wanted: &Wanted<'_>) -> Result<Launched, LaunchError> {
        let Wanted { setting, mode, directory, request, is_trial } = *wanted;
        let identity = Identity::new(setting, &self.caller, mode).map_err(LaunchError::Failed)?;
        let shortage = |error| self.clone_error(error, mode);
        let failed = |step, object| {
            move |error| LaunchError::Failed(diagnose::explain(step, object, &error))
        };
        let of_call = |step, object| move |error| call_error(step, object, error);
        let (go, start) = fds::pipe().map_err(of_call("pipe", "the test's init"))?;
        let order = request.map(Request::order);
        let (orders, theirs) = pair_if(order.is_none(), socket::pair)
            .map_err(of_call("socketpair", "the init of a spare"))?;
        let (outcome, outcome_writer) =
            pair_if(is_trial, fds::pipe).map_err(of_call("pipe", "the first sandbox"))?;
        let mark = self.heartbeat.mark();
        // A working directory moves into the new mount namespace by its path; a descriptor would
        // still refer to the old one.
        fds::change_directory(directory)
            .map_err(failed("fchdir", "the runner's working directory"))?;
        let side = process::fork_into(self.alone, mode.namespaces());
        if let Ok(Side::Child) = side {
            let task = match (order, &theirs) {
                (Some(order), _) => Task::This(order),
                (None, Some(orders)) => Task::Awaited(orders),
                (None, None) => process::exit_now(1),
            };
            let (children, alive, origin) = (&self.children, &self.alive.0, &self.origin);
            let (identity, go, outcome) = (&identity, &go, outcome_writer.as_ref());
            let (network, heartbeat) = (setting.network, (self.heartbeat, mark));
            let farewell = self.farewell.as_ref().map(Farewell::socket);
            let site = Site {
                identity,
                mode,
                network,
                children,
                alive,
                farewell,
                origin,
                go,
                outcome,
                task,
                heartbeat,
            };
            init::main(&site, self.alone)
        }
        fds::leave_directory().map_err(failed("chdir", "/ in the server"))?;
        let Side::Parent(init) = side.map_err(shortage)? else { process::exit_now(1) };
        self.marks.borrow_mut().push((init, mark, Instant::now()));
        // Until the byte arrives init only waits; it ends when `start` is closed.
        identity.maps.write_for(init).map_err(refused_maps)?;
        if let Some(outcome) = &outcome {
            fds::set_nonblocking(outcome)
                .map_err(failed("fcntl", "the pipe of a first sandbox"))?;
        }
        drop(fds::write_once(start.as_fd(), b"g"));
        Ok(Launched { init, identity, orders, outcome })
    }

    /// Returns the time of the launch, if the body of this init has not begun.
    pub(crate) fn not_begun(&self, init: Pid) -> Option<Instant> {
        let marks = self.marks.borrow();
        let of_init = marks.iter().find(|(other, ..)| *other == init);
        of_init.filter(|(_, mark, _)| !mark.is_set()).map(|(.., since)| *since)
    }

    /// Forgets an init that has ended.
    pub(crate) fn forget(&self, init: Pid) {
        self.marks.borrow_mut().retain(|(other, ..)| *other != init);
    }

    /// Explains a shortage that has lasted.
    pub(crate) fn explain(&self, shortage: Shortage, mode: &Mode) -> Failure {
        match shortage {
            Shortage::Clone(error) => {
                diagnose::explain_clone(self.alone, mode.namespaces(), &error)
            }
            Shortage::Call(Refusal { step, object, error }) => {
                diagnose::explain(step, object, &error)
            }
            Shortage::Maps(failure) => diagnose::completed(failure),
        }
    }

    fn clone_error(&self, error: io::Error, mode: &Mode) -> LaunchError {
        if errno::is_shortage(&error) && !diagnose::is_forbidden(&error, mode.namespaces()) {
            return LaunchError::Shortage(Shortage::Clone(error));
        }
        LaunchError::Refused(diagnose::explain_clone(self.alone, mode.namespaces(), &error))
    }
}

/// Classifies the error of a call that does not create namespaces.
fn call_error(step: &'static str, object: &'static str, error: io::Error) -> LaunchError {
    if errno::is_shortage(&error) {
        return LaunchError::Shortage(Shortage::Call(Refusal { step, object, error }));
    }
    LaunchError::Refused(diagnose::explain(step, object, &error))
}

/// Returns our end and theirs of the pair that `make` creates, if it is needed.
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

fn refused_maps(failure: Failure) -> LaunchError {
    match failure.errno {
        None => LaunchError::Failed(failure),
        Some(code) if errno::is_shortage_code(code) => {
            LaunchError::Shortage(Shortage::Maps(failure))
        }
        Some(_) => {
            let step = Step::Maps { of_root: false };
            LaunchError::Refused(diagnose::with_cause(failure, step, &Witness::default()))
        }
    }
}
