//! A mount tree of its own, with a `/proc` and a `/sys` that show the new namespaces.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use super::run_dir;
use crate::sys::{errno, fds, mount};

/// Mounts what can be mounted, and adds the rest to `limitations`; the `/proc` of this PID
/// namespace, if there is one now.
pub(super) fn set_up(limitations: &mut Vec<String>) -> Option<OwnedFd> {
    let mut note = |what: &str, error: &io::Error| {
        limitations.push(format!("{what}: {}", errno::describe(error)));
    };
    // If even this is refused (AppArmor denies every mount), each of the next will tell.
    if let Err(error) = mount::make_all_private() {
        note("mounts of the host still come through: make / private", &error);
    }
    let proc =
        own_proc().inspect_err(|error| note("/proc shows the host's processes: mount proc", error));
    if let Err(error) = own_sys() {
        note("/sys shows the host's interfaces: mount sysfs", &error);
    }
    for directory in run_dir::directories() {
        if let Err(error) = run_dir::make_private(directory) {
            note(
                &format!("{} is the host's in part: make it private", directory.display()),
                &error,
            );
        }
    }
    proc.ok()
}

fn own_proc() -> io::Result<OwnedFd> {
    let proc = Path::new("/proc");
    mount::kernel_file_system("proc", proc)?;
    fds::open_directory(proc)
}

/// Keeps the control groups, which are mounted below `/sys`: programs size their thread
/// pools by them.
fn own_sys() -> io::Result<()> {
    let cgroups = Path::new("/sys/fs/cgroup");
    let kept = if mount::is_mount_point(cgroups) { mount::copy_tree(cgroups)? } else { None };
    mount::kernel_file_system("sysfs", Path::new("/sys"))?;
    match kept {
        Some(tree) => mount::attach(&tree, cgroups),
        None => Ok(()),
    }
}
