//! The files by which hosts know each other: `/etc/hosts`, and a resolver that asks nobody else. They
//! are mounted over those of the machine, in the mounts of the lab alone.

use std::ffi::CStr;
use std::fs;
use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::error::Failure;
use crate::isolation::{Mode, isolation};
use crate::sys::{errno, fds, mount, tree};

/// No name server: a name that is not the lab's is unknown at once, since nobody listens there.
const RESOLVER: &str = "# This network has no name server.\n";

/// Puts the files in place, in the mounts of the calling thread.
pub(super) fn put(hosts: &str) -> Result<(), Failure> {
    let failed = |step| move |error: io::Error| errno::failure(step, "the files of a lab", &error);
    mount::make_all_private()
        .or_else(|_| mount::make_all_private_around())
        .map_err(failed("make private"))?;
    let store = tree::new_mount(c"tmpfs", &[(c"mode", c"0755")], tree::NO_SUID | tree::NO_DEV)
        .map_err(failed("mount"))?;
    let files = [
        (c"hosts", c"etc/hosts", Some(hosts.to_owned())),
        (c"resolv.conf", c"etc/resolv.conf", Some(RESOLVER.to_owned())),
        (c"nsswitch.conf", c"etc/nsswitch.conf", switch()),
    ];
    for (name, _, content) in &files {
        if let Some(content) = content {
            let written = tree::write_new(store.as_fd(), name, content.as_bytes(), 0o644);
            written.map_err(failed("write"))?;
        }
    }
    // A file can only be mounted from where it has a path; each host covers this one anyway.
    let root = fds::open_place(Path::new("/")).map_err(failed("open"))?;
    let sys = tree::open_inside(root.as_fd(), c"sys").map_err(failed("open"))?;
    tree::attach(&store, sys.as_fd()).map_err(failed("mount"))?;
    for (name, place, content) in &files {
        if content.is_some() {
            cover(&root, &store, name, place)?;
        }
    }
    mount::detach(Path::new("/sys")).map_err(failed("umount"))
}

/// `/etc/hosts` of the caller itself, covered until this is dropped.
#[derive(Debug)]
pub(in crate::lab) struct Covered {
    by: PathBuf,
    is_mounted: bool,
}

/// Covers the caller's own `/etc/hosts`, if it is the body of a test: in any other process that would
/// change the machine's.
pub(super) fn put_for_local(hosts: &str) -> Result<Option<Covered>, Failure> {
    if isolation().mode() == Mode::Outside {
        return Ok(None);
    }
    // It has a /run of its own, or goes without.
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let (pid, number) = (crate::sys::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let own = Path::new("/run").join(format!(".hosts-{pid}-{number}"));
    let failed =
        |step| move |error: io::Error| errno::failure(step, "/etc/hosts of the test", &error);
    // From here on it is removed, whatever comes. Not before: nothing can be mounted on a file that
    // has no name, as the files of the hosts are on this one.
    let mut covered = Covered { by: own, is_mounted: false };
    fs::write(&covered.by, hosts).map_err(failed("write"))?;
    mount::bind(&covered.by, Path::new("/etc/hosts")).map_err(failed("mount"))?;
    covered.is_mounted = true;
    Ok(Some(covered))
}

impl Drop for Covered {
    fn drop(&mut self) {
        // What could be done about an error: the mount ends with the test.
        if self.is_mounted {
            drop(mount::detach(Path::new("/etc/hosts")));
        }
        drop(fs::remove_file(&self.by));
    }
}

/// Mounts the file `name` of `store` on the one at `place`, if there is one.
fn cover(
    root: &std::os::fd::OwnedFd,
    store: &std::os::fd::OwnedFd,
    name: &CStr,
    place: &CStr,
) -> Result<(), Failure> {
    let object = format!("/{}", place.to_string_lossy());
    let failed = |error: io::Error| errno::failure("mount", object.clone(), &error);
    let target = match tree::open_inside(root.as_fd(), place) {
        Ok(target) => target,
        // Without the first one nobody would be known; what a program does without the others is as
        // good.
        Err(error) if error.kind() == io::ErrorKind::NotFound && name != c"hosts" => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    let file = tree::open_in(store, name).map_err(failed)?;
    let copy = tree::copy_of(file.as_fd()).map_err(failed)?;
    tree::attach(&copy, target.as_fd()).map_err(failed)
}

/// The machine's rules for names, but that hosts are found in files: other services are asked
/// first on some machines, and answer from another network.
fn switch() -> Option<String> {
    let text = fs::read_to_string("/etc/nsswitch.conf").ok()?;
    let lines = text.lines().map(|line| {
        if line.trim_start().starts_with("hosts:") { "hosts: files dns" } else { line }
    });
    Some(lines.map(|line| format!("{line}\n")).collect())
}
