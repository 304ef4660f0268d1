//! Directories that a node has for itself: a tmpfs each, mounted over that of the machine. They are
//! kept while the node is off, as on a disk, except those below `/run`.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::diagnose;
use crate::error::Failure;
use crate::lab::plan::NodePlan;
use crate::sys::fds::entries;
use crate::sys::mount::mount_api;
use crate::sys::{errno, fds};

/// Copies of the mounts of a node, by the position of the directory. A directory that the node has
/// unmounted is missing.
pub(crate) type Kept = Vec<Option<OwnedFd>>;

/// Takes the directories of a node, which are on these devices. The calling thread is in its
/// mounts.
pub(crate) fn keep(node: &NodePlan, root: &OwnedFd, devices: &[u64]) -> Result<Kept, Failure> {
    let one = |path: &Path| {
        if is_emptied(path) {
            return Ok(None);
        }
        let found = match open(root, path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            found => found.map_err(failed("open", path, node))?,
        };
        let (device, _) = fds::identity(found.as_fd()).map_err(failed("stat", path, node))?;
        if !devices.contains(&device) {
            return Ok(None);
        }
        let copy = mount_api::copy_of(found.as_fd());
        copy.map(Some).map_err(failed("open_tree", path, node))
    };
    node.private_dirs.iter().map(|path| one(path)).collect()
}

/// Mounts the directories of a node: those that it had, and empty ones. Returns their devices. The
/// calling thread is in its mounts.
pub(crate) fn put(node: &NodePlan, root: &OwnedFd, kept: Kept) -> Result<Vec<u64>, Failure> {
    let kept = kept.into_iter().chain(std::iter::repeat_with(|| None));
    let one = |(path, kept): (&Path, Option<OwnedFd>)| {
        let place = open(root, path).map_err(|error| {
            let is_missing = error.kind() == io::ErrorKind::NotFound;
            let failure = failed("open", path, node)(error);
            match is_missing {
                true => {
                    failure.advise("a private directory is mounted over one: make an empty one")
                }
                false => failure,
            }
        })?;
        let mount = kept.map_or_else(|| empty(&place, path, node), Ok)?;
        mount_api::attach(&mount, place.as_fd()).map_err(failed("mount", path, node))?;
        Ok(fds::identity(mount.as_fd()).map_err(failed("stat", path, node))?.0)
    };
    node.private_dirs.iter().map(AsRef::as_ref).zip(kept).map(one).collect()
}

/// Creates a directory with the mode and the owner of that at `place`, as far as the caller can
/// give files away.
fn empty(place: &OwnedFd, path: &Path, node: &NodePlan) -> Result<OwnedFd, Failure> {
    let there = entries::metadata(place).map_err(failed("stat", path, node))?;
    if !there.is_dir() {
        let why = "it is not a directory";
        let object = format!("{} of {}", path.display(), node.name);
        return Err(Failure::new("mount", object, why).advise("name a directory"));
    }
    let mode = CString::new(format!("{:o}", there.mode() & 0o7777)).expect("digits");
    let attributes = mount_api::NO_SUID | mount_api::NO_DEV;
    let new = mount_api::new_mount(c"tmpfs", &[(c"mode", &mode)], attributes);
    let new = new.map_err(failed("mount", path, node))?;
    match entries::give(&new, Path::new("."), there.uid(), there.gid()) {
        // An id without a mapping, or a caller without the capability.
        Err(error) if !matches!(error.raw_os_error(), Some(errno::EINVAL | errno::EPERM)) => {
            Err(failed("chown", path, node)(error))
        }
        _ => Ok(new),
    }
}

/// Returns whether a machine empties the directory when it starts.
fn is_emptied(path: &Path) -> bool {
    path.starts_with("/run") || path.starts_with("/var/run")
}

fn open(root: &OwnedFd, path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    mount_api::open_inside(root.as_fd(), &path)
}

fn failed(step: &str, path: &Path, node: &NodePlan) -> impl FnOnce(io::Error) -> Failure {
    let object = format!("{} of {}", path.display(), node.name);
    move |error| diagnose::explain(step, &object, &error)
}
