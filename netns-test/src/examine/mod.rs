//! Reads the state of a test's processes and networks, in the examiner: a child of init that ends
//! afterwards.
//!
//! The state of a test may be large, broken or hostile. So all lists have limits, a look ends in
//! time, and is reported in parts: if the examiner hangs, the parts that it has reported are kept.

mod artifacts;
mod budget;
mod gaps;
mod networks;
pub(crate) mod pin;
mod processes;
pub(crate) mod recorder;
mod stacks;
pub(crate) mod subject;

use std::collections::HashSet;
use std::time::Duration;

use crate::evidence::facts::Look;
use crate::evidence::facts::artifact::Artifact;
use crate::evidence::facts::network::Network;
use crate::examine::budget::Budget;
use crate::examine::recorder::Recorder;
use crate::examine::subject::Subject;
use crate::sys::process::progress;

pub(crate) use crate::examine::stacks::become_debugger;

/// Looks at the subject until `end`, a moment of [`progress::now`]. The calling process has one
/// thread, which is in another network afterwards; others are started meanwhile, and have ended.
///
/// `report` takes the look in parts, for [`Look::join`].
pub(crate) fn look(subject: &Subject<'_>, end: Duration, report: &mut (dyn FnMut(Look) + Send)) {
    let budget = Budget::until(end);
    let at = progress::now();
    let mut report = |part: Look| report(Look { took: progress::now().saturating_sub(at), ..part });
    let mut found = Look { at, reason: subject.reason, ..Look::default() };
    // First: sockets are gone with their processes, and a thread goes on meanwhile.
    processes::read(subject, budget.part(50), &mut found);
    let threads = networks::threads(&found.processes);
    report(found);
    let recorders = recorders(subject).map(|(_, recorder)| recorder);
    let own: HashSet<u64> = recorders.flat_map(Recorder::inodes).collect();
    networks::read(subject, &threads, budget, &mut |mut part: Look| {
        for network in &mut part.networks {
            network.sockets.retain(|socket| !own.contains(&socket.inode));
        }
        report(part);
    });
    // Last: the kernel reports of a closed connection a few milliseconds later.
    if subject.reads_recorders {
        attempts(subject, report);
    }
}

/// Reads the files that the test has put into its directory for artifacts, until `end`.
pub(crate) fn artifacts(end: Duration, report: &mut dyn FnMut(Artifact)) {
    artifacts::read(Budget::until(end), report);
}

/// Reports the attempts that the flight recorders have kept.
fn attempts(subject: &Subject<'_>, mut report: impl FnMut(Look)) {
    for (inode, recorder) in recorders(subject) {
        let attempts = Some(recorder.read());
        let network = Network { inode, attempts, ..Network::default() };
        report(Look { networks: vec![network], ..Look::default() });
    }
}

/// Returns the flight recorders, with the inodes of their networks.
fn recorders<'a>(subject: &Subject<'a>) -> impl Iterator<Item = (u64, &'a Recorder)> {
    let own = subject.own.map(|(inode, recorder)| (*inode, recorder));
    let pins = subject.pins.iter();
    own.into_iter().chain(pins.filter_map(|pin| Some((pin.inode, pin.recorder.as_ref()?))))
}
