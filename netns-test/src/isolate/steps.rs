//! The ordered steps that turn a fresh process in fresh namespaces into a sandbox.

use std::os::fd::OwnedFd;

use crate::isolate::identity::Identity;
use crate::isolate::namespaces::Mode;
use crate::isolate::refused::{Part, Refused};
use crate::isolate::transcript::Transcript;
use crate::isolate::{mounts, network};
use crate::sys::fds;
use crate::sys::process::{Pid, unfailing};

/// Sets up the namespaces of the calling process: its id maps, unless they have been written
/// for it, its network, its `/proc`, `/sys` and `/run`. Adds what is done to `transcript`.
///
/// Gives the `/proc` that shows this PID namespace, if it is there, whatever a body mounts over
/// it.
pub(crate) fn set_up(
    identity: &Identity,
    mode: &Mode,
    transcript: &mut Transcript,
) -> Result<Option<OwnedFd>, Refused> {
    let refused = |part| move |failure| Refused { part, failure };
    let of_root = identity.maps.are_of_root();
    identity.maps.write_own().map_err(refused(Part::Maps { of_root }))?;
    // For what is made there; the body has its own.
    transcript.note("umask", "modes are the caller's", unfailing::set_umask(0o022));
    for namespace in mode.shared() {
        let name = namespace.name();
        let limitation = mode.reason(namespace).unwrap_or("it was not asked for");
        let limitation = format!("the {name} namespace is the caller's: {limitation}");
        transcript.lacks(format!("a {name} namespace"), limitation);
    }
    if !mode.is_privileged() {
        transcript.done("write uid_map and gid_map");
    }
    let proc = mounts::set_up(identity, mode, transcript).map_err(refused(Part::Mounts))?;
    network::set_up(identity, transcript)?;
    Ok(proc)
}

/// Lets the next process of this PID namespace have the id that this one has outside.
///
/// Programs name temporary files after their process id. In fresh PID namespaces all would
/// have the same one; the id that init has outside is unique while init lives.
pub(crate) fn number_next_process() -> Transcript {
    let mut transcript = Transcript::default();
    let Some(pid) = pid_outside() else { return transcript };
    let file = "/proc/sys/kernel/ns_last_pid";
    let written = fds::write_file(file, (pid - 1).to_string().as_bytes());
    transcript.note(format!("write {file}"), "process ids are not unique on the machine", written);
    transcript
}

/// Whether `lo` can be used, without a trace of the attempt.
pub(crate) fn try_loopback() -> Result<(), Refused> {
    network::try_loopback().map_err(|failure| Refused { part: Part::Sockets, failure })
}

/// Sends a byte over a TCP connection to 127.0.0.1, and leaves traces.
#[cfg(feature = "doctor")]
pub(crate) fn use_loopback() -> Result<(), Refused> {
    network::use_loopback().map_err(|failure| Refused { part: Part::Sockets, failure })
}

/// This process's id in the PID namespace that `/proc` was mounted for, which is the one
/// that made the new namespaces until there is an own `/proc`.
fn pid_outside() -> Option<Pid> {
    std::fs::read_link("/proc/self").ok()?.to_str()?.parse().ok()
}
