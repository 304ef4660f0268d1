//! The files of nodes in `/etc`. They are mounted over those of the machine, in the mounts of the
//! lab only.

pub(crate) mod local;
pub(crate) mod names;
pub(crate) mod own;

use std::ffi::CStr;
use std::fs;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use crate::diagnose;
use crate::error::Failure;
use crate::sys::mount::mount_api;
use crate::sys::process::Namespace;
use crate::sys::{fds, mount};

/// Path of the names of nodes.
pub(crate) const HOSTS: &str = "/etc/hosts";

/// Path of the configuration of the resolver.
pub(crate) const RESOLVER: &str = "/etc/resolv.conf";

/// Cuts the mounts of the calling thread off from the caller's, and mounts the file that all nodes
/// have in common: the sources of names.
pub(crate) fn put() -> Result<(), Failure> {
    let failed =
        |step| move |error: io::Error| diagnose::explain(step, "the files of a lab", &error);
    mount::make_all_private()
        .or_else(|_| mount::make_all_private_around())
        .map_err(failed("make private"))?;
    let Some(switch) = switch() else { return Ok(()) };
    let store = store()?;
    let name = c"nsswitch.conf";
    let written = mount_api::write_new(store.as_fd(), name, switch.as_bytes(), 0o644);
    written.map_err(failed("write"))?;
    let root = fds::open_place(Path::new("/")).map_err(failed("open"))?;
    on_sys(&root, &store, || cover(&root, &store, name, c"etc/nsswitch.conf"))
}

/// Returns the failure of a step on a file of the node `name`.
fn failed(step: &str, object: &str, name: &str) -> impl FnOnce(io::Error) -> Failure {
    move |error| diagnose::explain(step, &format!("{object} of {name}"), &error)
}

/// Creates the file system of the files, detached.
fn store() -> Result<OwnedFd, Failure> {
    let attributes = mount_api::NO_SUID | mount_api::NO_DEV;
    let store = mount_api::new_mount(c"tmpfs", &[(c"mode", c"0755")], attributes);
    // The kernel makes a mount namespace for it.
    store.map_err(|error| {
        diagnose::explain_unshare("mount", "the files of a lab", &[Namespace::Mount], &error)
    })
}

/// Does `work` while the files of `store` have a path: only such a file can be mounted. `/sys` is
/// free for that in these mounts.
fn on_sys<T>(
    root: &OwnedFd,
    store: &OwnedFd,
    work: impl FnOnce() -> Result<T, Failure>,
) -> Result<T, Failure> {
    let failed =
        |step| move |error: io::Error| diagnose::explain(step, "the files of a lab", &error);
    let sys = mount_api::open_inside(root.as_fd(), c"sys").map_err(failed("open"))?;
    mount_api::attach(store, sys.as_fd()).map_err(failed("mount"))?;
    let done = work()?;
    mount::detach(Path::new("/sys")).map_err(failed("umount"))?;
    Ok(done)
}

/// Replaces the content of a file. A concurrent reader never sees an empty file.
pub(crate) fn rewrite(path: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    file.write_all(text.as_bytes())?;
    file.set_len(text.len() as u64)
}

/// Mounts the file `name` of `store` over the one at `place`, if that exists.
fn cover(root: &OwnedFd, store: &OwnedFd, name: &CStr, place: &CStr) -> Result<(), Failure> {
    let object = format!("/{}", place.to_string_lossy());
    let failed = |step| {
        let object = object.as_str();
        move |error: io::Error| diagnose::explain(step, object, &error)
    };
    let target = match mount_api::open_inside(root.as_fd(), place) {
        Ok(target) => target,
        // Without `/etc/hosts` no node would be found. A program works without the other files.
        Err(error) if error.kind() == io::ErrorKind::NotFound && name != c"hosts" => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let advice = "a lab mounts the names of its nodes over that file: make an empty one";
            return Err(failed("open")(error).advise(advice));
        }
        Err(error) => return Err(failed("open")(error)),
    };
    let file = mount_api::open_in(store, name).map_err(failed("open"))?;
    let copy = mount_api::copy_of(file.as_fd()).map_err(failed("open_tree"))?;
    mount_api::attach(&copy, target.as_fd()).map_err(failed("mount"))
}

/// Sources of host names: files, then a name server. On some machines other services are asked
/// first, and they answer from another network. An unreachable name server is a temporary failure
/// for `getaddrinfo` (`EAI_AGAIN`), which clients retry. The last source, the files once more,
/// turns it into "no such name".
const SOURCES: &str = "hosts: files dns files\n";

/// Returns the machine's `/etc/nsswitch.conf` with these sources of host names, or none if the
/// machine has no such file.
fn switch() -> Option<String> {
    let text = fs::read_to_string("/etc/nsswitch.conf").ok()?;
    let is_of_hosts = |line: &str| {
        let rest = line.trim_start().strip_prefix("hosts");
        rest.is_some_and(|rest| rest.trim_start().starts_with(':'))
    };
    let kept = text.lines().filter(|line| !is_of_hosts(line)).map(|line| format!("{line}\n"));
    Some(kept.chain([SOURCES.to_owned()]).collect())
}
