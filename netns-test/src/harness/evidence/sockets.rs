//! Sockets of the test that init holds, too, so that the test does not wait for their last close.
//! That takes the kernel about 20 ms for a packet socket with a ring (packet(7)).

use std::collections::VecDeque;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd as _, OwnedFd};

use crate::evidence::record::Socket;
use crate::sys::fds;
use crate::sys::process::{Pid, credentials};

/// Most sockets that are held: the two of a lab have rings of 24 MiB.
const MOST: usize = 8;

/// The sockets. They are closed when init ends, after its report.
#[derive(Debug, Default)]
pub(super) struct Sockets(VecDeque<ManuallyDrop<OwnedFd>>);

impl Sockets {
    /// Duplicates a socket of the process `body`, and lets go of the oldest if there are too many.
    /// Without the right to do so, the test waits for the close.
    pub(super) fn take(&mut self, body: Pid, socket: &Socket) {
        let Ok(found) = credentials::duplicate_from(body, socket.descriptor) else { return };
        // The process may have another file under that number by now.
        if fds::inode_of(found.as_fd()).is_ok_and(|inode| inode == socket.inode) {
            self.0.push_back(ManuallyDrop::new(found));
        }
        if self.0.len() > MOST {
            drop(self.0.pop_front().map(ManuallyDrop::into_inner));
        }
    }
}
