//! The entries of a directory: listed and inspected without following links, and created in another
//! directory.
//!
//! Every path is one name below a directory descriptor, or a path below a directory that the
//! caller alone writes to. So no link that another process puts on the way is followed.

use std::ffi::{CStr, CString, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::{FchmodatFlags, Mode};

/// The kind of a directory entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Directory,
    File,
    Link,
    Socket,
    /// A FIFO or a device.
    Other,
}

/// The attributes of a directory entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) kind: Kind,
    /// The permission bits, with set-user-ID, set-group-ID and sticky.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) size: u64,
    pub(crate) changed: Changed,
    /// The mount that the entry belongs to. Linux before 5.8 shows only the device.
    pub(crate) mount: MountId,
}

/// The time of the last change of an inode, in seconds and nanoseconds.
pub(crate) type Changed = (i64, i64);

/// The number of a mount, as `/proc/self/mountinfo` has it, or of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MountId {
    Mount(u64),
    Device(u32, u32),
}

/// A directory that is open to be listed, and to look at its entries.
pub(crate) struct Directory(nix::dir::Dir);

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Directory {
    /// Opens the directory at `path`.
    pub(crate) fn at(path: &Path) -> io::Result<Self> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Ok(Self(nix::dir::Dir::open(path, flags, Mode::empty())?))
    }

    /// Opens the directory `name` in this one, which must not be a link.
    pub(crate) fn open(&self, name: &CStr) -> io::Result<Self> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        Ok(Self(nix::dir::Dir::openat(&self.0, name, flags, Mode::empty())?))
    }

    /// Lists the names, with their kinds where the file system says so.
    pub(crate) fn list(&mut self) -> io::Result<Vec<(CString, Option<Kind>)>> {
        let mut entries = Vec::new();
        for entry in self.0.iter() {
            let entry = entry?;
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                entries.push((entry.file_name().to_owned(), entry.file_type().map(Kind::from)));
            }
        }
        Ok(entries)
    }

    /// Looks at the entry `name`, without following it, and without asking a server of files (FUSE,
    /// NFS), which may not answer.
    pub(crate) fn look(&self, name: &CStr) -> io::Result<Found> {
        look_at(self.0.as_raw_fd(), name, 0)
    }

    /// Reads the regular file `name`, which had this size; nothing if it has grown.
    pub(crate) fn read(&self, name: &CStr, size: usize) -> io::Result<Option<Vec<u8>>> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let file = nix::fcntl::openat(&self.0, name, flags | OFlag::O_NOCTTY, Mode::empty())?;
        let mut content = vec![0; size + 1];
        let length = nix::unistd::read(&file, &mut content)?;
        content.truncate(length);
        Ok((length <= size).then_some(content))
    }

    /// Reads the target of the symbolic link `name`.
    pub(crate) fn read_link(&self, name: &CStr) -> io::Result<OsString> {
        Ok(nix::fcntl::readlinkat(&self.0, name)?)
    }
}

impl From<nix::dir::Type> for Kind {
    fn from(kind: nix::dir::Type) -> Self {
        match kind {
            nix::dir::Type::Directory => Self::Directory,
            nix::dir::Type::File => Self::File,
            nix::dir::Type::Symlink => Self::Link,
            nix::dir::Type::Socket => Self::Socket,
            _ => Self::Other,
        }
    }
}

/// Looks at what is open.
pub(crate) fn look_at_itself(file: impl AsFd) -> io::Result<Found> {
    look_at(file.as_fd().as_raw_fd(), c"", libc::AT_EMPTY_PATH)
}

/// Looks up when what a path leads to has changed; the last component is not followed.
pub(crate) fn changed(path: &Path) -> io::Result<Changed> {
    Ok(look_at(libc::AT_FDCWD, &crate::sys::fds::c_path(path)?, 0)?.changed)
}

fn look_at(directory: libc::c_int, path: &CStr, more: libc::c_int) -> io::Result<Found> {
    let flags = libc::AT_SYMLINK_NOFOLLOW | libc::AT_STATX_DONT_SYNC | more;
    let wanted = libc::STATX_BASIC_STATS | libc::STATX_MNT_ID;
    // SAFETY: zero bytes are a valid `statx`.
    let mut found: libc::statx = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel reads a C string that lives through the call, and writes one `statx`.
    let result = unsafe {
        libc::syscall(libc::SYS_statx, directory, path.as_ptr(), flags, wanted, &raw mut found)
    };
    match Errno::result(result) {
        Ok(_) => {}
        // Linux before 4.11, or a seccomp filter that does not know the call.
        Err(Errno::ENOSYS | Errno::EPERM) => return look_without_statx(directory, path, more),
        Err(errno) => return Err(errno.into()),
    }
    let mode = u32::from(found.stx_mode);
    let mount = match found.stx_mask & libc::STATX_MNT_ID {
        0 => MountId::Device(found.stx_dev_major, found.stx_dev_minor),
        _ => MountId::Mount(found.stx_mnt_id),
    };
    Ok(Found {
        kind: kind_of(mode),
        mode: mode & 0o7777,
        uid: found.stx_uid,
        gid: found.stx_gid,
        size: found.stx_size,
        changed: (found.stx_ctime.tv_sec, i64::from(found.stx_ctime.tv_nsec)),
        mount,
    })
}

