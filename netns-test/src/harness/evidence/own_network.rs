//! The flight recorder of the test's own network, which records before the test can send.

use std::os::fd::{AsFd as _, OwnedFd};

use crate::examine::recorder::Recorder;
use crate::examine::recorder::trap::Trap;
use crate::sys::fds;
use crate::sys::ns::nsfs;

/// The recorder of init's network, which is the test's.
#[derive(Debug)]
pub(crate) struct OwnNetwork {
    /// None if the kernel has refused it. The number is the inode of the network.
    pub(super) recorder: Option<(u64, Recorder)>,
    /// Sentence about what is not recorded.
    pub(super) gap: Option<String>,
}

impl OwnNetwork {
    /// Starts to record in the network of the calling process, with a trap for sends without a
    /// route if it `traps`.
    pub(crate) fn record(traps: bool) -> Self {
        let (trap, gap) = match traps.then(Trap::set) {
            Some(Err(failure)) => (None, Some(format!("sends without a route: {failure}"))),
            trap => (trap.and_then(Result::ok), None),
        };
        Self { recorder: recorder(trap).ok(), gap }
    }

    /// Returns the descriptors that must stay open.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = &OwnedFd> {
        self.recorder.iter().flat_map(|(_, recorder)| recorder.descriptors())
    }
}

fn recorder(trap: Option<Trap>) -> std::io::Result<(u64, Recorder)> {
    let inode = fds::inode_of(nsfs::own_network()?.as_fd())?;
    Ok((inode, Recorder::start()?.with_trap(trap)))
}
