//! A mount tree of its own, with a `/proc` and a `/sys` that show the new namespaces.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use crate::error::Failure;
use crate::isolate::{Identity, Mode, Transcript, run_dir};
use crate::sys::mount::{Access, Sys};
use crate::sys::process::Namespace;
use crate::sys::{errno, fds, mount};
use crate::userns::Maps;

/// Mounts what can be mounted, and notes the rest; the `/proc` of this PID namespace, if there
/// is one now.
///
/// An error where the mounts of a caller without a user namespace cannot be cut off from the
/// host's: what is mounted here would be mounted there.
pub(crate) fn set_up(
    identity: &Identity,
    mode: &Mode,
    transcript: &mut Transcript,
) -> Result<Option<OwnedFd>, Failure> {
    debug_assert!(mode.has(Namespace::Mount), "it is needed");
    make_private(mode, transcript)?;
    let proc = transcript.note("mount proc", "/proc shows the host's processes", own_proc());
    own_sys(transcript);
    let keeps_owners = !matches!(identity.maps, Maps::One { .. });
    run_dir::set_up(keeps_owners, transcript);
    Ok(proc)
}

fn make_private(mode: &Mode, transcript: &mut Transcript) -> Result<(), Failure> {
    let step = "make / private";
    if !mode.is_privileged() {
        // In a new user namespace the mounts send nothing to those they were copied from.
        // If even this is refused (AppArmor denies every mount), each of the next will tell.
        let without = "mounts of the host still come through";
        transcript.note(step, without, mount::make_all_private());
        return Ok(());
    }
    mount::make_all_private()
        .or_else(|_| mount::make_all_private_around())
        .map_err(|error| errno::failure("make private", "the mounts of the test", &error))?;
    transcript.done(step);
    Ok(())
}

fn own_proc() -> io::Result<OwnedFd> {
    let proc = Path::new("/proc");
    mount::kernel_file_system("proc", proc, Access::Write)?;
    fds::open_directory(proc)
}

fn own_sys(transcript: &mut Transcript) {
    let step = "mount sysfs";
    match mount::own_sys() {
        Sys::Whole => transcript.done(step),
        Sys::ReadOnly(error) => {
            let limitation = format!("/sys is read-only: {step}: {}", errno::describe(&error));
            transcript.lacks("mount sysfs, read-only", limitation);
        }
        Sys::Refused(error) => {
            transcript.note(step, "/sys shows the host's interfaces", Err::<(), _>(error));
        }
    }
}
