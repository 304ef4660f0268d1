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

use std::collections::HashSet;
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
}

/// Looks at the subject until `end`, a moment of [`progress::now`]. The calling process has one
/// thread, which is in another network afterwards.
///
/// `tell` takes the look in parts, for [`Look::join`].
pub(crate) fn look(subject: &Subject<'_>, end: Duration, tell: &mut dyn FnMut(Look)) {
    let budget = Budget::until(end);
    let at = progress::now();
    let mut tell = |part: Look| tell(Look { took: progress::now().saturating_sub(at), ..part });
    let mut found = Look { at, reason: subject.reason, ..Look::default() };
    // First: sockets are gone with their processes, and a thread goes on meanwhile.
    processes::read(subject, budget.part(50), &mut found);
    let threads = networks::threads(&found.processes);
    tell(found);
    let recorders = recorders(subject).map(|(_, recorder)| recorder);
    let own: HashSet<u64> = recorders.flat_map(Recorder::inodes).collect();
    networks::read(subject, &threads, budget, &mut |mut part: Look| {
        for network in &mut part.networks {
            network.sockets.retain(|socket| !own.contains(&socket.inode));
        }
        tell(part);
    });
    // Last: the kernel tells of a closed connection a few milliseconds later.
    attempts(subject, tell);
}

/// Tells what the flight recorders have kept.
fn attempts(subject: &Subject<'_>, mut tell: impl FnMut(Look)) {
    for (inode, recorder) in recorders(subject) {
        let attempts = Some(recorder.read());
        let network = Network { inode, attempts, ..Network::default() };
        tell(Look { networks: vec![network], ..Look::default() });
    }
}

/// Returns the flight recorders, with the inodes of their networks.
fn recorders<'a>(subject: &Subject<'a>) -> impl Iterator<Item = (u64, &'a Recorder)> {
    let own = subject.own.map(|(inode, recorder)| (*inode, recorder));
    let pins = subject.pins.iter();
    own.into_iter().chain(pins.filter_map(|pin| Some((pin.inode, pin.recorder.as_ref()?))))
}

/// What a sentence about something that was left out ends with.
const OVER: &str = "the time was over";

/// Returns a sentence about a file that could not be read.
fn gap(object: &str, error: &std::io::Error) -> String {
    format!("{object}: {}", errno::describe(error))
}
