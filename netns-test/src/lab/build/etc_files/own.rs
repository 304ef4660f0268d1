//! The files of one node in `/etc`, mounted over those of the machine. They are those of a disk:
//! they are kept while the node is off.

use std::ffi::CStr;
use std::fs;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::diagnose;
use crate::error::Failure;
use crate::lab::build::etc_files::{HOSTS, RESOLVER, cover, failed, on_sys, rewrite, store};
use crate::lab::build::private_dirs;
use crate::lab::fabric::node::{Made, NodeFiles, Texts};
use crate::lab::impair::hash;
use crate::lab::plan::NodePlan;
use crate::sys::fds;
use crate::sys::lock::lock;
use crate::sys::mount::mount_api;

/// Names of the files in the store of a node, with their places.
const PLACES: [(&CStr, &CStr); 4] = [
    (c"hosts", c"etc/hosts"),
    (c"resolv.conf", c"etc/resolv.conf"),
    (c"hostname", c"etc/hostname"),
    (c"machine-id", c"etc/machine-id"),
];

/// The files of a node whose power was cut, for its next namespaces. Each is missing if the node
/// has unmounted it.
#[derive(Debug)]
pub(crate) struct Kept {
    files: NodeFiles,
    mounts: [Option<OwnedFd>; 4],
    dirs: private_dirs::Kept,
}

/// Takes the files and directories of a node. The calling thread is in its mounts.
pub(crate) fn keep(node: &NodePlan, made: &Made) -> Result<Kept, Failure> {
    let name = node.name.as_str();
    let root = fds::open_place(Path::new("/")).map_err(failed("open", "/", name))?;
    let files = lock(&made.files).clone();
    let mut mounts = [const { None }; 4];
    for ((_, place), mount) in PLACES.iter().zip(&mut mounts) {
        let object = format!("/{}", place.to_string_lossy());
        let found = match mount_api::open_inside(root.as_fd(), place) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            found => found.map_err(failed("open", &object, name))?,
        };
        let (device, _) = fds::identity(found.as_fd()).map_err(failed("stat", &object, name))?;
        if files.devices.contains(&device) {
            let copy = mount_api::copy_of(found.as_fd());
            *mount = Some(copy.map_err(failed("open_tree", &object, name))?);
        }
    }
    let dirs = private_dirs::keep(node, &root, &files.devices)?;
    Ok(Kept { files, mounts, dirs })
}

/// Mounts the files and directories of a node that has no `/sys` yet: those that it had, and new
/// ones. The calling thread is in its mounts.
pub(crate) fn put(
    node: &NodePlan,
    texts: &Texts,
    kept: Option<Kept>,
) -> Result<NodeFiles, Failure> {
    let name = node.name.as_str();
    let root = fds::open_place(Path::new("/")).map_err(failed("open", "/", name))?;
    let (mut files, mut is_kept) = (NodeFiles::of(texts.clone()), [false; 4]);
    let (mut devices, mut dirs) = (Vec::new(), Vec::new());
    if let Some(kept) = kept {
        (files, dirs) = (kept.files, kept.dirs);
        for (((_, place), mount), is_kept) in PLACES.iter().zip(kept.mounts).zip(&mut is_kept) {
            let Some(mount) = mount else { continue };
            let object = format!("/{}", place.to_string_lossy());
            let place = mount_api::open_inside(root.as_fd(), place);
            let place = place.map_err(failed("open", &object, name))?;
            mount_api::attach(&mount, place.as_fd()).map_err(failed("mount", &object, name))?;
            devices.push(fds::identity(mount.as_fd()).map_err(failed("stat", &object, name))?.0);
            *is_kept = true;
        }
        // The new files have the new texts, and those that are kept get them when the node is on.
        if !is_kept[0] {
            files.texts.hosts = texts.hosts.clone();
        }
        if !is_kept[1] {
            files.texts.resolver = texts.resolver.clone();
        }
    }
    if is_kept != [true; 4] {
        devices.push(put_new(node, texts, &root, is_kept)?);
    }
    devices.extend(private_dirs::put(node, &root, dirs)?);
    files.devices = devices;
    Ok(files)
}

/// Mounts new files, except those that are kept. Returns their device.
fn put_new(
    node: &NodePlan,
    texts: &Texts,
    root: &OwnedFd,
    is_kept: [bool; 4],
) -> Result<u64, Failure> {
    let name = node.name.as_str();
    let hostname = node.hostname.as_ref().unwrap_or(&node.name);
    let contents = [
        texts.hosts.to_string(),
        texts.resolver.to_string(),
        format!("{hostname}\n"),
        hash::machine_id(hostname) + "\n",
    ];
    let store = store()?;
    let all = PLACES.iter().zip(contents).zip(is_kept).filter(|(_, is_kept)| !is_kept);
    let all: Vec<_> = all.map(|((places, content), _)| (places, content)).collect();
    for ((file, place), content) in &all {
        let object = format!("/{}", place.to_string_lossy());
        let written = mount_api::write_new(store.as_fd(), file, content.as_bytes(), 0o644);
        written.map_err(failed("write", &object, name))?;
    }
    on_sys(root, &store, || {
        if !is_kept[1] {
            let marked = fs::File::open("/sys/resolv.conf").and_then(|file| mark(&file));
            marked.map_err(failed("set the time of", RESOLVER, name))?;
        }
        all.iter().try_for_each(|((file, at), _)| cover(root, &store, file, at))
    })?;
    Ok(fds::identity(store.as_fd()).map_err(failed("stat", "the files", name))?.0)
}

/// Replaces the texts of the node `name`, where the lab has written the ones that are there. The
/// calling thread is in the node's mounts.
pub(crate) fn update(name: &str, files: &mut NodeFiles, new: &Texts) -> Result<(), Failure> {
    let NodeFiles { devices, texts } = files;
    let both =
        [(HOSTS, &mut texts.hosts, &new.hosts), (RESOLVER, &mut texts.resolver, &new.resolver)];
    for (path, old, new) in both {
        if old == new {
            continue;
        }
        if is_written_by_lab(path, devices, old) {
            let refused = |error: io::Error| {
                diagnose::explain_shortage("write", &format!("{path} of {name}"), &error)
            };
            let written = rewrite(path.as_ref(), new).and_then(|()| fs::File::open(path));
            written.and_then(|file| mark(&file)).map_err(refused)?;
        }
        *old = new.clone();
    }
    Ok(())
}

/// Sets a time of a file that no other file of this process has, to the nanosecond. The resolver of
/// the C library compares inode, size and times, but not the device, to see that it has another
/// file than before. Files of two nodes can be equal in all of these.
fn mark(file: &fs::File) -> io::Result<()> {
    static LAST: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let part = LAST.fetch_add(1, Ordering::Relaxed) % 1_000_000_000;
    file.set_modified(UNIX_EPOCH + Duration::new(now, part))
}

/// Returns whether a file is one of the lab, with the text that the lab has written. A file that
/// cannot be read is none.
fn is_written_by_lab(path: &str, devices: &[u64], text: &str) -> bool {
    fs::metadata(path).is_ok_and(|data| devices.contains(&data.dev()))
        && fs::read(path).is_ok_and(|content| content == text.as_bytes())
}
