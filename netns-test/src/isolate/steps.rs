//! The ordered steps that turn a new process in new namespaces into a sandbox.

use std::os::fd::OwnedFd;

use crate::isolate::identity::Identity;
use crate::isolate::namespaces::Mode;
use crate::isolate::refused::{Part, Refused};
use crate::isolate::transcript::Transcript;
use crate::isolate::{mounts, network};
use crate::sys::fds;
use crate::sys::process::{Pid, unfailing};

/// Sets up the namespaces of the calling process: id maps (unless the parent has written them),
/// network, `/proc`, `/sys` and `/run`. Adds each step to `transcript`.
///
/// Returns the `/proc` of this PID namespace, if it is mounted. It stays usable if a body mounts
/// over it.
pub(crate) fn set_up(
    identity: &Identity,
    mode: &Mode,
    transcript: &mut Transcript,
) -> Result<Option<OwnedFd>, Refused> {
    let refused = |part| move |failure| Refused { part, failure };
    let of_root = identity.maps.are_of_root();
    identity.maps.write_own().map_err(refused(Part::Maps { of_root }))?;
    // This applies to files that are created here. The body's umask is set later.
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

/// Makes the kernel assign the id that this process has outside to the next process of this PID
/// namespace.
///
/// Programs use their process id in names of temporary files, and it would be the same in all new
/// PID namespaces. The id that init has outside is unique while init lives.
pub(crate) fn number_next_process() -> Transcript {
    let mut transcript = Transcript::default();
    let Some(pid) = pid_outside() else { return transcript };
    let file = "/proc/sys/kernel/ns_last_pid";
    let written = fds::write_file(file, (pid - 1).to_string().as_bytes());
    transcript.note(format!("write {file}"), "process ids are not unique on the machine", written);
    transcript
}

/// Checks that `lo` can be used, without sending a packet.
pub(crate) fn try_loopback() -> Result<(), Refused> {
    network::try_loopback().map_err(|failure| Refused { part: Part::Sockets, failure })
}

/// Sends a byte over a TCP connection to 127.0.0.1, which changes counters.
#[cfg(feature = "doctor")]
pub(crate) fn use_loopback() -> Result<(), Refused> {
    network::use_loopback().map_err(|failure| Refused { part: Part::Sockets, failure })
}

/// Reads this process's id in the PID namespace of `/proc`, which is the parent's until this
/// namespace's `/proc` is mounted.
fn pid_outside() -> Option<Pid> {
    std::fs::read_link("/proc/self").ok()?.to_str()?.parse().ok()
}
