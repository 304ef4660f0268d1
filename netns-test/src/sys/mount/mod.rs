//! Mounts, in the mount namespace of the caller (mount(2), `open_tree(2)`).

pub(crate) mod mount_api;

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::mount::MsFlags;

/// `OPEN_TREE_CLOEXEC` of linux/mount.h, which is `O_CLOEXEC`.
const OPEN_TREE_CLOEXEC: libc::c_int = libc::O_CLOEXEC;

/// The access to a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

/// Cuts every mount off from the namespace it was copied from, in both directions.
pub(crate) fn make_all_private() -> io::Result<()> {
    let flags = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    // The kernel ignores the type here; valgrind reports one that is no string.
    Ok(nix::mount::mount(None::<&str>, "/", Some("none"), flags, None::<&str>)?)
}

/// The same in a process whose root is not that of its mount namespace (chroot(2)), where a
/// path does not lead to every mount. The mount namespace must be the process's own.
///
/// After an error the root may be another one: the process must end.
pub(crate) fn make_all_private_around() -> io::Result<()> {
    let root = crate::sys::fds::open_place(Path::new("/"))?;
    let directory = crate::sys::fds::open_place(Path::new("."))?;
    let flags = nix::fcntl::OFlag::O_RDONLY | nix::fcntl::OFlag::O_CLOEXEC;
    let own = nix::fcntl::open("/proc/self/ns/mnt", flags, nix::sys::stat::Mode::empty())?;
    // To enter a mount namespace, also the own one, is to go to its root.
    nix::sched::setns(own, nix::sched::CloneFlags::CLONE_NEWNS)?;
    let result = make_all_private();
    nix::unistd::fchdir(&root)?;
    nix::unistd::chroot(".")?;
    nix::unistd::fchdir(&directory)?;
    result
}

/// Shows what is at `source`, with the mounts below it, at `target` as well.
pub(crate) fn bind(source: &Path, target: &Path) -> io::Result<()> {
    let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
    Ok(nix::mount::mount(Some(source), target, None::<&str>, flags, None::<&str>)?)
}

/// Makes the mount at `target` shared: mounts below it propagate to its peers.
pub(crate) fn make_shared(target: &Path) -> io::Result<()> {
    let flags = MsFlags::MS_SHARED | MsFlags::MS_REC;
    Ok(nix::mount::mount(None::<&str>, target, None::<&str>, flags, None::<&str>)?)
}

/// Unmounts `target` lazily (`MNT_DETACH`), even if it is in use.
pub(crate) fn detach(target: &Path) -> io::Result<()> {
    Ok(nix::mount::umount2(target, nix::mount::MntFlags::MNT_DETACH)?)
}

/// Unmounts the mount whose root is `place` lazily, even if it is in use, and even if its path
/// leads to another mount by now.
///
/// EINVAL for a place that is the root of no mount of the caller's mount namespace any more.
pub(crate) fn detach_open(place: BorrowedFd<'_>) -> io::Result<()> {
    let path = format!("/proc/self/fd/{}", place.as_raw_fd());
    Ok(nix::mount::umount2(&*path, nix::mount::MntFlags::MNT_DETACH)?)
}

/// Mounts a new instance of the kernel's file system `kind` (`proc`, `sysfs`).
pub(crate) fn kernel_file_system(kind: &str, target: &Path, access: Access) -> io::Result<()> {
    let mut flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    flags.set(MsFlags::MS_RDONLY, access == Access::Read);
    Ok(nix::mount::mount(Some(kind), target, Some(kind), flags, None::<&str>)?)
}

/// The result of mounting a `/sys` of the caller's network, with the kernel's reason if it is
/// limited.
#[derive(Debug)]
pub(crate) enum Sys {
    Whole,
    /// Only a read-only one, as in a container whose `/sys` is read-only.
    ReadOnly(io::Error),
    Refused(io::Error),
}

