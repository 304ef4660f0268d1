//! A network namespace of a lab, and init's hold of it, so that its state can be read after the
//! test's process has ended.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use crate::evidence::record::NodeNetwork;
use crate::examine::processes::stat::stat;
use crate::examine::recorder::Recorder;
use crate::examine::recorder::trap::Trap;
use crate::sys::fds;
use crate::sys::ns::nsfs;
use crate::sys::process::Pid;

/// A network of a node.
#[derive(Debug)]
pub(crate) struct Pin {
    pub(crate) node: String,
    pub(crate) inode: u64,
    /// Descriptor of the namespace in the test's process.
    descriptor: i32,
    /// None for a network that may not be held.
    pub(crate) network: Option<OwnedFd>,
    pub(crate) recorder: Option<Recorder>,
}

impl Pin {
    /// Notes a network without opening it.
    pub(crate) fn note(node: &NodeNetwork) -> Self {
        let (name, inode, descriptor) = (node.node.clone(), node.inode, node.descriptor);
        Self { node: name, inode, descriptor, network: None, recorder: None }
    }

    /// Opens a network that the process `body` has open. Returns `None` if it has closed it.
    pub(crate) fn take(proc: &OwnedFd, body: Pid, node: &NodeNetwork) -> io::Result<Option<Self>> {
        let noted = Self::note(node);
        let network = match fds::open_file_in(proc, &noted.path(body)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            // What a process that has ended had open is refused, or not found.
            Err(_) if has_ended(proc, body) => return Ok(None),
            other => other?,
        };
        // The process may have another file under that number by now.
        let is_it = fds::inode_of(network.as_fd())? == node.inode;
        Ok(is_it.then_some(Self { network: Some(network), ..noted }))
    }

    /// Returns the path of the network below `/proc`, while the process `body` has it open.
    pub(super) fn path(&self, body: Pid) -> String {
        format!("{body}/fd/{}", self.descriptor)
    }
}

/// Returns whether a process has ended, be it reaped or not.
fn has_ended(proc: &OwnedFd, pid: Pid) -> bool {
    let text = fds::read_in(proc, &format!("{pid}/stat")).unwrap_or_default();
    stat(&text).is_none_or(|known| matches!(known.state.as_str(), "Z" | "X"))
}

/// Starts the flight recorder in the networks that are held and have none, with a trap if `traps`.
/// The calling process enters them one after the other, and then its own network again. Returns the
/// sentences about traps that could not be set.
pub(crate) fn record(pins: &mut [Pin], traps: bool) -> io::Result<Vec<String>> {
    let is_new = |pin: &&mut Pin| pin.recorder.is_none() && pin.network.is_some();
    let mut new = pins.iter_mut().filter(is_new).peekable();
    let mut refused = Vec::new();
    if new.peek().is_none() {
        return Ok(refused);
    }
    let own = nsfs::own_network()?;
    let started = new.try_for_each(|pin| {
        pin.network.as_ref().map_or(Ok(()), nsfs::enter_network)?;
        let trap = if traps { Trap::set().map(Some) } else { Ok(None) };
        let trap = trap.unwrap_or_else(|failure| {
            refused.push(format!("sends without a route from {}: {failure}", pin.node));
            None
        });
        pin.recorder = Some(Recorder::start()?.with_trap(trap));
        Ok(())
    });
    nsfs::enter_network(&own)?;
    started.map(|()| refused)
}
