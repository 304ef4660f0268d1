//! A mount tree of its own, with a `/proc` and a `/sys` that show the new namespaces.

use std::io;
use std::path::Path;

use super::run_dir;
use crate::sys::{errno, mount};

/// What came of it.
#[derive(Debug)]
pub(super) struct Mounted {
    pub(super) own_proc: bool,
}

/// Mounts what can be mounted, and adds the rest to `limitations`.
pub(super) fn set_up(limitations: &mut Vec<String>) -> Mounted {
    let mut note = |what: &str, result: io::Result<()>| {
        let done = result.is_ok();
        if let Err(error) = result {
            limitations.push(format!("{what}: {}", errno::describe(&error)));
        }
        done
    };
    // If even this is refused (AppArmor denies every mount), each of the next will tell.
    note("mounts of the host still come through: make / private", mount::make_all_private());
    let own_proc = note("/proc shows the host's processes: mount proc", own_proc());
    note("/sys shows the host's interfaces: mount sysfs", own_sys());
    for directory in run_dir::directories() {
        let what = format!("{} is the host's: make it private", directory.display());
        note(&what, run_dir::make_private(directory));
    }
    Mounted { own_proc }
}

fn own_proc() -> io::Result<()> {
    mount::kernel_file_system("proc", Path::new("/proc"))
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
