//! A process group that is made for one process, and that the process does not lead.
//!
//! A leader cannot make a session (setsid(2)), which daemons and tests of them do. The group of
//! process 1 of a PID namespace has the number 1, so `killpg(getpgrp(), ..)` in it is `kill(-1,
//! ..)`, which reaches every process. So a group needs a number of its own: that of a process which
//! only lives for this.

use std::ffi::c_void;
use std::io;

use nix::errno::Errno;
use nix::unistd::{Pid as NixPid, setpgid};

use crate::sys::process;
use crate::sys::process::{Pid, SingleThreaded};

/// Room for a function that does nothing.
const STACK: usize = 16 << 10;

#[repr(align(16))]
struct Stack([u8; STACK]);

/// A new process group of the calling process's session. It lasts as long as this value, and then
/// as long as it has members.
#[derive(Debug)]
pub(crate) struct Group {
    /// A process that has ended, and is reaped with this value: it keeps the number.
    leader: Pid,
}

impl Group {
    /// Makes a group whose leader has ended.
    ///
    /// The leader shares this process's memory, which makes it cheap, and this process waits until
    /// it has ended (`CLONE_VM`, `CLONE_VFORK`). Its end sends no signal.
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

    /// Moves a child of this process, which runs the same program, to the group.
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
