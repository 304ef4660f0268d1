//! A network namespace of a lab that init holds, so that its state can be read after the test's
//! process has ended.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use crate::evidence::record::NodeNetwork;
use crate::examine::recorder::Recorder;
use crate::sys::fds;
use crate::sys::ns::nsfs;
use crate::sys::process::Pid;

/// A network that is held.
#[derive(Debug)]
pub(crate) struct Pin {
    pub(crate) node: String,
    pub(crate) inode: u64,
    pub(crate) network: OwnedFd,
    pub(crate) recorder: Option<Recorder>,
}

impl Pin {
    /// Takes hold of a network that the process `body` has open. Returns `None` if it has closed it.
    pub(crate) fn take(proc: &OwnedFd, body: Pid, node: &NodeNetwork) -> io::Result<Option<Self>> {
        let path = format!("{body}/fd/{}", node.descriptor);
        let network = match fds::open_file_in(proc, &path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        // The process may have another file under that number by now.
        let is_it = fds::inode_of(network.as_fd())? == node.inode;
        let name = node.node.clone();
        Ok(is_it.then_some(Self { node: name, inode: node.inode, network, recorder: None }))
    }
}

/// Starts the flight recorder in networks. The calling process enters them one after the other, and
/// then its own network again.
pub(crate) fn record<'a>(pins: impl Iterator<Item = &'a mut Pin>) -> io::Result<()> {
    let mut pins = pins.peekable();
    if pins.peek().is_none() {
        return Ok(());
    }
    let own = nsfs::own_network()?;
    let mut all = pins.map(|pin| {
        nsfs::enter_network(&pin.network)?;
        pin.recorder = Some(Recorder::start()?);
        Ok(())
    });
    let started = all.try_for_each(|started: io::Result<()>| started);
    nsfs::enter_network(&own)?;
    started
}
