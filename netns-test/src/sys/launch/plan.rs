//! The plan of a start: everything that the new processes do, laid out before the fork.

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::sys::launch::action::Action;
use crate::sys::launch::maps::Maps;
use crate::sys::process::Namespace;
use crate::sys::process::caps::Caps;

/// All that is to be done for a program, laid out.
#[derive(Debug)]
pub(crate) struct Plan {
    /// An existing network namespace to join.
    pub(crate) network: Option<OwnedFd>,
    /// The namespaces to create.
    pub(crate) namespaces: Vec<Namespace>,
    pub(crate) maps: Maps,
    /// The steps of init, in order.
    pub(crate) steps: Vec<Action>,
    pub(crate) person: Person,
    /// The working directory of the program; the caller's if it is `None`.
    pub(crate) directory: Option<CString>,
    /// The descriptors that the program inherits besides the standard streams, with the same
    /// numbers.
    pub(crate) passed: Arc<Vec<OwnedFd>>,
    /// Whether init leads a session of its own: the program has no terminal then, and cannot
    /// signal the caller's process group.
    pub(crate) own_session: bool,
}

/// The identity of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Person {
    /// The uid and gid to change to.
    pub(crate) change: Option<(u32, u32)>,
    /// Whether to clear the supplementary groups.
    pub(crate) clear_groups: bool,
    /// The capabilities to drop.
    pub(crate) dropped: Caps,
    /// Whether it keeps the others as a user other than root.
    pub(crate) ambient: bool,
}