fn look_without_statx(directory: libc::c_int, path: &CStr, more: libc::c_int) -> io::Result<Found> {
    // SAFETY: zero bytes are a valid `stat`.
    let mut found: libc::stat = unsafe { std::mem::zeroed() };
    let flags = libc::AT_SYMLINK_NOFOLLOW | more;
    // SAFETY: the kernel reads a C string that lives through the call, and writes one `stat`.
    let result = unsafe { libc::fstatat(directory, path.as_ptr(), &raw mut found, flags) };
    Errno::result(result)?;
    Ok(Found {
        kind: kind_of(found.st_mode),
        mode: found.st_mode & 0o7777,
        uid: found.st_uid,
        gid: found.st_gid,
        size: u64::try_from(found.st_size).unwrap_or_default(),
        changed: (wide(found.st_ctime), wide(found.st_ctime_nsec)),
        mount: MountId::Device(libc::major(found.st_dev), libc::minor(found.st_dev)),
    })
}

/// Of the types of `stat`, which are smaller on other machines.
fn wide(number: impl Into<i64>) -> i64 {
    number.into()
}

fn kind_of(mode: u32) -> Kind {
    match mode & libc::S_IFMT {
        libc::S_IFDIR => Kind::Directory,
        libc::S_IFREG => Kind::File,
        libc::S_IFLNK => Kind::Link,
        libc::S_IFSOCK => Kind::Socket,
        _ => Kind::Other,
    }
}

/// Makes a directory at `path` below `directory`. The umask of the caller is zero.
pub(crate) fn make_directory(directory: &OwnedFd, path: &Path, mode: u32) -> io::Result<()> {
    let wanted = Mode::from_bits_truncate(mode);
    nix::sys::stat::mkdirat(directory, path, wanted)?;
    // mkdir(2) passes these over.
    if wanted.intersects(Mode::S_ISGID | Mode::S_ISUID) {
        set_mode(directory, path, mode)?;
    }
    Ok(())
}

/// Makes a file with this content at `path` below `directory`. The umask of the caller is zero.
pub(crate) fn make_file(
    directory: &OwnedFd,
    path: &Path,
    mode: u32,
    content: &[u8],
) -> io::Result<()> {
    use std::io::Write as _;
    if content.is_empty() {
        let (kind, mode) = (nix::sys::stat::SFlag::S_IFREG, Mode::from_bits_truncate(mode));
        return Ok(nix::sys::stat::mknodat(directory, path, kind, mode, 0)?);
    }
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
    let file = nix::fcntl::openat(directory, path, flags, Mode::from_bits_truncate(mode))?;
    std::fs::File::from(file).write_all(content)
}

/// Makes a symbolic link to `target` at `path` below `directory`.
pub(crate) fn make_link(directory: &OwnedFd, path: &Path, target: &Path) -> io::Result<()> {
    Ok(nix::unistd::symlinkat(target, directory, path)?)
}

/// Changes user and group of the entry at `path` below `directory`.
pub(crate) fn give(directory: &OwnedFd, path: &Path, uid: u32, gid: u32) -> io::Result<()> {
    let (uid, gid) = (nix::unistd::Uid::from_raw(uid), nix::unistd::Gid::from_raw(gid));
    let flags = AtFlags::AT_SYMLINK_NOFOLLOW;
    Ok(nix::unistd::fchownat(directory, path, Some(uid), Some(gid), flags)?)
}

/// Returns the metadata of an open file, which can be a place.
#[cfg(feature = "lab")]
pub(crate) fn metadata(fd: &OwnedFd) -> io::Result<std::fs::Metadata> {
    std::fs::File::from(fd.try_clone()?).metadata()
}

/// Sets the permission bits of what is at `path` below `directory`.
pub(crate) fn set_mode(directory: &OwnedFd, path: &Path, mode: u32) -> io::Result<()> {
    let (mode, flags) = (Mode::from_bits_truncate(mode), FchmodatFlags::FollowSymlink);
    Ok(nix::sys::stat::fchmodat(directory, path, mode, flags)?)
}
