//! The values that the server passes to init, and init to the body: properties of the sandbox, and
//! the order for a test.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use crate::diagnose;
use crate::error::Failure;
use crate::harness::protocol::heartbeat::{Heartbeat, Mark};
use crate::harness::protocol::messages;
use crate::harness::protocol::retry::retry_shortage;
use crate::isolate::{Identity, Mode, Network};
use crate::registry::case::Case;
use crate::registry::sections;
use crate::sys::net::socket;
use crate::sys::process::limits::Limits;
use crate::sys::{errno, fds};

/// Properties of one sandbox, and the descriptors by which its init reaches the server.
#[derive(Debug)]
pub(crate) struct Site<'a> {
    pub(crate) identity: &'a Identity,
    pub(crate) mode: &'a Mode,
    pub(crate) network: Network,
    /// Signalfd that is readable when a child has ended.
    pub(crate) children: &'a OwnedFd,
    /// Read end of a pipe that hangs up when the server ends.
    pub(crate) alive: &'a OwnedFd,
    /// Socket that is at its end when the runner has gone and the server wants to know what its
    /// tests wait for.
    pub(crate) farewell: Option<&'a OwnedFd>,
    pub(crate) origin: &'a Origin,
    /// Read end of a pipe that receives one byte when the id maps are written.
    pub(crate) go: &'a OwnedFd,
    /// Write end of the pipe for the result of the set-up, if the server waits for it.
    pub(crate) outcome: Option<&'a OwnedFd>,
    pub(crate) task: Task<'a>,
    /// Shared counters of all tests, and the mark that this body sets when its thread runs.
    pub(crate) heartbeat: (Heartbeat, Mark),
}

/// Test of a sandbox.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Task<'a> {
    /// Known when init is forked.
    This(Order<'a>),
    /// Unknown: the sandbox is a warm one, and its order arrives on this socket.
    Awaited(&'a OwnedFd),
}

/// Test of a body.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Start<'a> {
    /// Known when the body is forked.
    This(Order<'a>),
    /// Unknown: the order arrives at `orders`, and the body passes it on to `init`.
    Awaited { orders: &'a OwnedFd, init: &'a OwnedFd },
}

/// Attributes of the program's process that the server has changed for itself, and the body
/// restores.
#[derive(Debug)]
pub(crate) struct Origin {
    /// Name of the main thread (`PR_GET_NAME`).
    pub(crate) name: CString,
    /// Whether SIGCHLD was ignored.
    pub(crate) ignores_children: bool,
    /// Limits of the server. Those of the runner may differ from them at each request.
    pub(crate) limits: Limits,
}

/// Order to run a test, with the descriptors that came with its request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order<'a> {
    pub(crate) case: &'static Case,
    pub(crate) control: &'a OwnedFd,
    pub(crate) stdout: &'a OwnedFd,
    pub(crate) stderr: &'a OwnedFd,
}

/// Order that has arrived at a warm sandbox: first at its body, then from there at its init.
#[derive(Debug)]
pub(crate) struct Arrived {
    index: usize,
    pub(crate) case: &'static Case,
    pub(crate) control: OwnedFd,
    /// Stdout and stderr, which the body does not pass on to init.
    output: Option<[OwnedFd; 2]>,
}

impl<'a> Task<'a> {
    /// Returns the descriptors of the server that the body needs.
    pub(crate) fn descriptors(self) -> impl Iterator<Item = &'a OwnedFd> {
        let all = match self {
            Self::This(order) => [Some(order.control), Some(order.stdout), Some(order.stderr)],
            Self::Awaited(orders) => [Some(orders), None, None],
        };
        all.into_iter().flatten()
    }

    /// Returns whether the runner has stopped waiting for the test, if that is known. Such a test
    /// is not begun.
    pub(crate) fn is_given_up(self) -> io::Result<bool> {
        let Self::This(order) = self else { return Ok(false) };
        fds::has_hung_up(order.control.as_fd())
    }
}

impl Arrived {
    /// Waits for the order on the socket `orders` and leaves the message there. Returns `None` if
    /// the other end is closed, or the message is not an order.
    pub(crate) fn wait_for(orders: &OwnedFd) -> Option<Self> {
        let mut buffer = [0; 64];
        let message = socket::peek(orders.as_fd(), &mut buffer).ok()?;
        let index = messages::Order::decode(&buffer[..message.length])?.index;
        let case = sections::case(index)?;
        let mut fds = message.fds.into_iter();
        let control = fds.next()?;
        let output = fds.next().zip(fds.next()).map(|(stdout, stderr)| [stdout, stderr]);
        Some(Self { index, case, control, output })
    }

    /// Returns the order.
    ///
    /// # Errors
    ///
    /// If the kernel has not delivered all descriptors.
    pub(crate) fn order(&self) -> Result<Order<'_>, Failure> {
        let [stdout, stderr] = self.output.as_ref().ok_or_else(descriptors_lost)?;
        Ok(Order { case: self.case, control: &self.control, stdout, stderr })
    }

    /// Passes the order on to `init`, then removes the message from the socket `orders`. If this
    /// init ends before that, the server sends the order to another sandbox.
    pub(crate) fn take(&self, orders: &OwnedFd, init: &OwnedFd) -> io::Result<()> {
        let order = messages::Order { index: self.index }.encode();
        retry_shortage(|| socket::send(init.as_fd(), &order, &[self.control.as_fd()]))?;
        socket::discard(orders.as_fd())
    }
}

/// Returns the failure for a message of which the kernel has delivered fewer descriptors than were
/// sent: the table of the receiver was full (`MSG_CTRUNC`, unix(7)).
pub(crate) fn descriptors_lost() -> Failure {
    diagnose::explain("receive", "the request's descriptors", &errno::too_many_files())
}
