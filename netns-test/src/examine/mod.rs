//! Reads the state of a test's processes and networks, in the examiner: a child of init that ends
//! afterwards.

pub(crate) mod networks;
pub(crate) mod pin;
pub(crate) mod processes;
pub(crate) mod recorder;

use std::os::fd::OwnedFd;

use crate::evidence::facts::network::Network;
use crate::evidence::facts::{Look, Reason};
use crate::examine::pin::Pin;
use crate::examine::recorder::Recorder;
use crate::sys::process::{Pid, progress};

/// What a look reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sources<'a> {
    /// The PID namespace's `/proc`.
    pub(crate) proc: &'a OwnedFd,
    pub(crate) body: Pid,
    /// Networks of nodes.
    pub(crate) pins: &'a [&'a Pin],
    /// Flight recorder of the test's own network.
    pub(crate) own: Option<&'a Recorder>,
}

/// Looks at processes and networks.
pub(crate) fn look(reason: Reason, sources: &Sources<'_>) -> Look {
    let mut look = Look { at: progress::now(), reason, ..Look::default() };
    // First: sockets are gone with their processes, and a thread goes on meanwhile.
    processes::read(sources, &mut look);
    networks::read(sources, &mut look);
    // Last: the kernel tells of a closed connection a few milliseconds later.
    attempts(sources, &mut look);
    look
}

/// Adds what the flight recorders have kept.
fn attempts(sources: &Sources<'_>, look: &mut Look) {
    let own = sources.own.map(|recorder| (0, recorder));
    let others = sources.pins.iter().filter_map(|pin| Some((pin.inode, pin.recorder.as_ref()?)));
    for (inode, recorder) in own.into_iter().chain(others) {
        let is_it = |network: &&mut Network| match inode {
            0 => network.node.is_empty(),
            _ => network.inode == inode,
        };
        if let Some(network) = look.networks.iter_mut().find(is_it) {
            network.attempts = Some(recorder.read());
        }
    }
}
