//! The sandbox's own `/run`. Programs find the machine's entries there, can write everywhere, and
//! change nothing on the machine.
//!
//! Each directory is a new one, at every level, and small files are copies. So a daemon can bind
//! its default socket and write its PID file, even if the same daemon runs on the machine. The
//! machine's sockets and large files are symbolic links into `/run/.host`, a read-only view of the
//! machine's directory. Sockets of resolvers are left out, since they lead out of the test's
//! network.

pub(crate) mod machine;
pub(crate) mod mounted;
pub(crate) mod rules;

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use crate::isolate::Transcript;
use crate::isolate::run_dir::machine::{Content, Machine, What};
use crate::isolate::run_dir::mounted::Mounted;
use crate::isolate::run_dir::rules::{COVERED, HOST, LARGEST_COPY, NAMES};
use crate::sys::fds::entries;
use crate::sys::fds::entries::{Changed, Directory};
use crate::sys::mount::mount_api;
use crate::sys::process::credentials;
use crate::sys::{errno, fds, mount, process};

/// Names of files with their contents.
type Files = Vec<(PathBuf, Vec<u8>)>;

/// Returns the directories to make private: `/run`, and `/var/run` where it is not a link.
fn directories() -> impl Iterator<Item = &'static Path> {
    let (run, var_run) = (Path::new("/run"), Path::new("/var/run"));
    let is_directory = |path: &&Path| fs::symlink_metadata(path).is_ok_and(|data| data.is_dir());
    [run, var_run].into_iter().filter(is_directory)
}

/// Lists everything from which a sandbox's `/run` is built, with the time of its last change.
pub(crate) fn changes() -> io::Result<Vec<(PathBuf, Changed)>> {
    let mut all = Vec::new();
    for directory in directories() {
        let mut opened = Directory::at(directory)?;
        all.extend(Machine::read(directory, &mut opened, Content::Ignored)?.changed);
    }
    Ok(all)
}

/// Makes every directory of [`directories`] private. `keeps_owners` is true if the sandbox has the
/// machine's ids.
pub(crate) fn set_up(keeps_owners: bool, transcript: &mut Transcript) {
    let mut done = None;
    for directory in directories() {
        let without = format!("{} is the host's in part", directory.display());
        let step = format!("a tmpfs on {}", directory.display());
        let made = make_private(directory, &mut done, keeps_owners);
        if let Some(Some(error)) = transcript.note(step, &without, made) {
            let reason = errno::describe(&error);
            let directory = directory.display();
            let limitation = format!("{directory} is without the host's sockets: {reason}");
            transcript.lacks(format!("{directory}/{HOST}"), limitation);
        }
    }
}

/// Makes `directory` private, unless it is the same one as `done`. A failure of [`show_host`] is
/// not an error but the `Ok` value: the directory is private without it.
fn make_private(
    directory: &'static Path,
    done: &mut Option<(&'static Path, (u64, u64))>,
    keeps_owners: bool,
) -> io::Result<Option<io::Error>> {
    let mut opened = Directory::at(directory)?;
    let identity = fds::identity(opened.as_fd())?;
    match done {
        // One directory, mounted at both paths, remains one.
        Some((other, same)) if *same == identity => {
            return mount::bind(other, directory).map(|()| None);
        }
        _ => *done = Some((directory, identity)),
    }
    let machine = Machine::read(directory, &mut opened, Content::Read)?;
    let old = mount::copy_tree(directory)?;
    let is_protected =
        old.as_ref().is_some_and(|old| mount_api::make_read_only(old.as_fd()).is_ok());
    if old.is_some() && !is_protected {
        machine.mounted();
    }
    mount::tmpfs(directory)?;
    let own = fds::open_directory(directory)?;
    // Before Linux 5.2 the machine's directory cannot be attached again (open_tree(2)).
    let shown = old.map(|old| show_host(directory, &old, is_protected, &machine)).transpose();
    let has_host = matches!(shown, Ok(Some(())));
    let umask = credentials::change_umask(0);
    let made = build(&own, &machine, has_host, keeps_owners);
    credentials::change_umask(umask);
    made.map(|()| shown.err())
}

/// Attaches the machine's directory at `.host`, read-only and without the directories of resolvers.
fn show_host(
    directory: &Path,
    old: &OwnedFd,
    is_protected: bool,
    machine: &Machine,
) -> io::Result<()> {
    let host = directory.join(HOST);
    fs::create_dir(&host)?;
    mount::attach(old, &host)?;
    let protected = if is_protected {
        let others = machine.known_mounts().into_iter().flat_map(Mounted::writable_of_others);
        others.map(|path| host.join(path)).try_for_each(|path| {
            reached(
                fds::open_anything(&path).and_then(|place| mount_api::make_writable(place.as_fd())),
            )
        })
    } else {
        // Linux before 5.12, or a seccomp filter that does not know the call.
        let mut own = machine.mounted().writable_of_machine().map(|path| host.join(path));
        own.try_for_each(|path| reached(mount::remount_read_only(&path)))
    };
    let covered = protected.and_then(|()| {
        // The directories of resolvers may be links within the machine's directory.
        let places = COVERED.iter().filter_map(|name| fs::canonicalize(host.join(name)).ok());
        places.filter(|place| place.starts_with(&host)).try_for_each(|place| cover(&place))
    });
    // Without protection the directory is not shown.
    covered.inspect_err(|_| drop(mount::detach(&host)))
}

/// Ignores the error for a mount that the caller cannot reach by a path.
fn reached(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if is_out_of_reach(&error) => Ok(()),
        other => other,
    }
}

