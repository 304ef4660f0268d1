//! Directories that are written to by name, without following a link that another process has put
//! there.

use std::fs::File;
use std::io;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::Mode;
use nix::unistd::UnlinkatFlags;

/// Most levels of directories that are removed.
const DEEPEST: usize = 32;

/// Entry of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// With its number of bytes.
    Regular(u64),
    Directory,
    /// With its kind.
    Other(&'static str),
}

/// A directory that is open. Every name is one component.
#[derive(Debug)]
pub(crate) struct Folder(OwnedFd);

impl Folder {
    /// Opens the directory at `path`, which may be a link.
    pub(crate) fn at(path: &Path) -> io::Result<Self> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Ok(Self(nix::fcntl::open(path, flags, Mode::empty())?))
    }

    /// Opens the directory `name`.
    pub(crate) fn open(&self, name: &str) -> io::Result<Self> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        Ok(Self(nix::fcntl::openat(&self.0, name, flags, Mode::empty())?))
    }

    /// Makes the directory `name` for its owner only, unless it exists, and opens it.
    pub(crate) fn make(&self, name: &str) -> io::Result<Self> {
        match nix::sys::stat::mkdirat(&self.0, name, Mode::S_IRWXU) {
            Ok(()) | Err(Errno::EEXIST) => self.open(name),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Writes the new file `name` for its owner only.
    pub(crate) fn write_new(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW;
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        let file = nix::fcntl::openat(&self.0, name, flags | OFlag::O_CLOEXEC, mode)?;
        File::from(file).write_all(content)
    }

    /// Reads at most `most` bytes of the regular file `name`.
    pub(crate) fn read(&self, name: &str, most: usize) -> io::Result<Vec<u8>> {
        let flags = regular() | OFlag::O_NOFOLLOW;
        read(nix::fcntl::openat(&self.0, name, flags, Mode::empty())?, most)
    }

    /// Moves the entry `from` to `to`, in the place of what is there if that is not a directory
    /// with content.
    pub(crate) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(nix::fcntl::renameat(&self.0, from, &self.0, to)?)
    }

    /// Removes the entry `name` with all that is in it.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        self.remove_from(name, DEEPEST)
    }

    /// Lists the names that are valid UTF-8.
    pub(crate) fn names(&self) -> io::Result<Vec<String>> {
        let names = crate::sys::fds::names_in(&self.0)?;
        Ok(names.into_iter().filter(|name| name != "." && name != "..").collect())
    }

    /// Lists at most `most` names that are valid UTF-8. Returns whether there are more.
    pub(crate) fn first_names(&self, most: usize) -> io::Result<(Vec<String>, bool)> {
        crate::sys::fds::limited::first_names_in(&self.0, ".", most)
    }

    /// Returns kind and size of the entry `name`, and not of what a link leads to.
    pub(crate) fn entry(&self, name: &str) -> io::Result<Entry> {
        let data = nix::sys::stat::fstatat(&self.0, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
        Ok(match data.st_mode & libc::S_IFMT {
            libc::S_IFREG => Entry::Regular(data.st_size.try_into().unwrap_or(0)),
            libc::S_IFDIR => Entry::Directory,
            libc::S_IFLNK => Entry::Other("a link"),
            libc::S_IFIFO => Entry::Other("a FIFO"),
            libc::S_IFSOCK => Entry::Other("a socket"),
            _ => Entry::Other("a device"),
        })
    }

    fn remove_from(&self, name: &str, depth: usize) -> io::Result<()> {
        match nix::unistd::unlinkat(&self.0, name, UnlinkatFlags::NoRemoveDir) {
            // EPERM: POSIX's error for a directory.
            Err(Errno::EISDIR | Errno::EPERM) => {}
            Ok(()) | Err(Errno::ENOENT) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        }
        let depth = depth.checked_sub(1).ok_or(Errno::ELOOP)?;
        let inner = self.open(name)?;
        for entry in inner.names()? {
            inner.remove_from(&entry, depth)?;
        }
        Ok(nix::unistd::unlinkat(&self.0, name, UnlinkatFlags::RemoveDir)?)
    }
}

/// Reads the regular file at `path`, if it has at most `most` bytes.
pub(crate) fn read_regular(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    let content = read(nix::fcntl::open(path, regular(), Mode::empty())?, most + 1)?;
    if content.len() > most { Err(Errno::EFBIG.into()) } else { Ok(content) }
}

/// Flags for a file that may turn out to be no regular one, such as a FIFO without a writer.
fn regular() -> OFlag {
    OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC
}

fn read(file: OwnedFd, most: usize) -> io::Result<Vec<u8>> {
    let kind = nix::sys::stat::fstat(file.as_fd())?.st_mode & libc::S_IFMT;
    if kind != libc::S_IFREG {
        return Err(Errno::EINVAL.into());
    }
    let mut content = Vec::new();
    File::from(file).take(most as u64).read_to_end(&mut content)?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::path::PathBuf;

    fn scratch(name: &str) -> PathBuf {
        let path =
            std::env::temp_dir().join(format!("netns-test-folder-{name}-{}", std::process::id()));
        drop(fs::remove_dir_all(&path));
        fs::create_dir(&path).unwrap();
        path
    }

    #[test]
    fn files_are_written_for_their_owner() {
        let path = scratch("write");
        let inner = Folder::at(&path).unwrap().make("a").unwrap();
        inner.write_new("b", b"text").unwrap();
        assert!(inner.write_new("b", b"more").is_err());
        assert_eq!(inner.read("b", 3).unwrap(), b"tex");
        let mode = |path: &str| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let path = path.to_str().unwrap();
        assert_eq!(mode(&format!("{path}/a")), 0o700);
        assert_eq!(mode(&format!("{path}/a/b")), 0o600);
        Folder::at(Path::new(path)).unwrap().remove("a").unwrap();
        fs::remove_dir(path).unwrap();
    }

    #[test]
    fn links_are_not_followed() {
        let (path, other) = (scratch("links"), scratch("other"));
        fs::write(other.join("kept"), "").unwrap();
        symlink(&other, path.join("link")).unwrap();
        symlink(other.join("new"), path.join("file")).unwrap();
        let folder = Folder::at(&path).unwrap();
        assert!(folder.make("link").is_err());
        assert!(folder.write_new("file", b"").is_err());
        assert!(folder.read("file", 1).is_err());
        folder.remove("link").unwrap();
        assert!(other.join("kept").exists() && !other.join("new").exists());
        fs::remove_dir_all(path).unwrap();
        fs::remove_dir_all(other).unwrap();
    }
}
