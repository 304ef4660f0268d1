//! A `/run` of the sandbox's own: `ip netns add` can write there, what programs need from
//! the host's is still found, and the resolvers' sockets, a way out, are not.
//!
//! The host's directory is moved to `/run/.host`, and each of its entries is a symbolic
//! link to there.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::sys::mount;

/// Where the host's directory is found.
const HOST: &str = ".host";

/// Where `ip netns` has its names.
const NAMES: &str = "netns";

/// Places of the host's directory that are covered: names of its namespaces, and sockets
/// through which a resolver of the host answers.
const COVERED: [&str; 5] = [NAMES, "nscd", "nslcd", "avahi-daemon", "systemd/resolve"];

/// A file that is copied into a covered place (`resolv.conf`) is smaller than this.
const LARGEST_COPY: u64 = 64 << 10;

/// Names and what is in them.
type Files = Vec<(PathBuf, Vec<u8>)>;

/// The directories to make private: `/run`, and `/var/run` where it is another one.
pub(super) fn directories() -> impl Iterator<Item = &'static Path> {
    let (run, var_run) = (Path::new("/run"), Path::new("/var/run"));
    let is_directory = |path: &&Path| fs::symlink_metadata(path).is_ok_and(|data| data.is_dir());
    [run, var_run].into_iter().filter(is_directory)
}

/// The directories whose entries are looked at.
pub(super) fn sources() -> impl Iterator<Item = PathBuf> {
    let covered = |run: &'static Path| COVERED.iter().map(move |name| run.join(name));
    directories().flat_map(move |run| std::iter::once(run.to_owned()).chain(covered(run)))
}

/// Makes `directory` private.
pub(super) fn make_private(directory: &Path) -> io::Result<()> {
    let entries = names(directory)?;
    let old = mount::copy_tree(directory)?;
    mount::tmpfs(directory)?;
    // Linux before 5.2 cannot bring the old entries back: an empty directory then.
    let Some(old) = old else { return Ok(()) };
    let host = directory.join(HOST);
    fs::create_dir(&host)?;
    mount::attach(&old, &host)?;
    // One entry that cannot be had is no reason to go without the others.
    let links = entries
        .iter()
        .filter(|name| is_linked(name))
        .map(|name| symlink(Path::new(HOST).join(name), directory.join(name)));
    let linked = links.fold(Ok(()), io::Result::and);
    let is_there = |covered: &&&str| {
        Path::new(covered)
            .iter()
            .next()
            .is_some_and(|first| entries.iter().any(|name| name.as_os_str() == first))
    };
    let covered = COVERED.iter().filter(is_there).map(|covered| cover(&host.join(covered)));
    linked.and(covered.fold(Ok(()), io::Result::and))
}

/// The directories that answer from the host's network, with the files that are still wanted of
/// them: for who keeps the host's `/run`.
pub(crate) fn name_services() -> Vec<(PathBuf, Files)> {
    let names = || COVERED.iter().filter(|name| **name != NAMES);
    let all = directories().flat_map(|run| names().map(move |name| run.join(name)));
    all.filter(|path| path.is_dir()).map(|path| (path.clone(), small_files(&path))).collect()
}

/// Whether an entry of the host's directory is wanted. A sandbox within a sandbox finds a
/// [`HOST`] there already.
fn is_linked(name: &Path) -> bool {
    // By the names as they are: a comparison of paths takes them apart, for each of many entries.
    let name = name.as_os_str();
    name != HOST && !COVERED.iter().any(|covered| name == *covered)
}

fn names(directory: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name().into())).collect()
}

/// Puts an empty directory over `directory`, if there is one, with copies of its small
/// files: `/etc/resolv.conf` may be a link to one of them.
fn cover(directory: &Path) -> io::Result<()> {
    if !directory.is_dir() {
        return Ok(());
    }
    let files = small_files(directory);
    mount::tmpfs(directory)?;
    for (name, content) in files {
        fs::write(directory.join(name), content)?;
    }
    Ok(())
}

/// What can be read of the files in `directory`; the caller may not see all of them.
fn small_files(directory: &Path) -> Files {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let regular = entries.flatten().filter(|entry| {
        entry.metadata().is_ok_and(|data| data.is_file() && data.len() < LARGEST_COPY)
    });
    regular
        .filter_map(|entry| Some((entry.file_name().into(), fs::read(entry.path()).ok()?)))
        .collect()
}