fn is_out_of_reach(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(errno::EACCES)) || error.kind() == io::ErrorKind::NotFound
}

/// Creates the entries of the sandbox's directory.
fn build(own: &OwnedFd, machine: &Machine, has_host: bool, keeps_owners: bool) -> io::Result<()> {
    let ids = process::effective_ids();
    let one = |entry: &machine::Entry| {
        let path = entry.path.as_path();
        let owner = match &entry.what {
            What::Directory { mode, owner } => {
                entries::make_directory(own, path, mode | 0o700)?;
                *owner
            }
            What::File { mode, owner, content } => {
                entries::make_file(own, path, (mode & 0o777) | 0o600, content)?;
                *owner
            }
            What::Link { target } => return entries::make_link(own, path, Path::new(target)),
            What::Host if has_host => {
                return entries::make_link(own, path, &rules::link_to_host(path));
            }
            What::Host => return Ok(()),
        };
        let is_own = owner == ids || !keeps_owners;
        if is_own { Ok(()) } else { give(own, path, owner, &entry.what) }
    };
    // An entry that fails does not prevent the others.
    machine.entries.iter().map(one).fold(Ok(()), io::Result::and)
}

/// Sets the owner of an entry to that of the machine's entry. Skips this if the id is not mapped,
/// or the capability is missing.
fn give(own: &OwnedFd, path: &Path, (uid, gid): (u32, u32), what: &What) -> io::Result<()> {
    match entries::give(own, path, uid, gid) {
        Err(error) if matches!(error.raw_os_error(), Some(errno::EINVAL | errno::EPERM)) => {
            return Ok(());
        }
        other => other?,
    }
    match what {
        // A change of the owner clears the set-id bits.
        What::Directory { mode, .. } if mode & 0o6000 != 0 => {
            entries::set_mode(own, path, mode | 0o700)
        }
        _ => Ok(()),
    }
}

/// Lists the directories of name services, which answer from the host's network, with the files to
/// keep: for a sandbox with the host's `/run`.
pub(crate) fn name_services() -> Vec<(PathBuf, Files)> {
    let names = || COVERED.iter().filter(|name| **name != NAMES);
    let all = directories().flat_map(|run| names().map(move |name| run.join(name)));
    all.filter(|path| path.is_dir()).map(|path| (path.clone(), small_files(&path))).collect()
}

/// Mounts an empty tmpfs over `directory`, with copies of its small files: `/etc/resolv.conf` may
/// be a link to one of them.
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

/// Reads the small files in `directory`, as far as the caller may read them.
fn small_files(directory: &Path) -> Files {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let regular = entries.flatten().filter(|entry| {
        entry.metadata().is_ok_and(|data| data.is_file() && data.len() <= LARGEST_COPY as u64)
    });
    regular
        .filter_map(|entry| Some((entry.file_name().into(), fs::read(entry.path()).ok()?)))
        .collect()
}
