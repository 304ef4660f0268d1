//! The mounts of a sandbox: a `/proc` and a `/sys` that show the new namespaces.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use crate::error::Failure;
use crate::isolate::{Identity, Mode, Transcript, run_dir};
use crate::sys::mount::{Access, Sys};
use crate::sys::process::Namespace;
use crate::sys::{errno, fds, mount};
use crate::userns::Maps;

/// Mounts the file systems, and notes those that are refused. Returns the `/proc` of this PID
/// namespace, if it could be mounted.
///
/// Fails if there is no user namespace and mounts cannot be made private: they would propagate to
/// the host.
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
        // In a new user namespace mounts do not propagate to the originals anyway. If even this is
        // refused (AppArmor denies every mount), the next steps report it.
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
