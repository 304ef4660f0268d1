//! Reads the state of a test's processes and networks, in the examiner: a child of init that ends
//! afterwards.

pub(crate) mod networks;
pub(crate) mod pin;
pub(crate) mod processes;

use std::os::fd::OwnedFd;

use crate::evidence::facts::{Look, Reason};
use crate::examine::pin::Pin;
use crate::sys::process::{Pid, progress};

/// Looks at all processes in `proc`, and at the networks of `pins` and of `body`.
pub(crate) fn look(reason: Reason, proc: &OwnedFd, body: Pid, pins: &[Pin]) -> Look {
    let mut look = Look { at: progress::now(), reason, ..Look::default() };
    // First: sockets are gone with their processes, and a thread goes on meanwhile.
    processes::read(proc, body, &mut look);
    networks::read(proc, body, pins, &mut look);
    look
}
