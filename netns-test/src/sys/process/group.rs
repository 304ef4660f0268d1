//! A process group for one process that does not lead it.
//!
//! The leader of a group cannot create a session (setsid(2)), which daemons and their tests do. The
//! group of PID 1 of a namespace has the id 1, so that `killpg(getpgrp(), ..)` in it would be
//! `kill(-1, ..)`, which reaches every process. So the group takes its id from a process that is
//! created for this and ends at once.

use std::ffi::c_void;
use std::io;

use nix::errno::Errno;
use nix::unistd::{Pid as NixPid, setpgid};

use crate::sys::process;
use crate::sys::process::{Pid, SingleThreaded};

/// Size of the stack for a function that does nothing, in bytes.
const STACK: usize = 16 << 10;

#[repr(align(16))]
struct Stack([u8; STACK]);

/// Process group in the calling process's session. It exists as long as this value, and after that
/// as long as it has members.
#[derive(Debug)]
pub(crate) struct Group {
    /// Process that has ended. It is reaped when this value is dropped, which keeps the id in use.
    leader: Pid,
}

impl Group {
    /// Creates a group whose leader has ended.
    ///
    /// The leader shares this process's memory (`CLONE_VM`), so that nothing is copied, and this
    /// process waits for its end (`CLONE_VFORK`). The end sends no signal.
    pub(crate) fn new(_: &SingleThreaded) -> io::Result<Self> {
        let mut stack = Stack([0; STACK]);
        // SAFETY: the pointer is to the end of the array, which is in bounds. Stacks grow down.
        let top = unsafe { stack.0.as_mut_ptr().add(STACK) };
        let flags = libc::CLONE_VM | libc::CLONE_VFORK;
        // SAFETY: the child runs a function that does nothing, on a stack that outlives it, while
        // this process waits. There is no other thread that it could disturb.
        let leader = unsafe { libc::clone(end, top.cast(), flags, std::ptr::null_mut()) };
        let group = Self { leader: Errno::result(leader)? };
        setpgid(NixPid::from_raw(group.leader), NixPid::from_raw(0))?;
        Ok(group)
    }

    /// Moves a child of this process to the group. The child must not have called execve(2).
    pub(crate) fn take_in(&self, child: Pid) -> io::Result<()> {
        Ok(setpgid(NixPid::from_raw(child), NixPid::from_raw(self.leader))?)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        process::reap_aside(self.leader);
    }
}

extern "C" fn end(_: *mut c_void) -> libc::c_int {
    0
}