/// Mounts a `/sys` of the caller's network.
pub(crate) fn own_sys() -> Sys {
    match sys_with_groups(Access::Write) {
        Ok(()) => Sys::Whole,
        Err(error) if sys_with_groups(Access::Read).is_ok() => Sys::ReadOnly(error),
        Err(error) => Sys::Refused(error),
    }
}

/// Keeps the control groups, which are mounted below `/sys`: programs size their thread
/// pools by them.
fn sys_with_groups(access: Access) -> io::Result<()> {
    let groups = Path::new("/sys/fs/cgroup");
    let kept = if is_mount_point(groups) { copy_tree(groups)? } else { None };
    let sys = Path::new("/sys");
    kernel_file_system("sysfs", sys, access)?;
    let Some(kept) = kept else { return Ok(()) };
    // All or nothing.
    attach(&kept, groups).inspect_err(|_| drop(detach(sys)))
}

/// Mounts an empty tmpfs that the caller owns, with `mode=0755`.
pub(crate) fn tmpfs(target: &Path) -> io::Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    Ok(nix::mount::mount(Some("tmpfs"), target, Some("tmpfs"), flags, Some("mode=0755"))?)
}

/// A copy of the mounts at and below `source`, attached nowhere.
///
/// `None` where the kernel does not know the call (Linux before 5.2).
pub(crate) fn copy_tree(source: &Path) -> io::Result<Option<OwnedFd>> {
    let path = crate::sys::fds::c_path(source)?;
    let flags = libc::OPEN_TREE_CLONE as libc::c_int | OPEN_TREE_CLOEXEC | libc::AT_RECURSIVE;
    // SAFETY: the path is a C string that lives through the call.
    let fd = unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) };
    match Errno::result(fd) {
        Ok(fd) => Ok(Some(crate::sys::fds::adopt(i32::try_from(fd).map_err(io::Error::other)?))),
        Err(Errno::ENOSYS) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// Attaches a copy of [`copy_tree`].
pub(crate) fn attach(tree: &OwnedFd, target: &Path) -> io::Result<()> {
    let path = crate::sys::fds::c_path(target)?;
    // SAFETY: both paths are C strings that live through the call; the empty one makes the
    // kernel take the tree itself.
    let result = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_FDCWD,
            path.as_ptr(),
            libc::MOVE_MOUNT_F_EMPTY_PATH,
        )
    };
    Errno::result(result)?;
    Ok(())
}

/// Makes the mount at `target` read-only, and keeps its other attributes: those that came from
/// another user namespace cannot be cleared. (The kernel keeps the access time options if none is
/// set.)
pub(crate) fn remount_read_only(target: &Path) -> io::Result<()> {
    use nix::sys::statvfs::FsFlags;
    let has = nix::sys::statvfs::statvfs(target)?.flags();
    let mut flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
    for (found, kept) in [
        (FsFlags::ST_NOSUID, MsFlags::MS_NOSUID),
        (FsFlags::ST_NODEV, MsFlags::MS_NODEV),
        (FsFlags::ST_NOEXEC, MsFlags::MS_NOEXEC),
    ] {
        flags.set(kept, has.contains(found));
    }
    Ok(nix::mount::mount(None::<&str>, target, None::<&str>, flags, None::<&str>)?)
}

/// Returns whether `path` is a mount point, by its device.
pub(crate) fn is_mount_point(path: &Path) -> bool {
    let device = |path: &Path| nix::sys::stat::stat(path).map(|stat| stat.st_dev);
    match (device(path), path.parent().map(device)) {
        (Ok(own), Some(Ok(parent))) => own != parent,
        _ => false,
    }
}

/// Reads a path of mountinfo (proc(5)): blanks, tabs, newlines and backslashes are written as three
/// octal digits.
pub(crate) fn unescaped(field: &[u8]) -> Vec<u8> {
    let (mut plain, mut rest) = (Vec::new(), field);
    while let [first, after @ ..] = rest {
        let number = after.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match number.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if *first == b'\\' => {
                plain.push(byte);
                rest = &after[3..];
            }
            _ => {
                plain.push(*first);
                rest = after;
            }
        }
    }
    plain
}
