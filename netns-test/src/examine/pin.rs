//! A network namespace of a lab that init holds, so that its state can be read after the test's
//! process has ended.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use crate::evidence::record::NodeNetwork;
use crate::sys::fds;
use crate::sys::process::Pid;

/// A network that is held.
#[derive(Debug)]
pub(crate) struct Pin {
    /// Number of the lab.
    pub(crate) lab: u32,
    pub(crate) node: String,
    pub(crate) inode: u64,
    pub(crate) network: OwnedFd,
}

impl Pin {
    /// Takes hold of a network that the process `body` has open. Returns `None` if it has closed it.
    pub(crate) fn take(
        proc: &OwnedFd,
        body: Pid,
        lab: u32,
        node: &NodeNetwork,
    ) -> io::Result<Option<Self>> {
        let path = format!("{body}/fd/{}", node.descriptor);
        let network = match fds::open_file_in(proc, &path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        // The process may have another file under that number by now.
        let is_it = fds::inode_of(network.as_fd())? == node.inode;
        let name = node.node.clone();
        Ok(is_it.then_some(Self { lab, node: name, inode: node.inode, network }))
    }
}
