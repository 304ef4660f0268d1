//! The ordered steps that turn a fresh process in fresh namespaces into a place where a
//! body can run. An error names its step.
//!
//! What must hold (id maps, `lo`) is an error; what a container may forbid (mounts) is a
//! limitation, which is told with a failure and never hidden.

mod identity;
mod mounts;
mod network;
mod run_dir;

pub(crate) use identity::Identity;
pub use identity::User;

use std::os::fd::OwnedFd;

use crate::error::Failure;
use crate::sys::process::{Namespace, Pid};
use crate::sys::{errno, fds};

/// What every test gets of its own.
pub(crate) const NAMESPACES: [Namespace; 6] = [
    Namespace::User,
    Namespace::Net,
    Namespace::Mount,
    Namespace::Pid,
    Namespace::Uts,
    Namespace::Ipc,
];

/// A sandbox that is ready for its body.
#[derive(Debug)]
pub(crate) struct Sandbox {
    /// What could not be isolated.
    pub(crate) limitations: Vec<String>,
    /// The `/proc` that shows this PID namespace, whatever a body mounts over it.
    pub(crate) proc: Option<OwnedFd>,
}

/// Sets up the namespaces of the calling process, whose id maps are written: its network,
/// its `/proc`, `/sys` and `/run`.
pub(crate) fn set_up(identity: &Identity) -> Result<Sandbox, Failure> {
    let outer_pid = pid_outside();
    let mut limitations = Vec::new();
    let proc = mounts::set_up(&mut limitations);
    network::set_up(identity, &mut limitations)?;
    if let Some(pid) = outer_pid {
        if let Err(error) = give_next_child(pid) {
            let reason = errno::describe(&error);
            limitations.push(format!("process ids: write /proc/sys/kernel/ns_last_pid: {reason}"));
        }
    }
    Ok(Sandbox { limitations, proc })
}

/// This process's id in the PID namespace that `/proc` was mounted for, which is the one
/// that made the new namespaces.
fn pid_outside() -> Option<Pid> {
    std::fs::read_link("/proc/self").ok()?.to_str()?.parse().ok()
}

/// Lets the next process of this PID namespace have the id `pid`.
///
/// Programs name temporary files after their process id. In fresh PID namespaces all would
/// have the same one; the id that init has outside is unique while init lives.
fn give_next_child(pid: Pid) -> std::io::Result<()> {
    fds::write_file("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string().as_bytes())
}
