//! Reads the state of a test's processes and networks, in the examiner: a child of init that ends
//! afterwards.
//!
//! What a test holds may be large, broken or hostile. So all lists have limits, a look ends in time,
//! and what was read is told part by part: if the examiner hangs, what it has told is kept.

mod budget;
mod networks;
pub(crate) mod pin;
mod processes;
pub(crate) mod recorder;

use std::os::fd::OwnedFd;
use std::time::Duration;

use crate::evidence::facts::network::Network;
use crate::evidence::facts::{Look, Reason};
use crate::examine::budget::Budget;
use crate::examine::pin::Pin;
use crate::examine::recorder::Recorder;
use crate::sys::errno;
use crate::sys::process::{Pid, progress};

/// What to look at.
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

/// Looks at the subject until `end`, a moment of [`progress::now`]. The calling process has one
/// thread, which is in another network afterwards.
///
/// `tell` takes the look in parts, for [`Look::join`].
pub(crate) fn look(subject: &Subject<'_>, end: Duration, mut tell: impl FnMut(Look)) {
    let budget = Budget::until(end);
    let mut found = Look { at: progress::now(), reason: subject.reason, ..Look::default() };
    // First: sockets are gone with their processes, and a thread goes on meanwhile.
    processes::read(subject, budget.part(50), &mut found);
    let threads = networks::threads(&found.processes);
    tell(found);
    networks::read(subject, &threads, budget, &mut tell);
    // Last: the kernel tells of a closed connection a few milliseconds later.
    if subject.reads_recorders {
        attempts(subject, tell);
    }
}

/// Tells what the flight recorders have kept.
fn attempts(subject: &Subject<'_>, mut tell: impl FnMut(Look)) {
    let own = subject.own.map(|(inode, recorder)| (*inode, recorder));
    let pins = subject.pins.iter();
    let others = pins.filter_map(|pin| Some((pin.inode, pin.recorder.as_ref()?)));
    for (inode, recorder) in own.into_iter().chain(others) {
        let attempts = Some(recorder.read());
        let network = Network { inode, attempts, ..Network::default() };
        tell(Look { networks: vec![network], ..Look::default() });
    }
}

/// Returns a sentence about a file that could not be read.
fn gap(object: &str, error: &std::io::Error) -> String {
    format!("{object}: {}", errno::describe(error))
}
