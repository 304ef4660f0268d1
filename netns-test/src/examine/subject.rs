//! The processes and networks that the examiner is to look at.

use std::os::fd::OwnedFd;

use crate::evidence::facts::Reason;
use crate::examine::pin::Pin;
use crate::examine::recorder::Recorder;
use crate::sys::process::Pid;

/// Processes and networks to look at.
#[derive(Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) reason: Reason,
    /// The `/proc` of the test's PID namespace.
    pub(crate) proc: &'a OwnedFd,
    pub(crate) body: Pid,
    pub(crate) pins: &'a [Pin],
    /// Flight recorder of the network of the calling process, and the inode of that network.
    pub(crate) own: Option<&'a (u64, Recorder)>,
    /// The thread whose network is read first; 0 for none.
    pub(crate) thread: u32,
    /// Whether the flight recorders are read, which empties them.
    pub(crate) reads_recorders: bool,
}
