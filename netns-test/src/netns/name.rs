//! The file of a name, and the mount on it: creation, recognition and removal.
//!
//! A mount is unmounted by descriptor, because its path may lead to another mount by then. There is
//! no such call for a file, so its inode is compared before unlink(2). A race remains between the
//! two calls, but the kernel does not unlink a mount point (EBUSY).

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use crate::error::{Error, Failure, Result};
use crate::sys::fds::entries;
use crate::sys::ns::nsfs;
use crate::sys::ns::nsfs::Kind;
use crate::sys::process::Namespace;
use crate::sys::{errno, fds, mount};

/// A file that this process created, and the mount on it. Dropping it removes both.
#[derive(Debug)]
pub(crate) struct Name {
    pub(crate) path: PathBuf,
    pub(crate) is_kept: bool,
    /// The file. While it is open its inode is not reused.
    file: OwnedFd,
    mounted: Option<OwnedFd>,
}

/// The kind of file at the path of a name.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Network,
    /// An empty file, as a crash leaves it.
    Stale,
    /// Another file; the text says what it is.
    Other(String),
}

impl Name {
    /// Creates the file, which must not exist. With `replaces_stale`, a file that a crash has left
    /// is replaced.
    pub(crate) fn take(path: PathBuf, replaces_stale: bool) -> Result<Self> {
        let made = create_new(&path).or_else(|error| {
            let is_replaced = error.kind() == io::ErrorKind::AlreadyExists
                && replaces_stale
                && look(&path).is_ok_and(|(_, found)| found == Found::Stale);
            if is_replaced {
                fs::remove_file(&path)?;
                return create_new(&path);
            }
            Err(error)
        });
        match made {
            Ok(file) => Ok(Self { path, is_kept: false, file, mounted: None }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let failure = errno::failure("create", path.display().to_string(), &error);
                Err(failure.advise(taken_by(&path)).into())
            }
            Err(error) => Err(failed("create", &path, &error)),
        }
    }

    /// Mounts the network namespace of the calling thread on the file.
    pub(crate) fn mount_own_network(&mut self) -> Result<()> {
        let mounted = mount::bind(Path::new("/proc/thread-self/ns/net"), &self.path);
        mounted.map_err(|error| failed("mount a namespace on", &self.path, &error))?;
        let opened = fds::open_anything(&self.path);
        // It was mounted a moment ago.
        let opened = opened.inspect_err(|_| drop(mount::detach(&self.path)));
        self.mounted = Some(opened.map_err(|error| failed("open", &self.path, &error))?);
        Ok(())
    }

    fn take_away(&self) -> io::Result<()> {
        if let Some(mounted) = &self.mounted {
            let there = fds::open_anything(&self.path)?;
            // MNT_DETACH also unmounts what has been mounted over it.
            if mount_and_inode(&there)? == mount_and_inode(mounted)? {
                match mount::detach_open(mounted.as_fd()) {
                    // Another process has unmounted it.
                    Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
                    other => other?,
                }
            }
        }
        let own = fds::identity(self.file.as_fd())?;
        let there = fds::open_anything(&self.path)?;
        if fds::identity(there.as_fd())? == own { fs::remove_file(&self.path) } else { Ok(()) }
    }
}

fn mount_and_inode(file: &OwnedFd) -> io::Result<(entries::MountId, (u64, u64))> {
    Ok((entries::look_at_itself(file)?.mount, fds::identity(file.as_fd())?))
}

impl Drop for Name {
    fn drop(&mut self) {
        if !self.is_kept {
            // Another process may have done it; no caller is left to learn of any other error.
            drop(self.take_away());
        }
    }
}

/// Takes a name away that was made anywhere, also a stale one. What is no name is left as it is.
pub(crate) fn take_away(path: &Path) -> Result<()> {
    let failed = |error: io::Error| failed("take away", path, &error);
    let refused =
        |what| Failure::new("take away", path.display().to_string(), format!("it is {what}"));
    let (there, found) = look(path).map_err(failed)?;
    match found {
        Found::Network => mount::detach_open(there.as_fd()).map_err(failed)?,
        Found::Stale => return fs::remove_file(path).map_err(failed),
        Found::Other(what) => {
            return Err(refused(format!("{what}, and no name of a network namespace")).into());
        }
    }
    drop(there);
    match look(path) {
        Ok((_, Found::Stale)) => fs::remove_file(path).map_err(failed),
        // Another process has made the name anew.
        Ok((_, Found::Network)) => Ok(()),
        Ok((_, Found::Other(what))) => {
            let advice = format!("the namespace on it is unmounted, and {what} is left");
            Err(refused(what).advise(advice).into())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

/// Makes a file as iproute2 does: with no right to read or write it.
fn create_new(path: &Path) -> io::Result<OwnedFd> {
    use std::os::unix::fs::OpenOptionsExt as _;
    fs::OpenOptions::new().write(true).create_new(true).mode(0o000).open(path).map(OwnedFd::from)
}

fn taken_by(path: &Path) -> String {
    match look(path) {
        Ok((_, Found::Network)) => "a namespace of that name is there".to_owned(),
        Ok((_, Found::Other(what))) => format!("{what} is there, and no name of a namespace"),
        _ => "a file is there, but no namespace is mounted on it: a crash may have left it \
              (`replace_stale` takes its place)"
            .to_owned(),
    }
}

/// Opens what is at a path as a place, and says what it is.
fn look(path: &Path) -> io::Result<(OwnedFd, Found)> {
    let there = fds::open_anything(path)?;
    let found = match nsfs::kind_of_place(&there)? {
        Kind::Namespace(Namespace::Net) => Found::Network,
        Kind::Namespace(other) => Found::Other(format!("a {} namespace", other.name())),
        Kind::OtherNamespace => Found::Other("another kind of namespace".to_owned()),
        Kind::Other(what) => {
            let data = entries::look_at_itself(&there)?;
            let directory = fds::open_place(path.parent().unwrap_or(Path::new("/")))?;
            let is_mounted = entries::look_at_itself(&directory)?.mount != data.mount;
            match (data.kind, is_mounted) {
                (entries::Kind::File, false) if data.size == 0 => Found::Stale,
                (entries::Kind::File, false) => Found::Other("a file that is not empty".to_owned()),
                (entries::Kind::Link, _) => Found::Other("a symbolic link".to_owned()),
                (_, false) => Found::Other(what.to_owned()),
                (_, true) => Found::Other(format!("{what} with another file system mounted on it")),
            }
        }
    };
    Ok((there, found))
}

pub(crate) fn failed(step: &str, path: &Path, error: &io::Error) -> Error {
    errno::failure(step, path.display().to_string(), error).into()
}
