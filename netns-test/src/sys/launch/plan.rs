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
