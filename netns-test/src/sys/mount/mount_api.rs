//! Mounts by descriptor (`fsopen(2)`, `open_tree(2)`, `move_mount(2)`): no symbolic link on the way
//! to a place can lead out of the tree that it is to be in.
//!
//! Nothing here allocates memory: it is called between fork and exec.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag};

/// `FSCONFIG_SET_STRING` and `FSCONFIG_CMD_CREATE` of linux/mount.h.
const SET_STRING: libc::c_uint = 1;
const CREATE: libc::c_uint = 6;

/// `FSOPEN_CLOEXEC`, `FSMOUNT_CLOEXEC`, `OPEN_TREE_CLONE`, `MOVE_MOUNT_F_EMPTY_PATH`,
/// `MOVE_MOUNT_T_EMPTY_PATH`.
const FSOPEN_CLOEXEC: libc::c_uint = 1;
const FSMOUNT_CLOEXEC: libc::c_uint = 1;
const OPEN_TREE_CLONE: libc::c_int = 1;
const FROM_EMPTY_PATH: libc::c_uint = 0x04;
const TO_EMPTY_PATH: libc::c_uint = 0x40;

/// `MOUNT_ATTR_*` of linux/mount.h.
pub(crate) const READ_ONLY: u64 = 0x1;
pub(crate) const NO_SUID: u64 = 0x2;
pub(crate) const NO_DEV: u64 = 0x4;
pub(crate) const NO_EXEC: u64 = 0x8;

/// `struct mount_attr` of linux/mount.h.
#[repr(C)]
struct Attributes {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

/// Opens `path` as a place, with `root` as the root directory: neither `..` nor an absolute
/// symbolic link leads out of it (`openat2(2)`, Linux 5.6).
pub(crate) fn open_inside(root: BorrowedFd<'_>, path: &CStr) -> io::Result<OwnedFd> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT);
    // The empty path is the root itself.
    let path = if path.is_empty() { c"." } else { path };
    let mut tries = 0;
    loop {
        match nix::fcntl::openat2(root, path, how) {
            // Something was mounted or renamed, anywhere, while `..` was looked up.
            Err(Errno::EAGAIN) if tries < MOST_TRIES => tries += 1,
            other => return Ok(other?),
        }
    }
}

/// The most retries. Even constant mounting elsewhere does not hit each of these.
const MOST_TRIES: usize = 10_000;

/// Opens the entry `name` of `directory` as a place.
pub(crate) fn open_in(directory: &OwnedFd, name: &CStr) -> io::Result<OwnedFd> {
    let (flags, mode) = (OFlag::O_PATH | OFlag::O_CLOEXEC, nix::sys::stat::Mode::empty());
    Ok(nix::fcntl::openat(directory, name, flags, mode)?)
}

/// Opens a file system context (fsopen(2)).
pub(crate) fn open_kind(kind: &CStr) -> io::Result<OwnedFd> {
    // SAFETY: the name is a C string that lives through the call.
    let fd = unsafe { libc::syscall(libc::SYS_fsopen, kind.as_ptr(), FSOPEN_CLOEXEC) };
    new_descriptor(fd)
}

/// Sets an option of a file system context.
pub(crate) fn configure(file_system: &OwnedFd, key: &CStr, value: &CStr) -> io::Result<()> {
    // SAFETY: key and value are C strings that live through the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_fsconfig,
            file_system.as_raw_fd(),
            SET_STRING,
            key.as_ptr(),
            value.as_ptr(),
            0,
        )
    };
    Errno::result(result)?;
    Ok(())
}

/// Creates the file system of a context.
pub(crate) fn create(file_system: &OwnedFd) -> io::Result<()> {
    let none: libc::c_long = 0;
    // SAFETY: the command takes null pointers.
    let result = unsafe {
        libc::syscall(libc::SYS_fsconfig, file_system.as_raw_fd(), CREATE, none, none, none)
    };
    Errno::result(result)?;
    Ok(())
}

/// Mounts the file system of a context with `attributes`, detached.
pub(crate) fn mount_of(file_system: &OwnedFd, attributes: u64) -> io::Result<OwnedFd> {
    // SAFETY: takes numbers.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_fsmount,
            file_system.as_raw_fd(),
            FSMOUNT_CLOEXEC,
            attributes as libc::c_uint,
        )
    };
    new_descriptor(fd)
}

/// Mounts a new file system, detached.
#[cfg(feature = "lab")]
pub(crate) fn new_mount(
    kind: &CStr,
    options: &[(&CStr, &CStr)],
    attributes: u64,
) -> io::Result<OwnedFd> {
    let file_system = open_kind(kind)?;
    for (key, value) in options {
        configure(&file_system, key, value)?;
    }
    create(&file_system)?;
    mount_of(&file_system, attributes)
}

/// Copies the mounts at and below `path`, detached.
pub(crate) fn copy(path: &CStr) -> io::Result<OwnedFd> {
    open_tree(libc::AT_FDCWD, path, 0)
}

/// Copies the mounts at and below `place`, detached.
pub(crate) fn copy_of(place: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    open_tree(place.as_raw_fd(), c"", libc::AT_EMPTY_PATH)
}

fn open_tree(at: libc::c_int, path: &CStr, more: libc::c_int) -> io::Result<OwnedFd> {
    let flags = OPEN_TREE_CLONE | libc::O_CLOEXEC | libc::AT_RECURSIVE | more;
    // SAFETY: the path is a C string that lives through the call.
    let fd = unsafe { libc::syscall(libc::SYS_open_tree, at, path.as_ptr(), flags) };
    new_descriptor(fd)
}

/// Attaches a mount at `place`.
pub(crate) fn attach(mount: &OwnedFd, place: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: both paths are C strings; the flags make the kernel take the descriptors themselves.
    let result = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            mount.as_raw_fd(),
            c"".as_ptr(),
            place.as_raw_fd(),
            c"".as_ptr(),
            FROM_EMPTY_PATH | TO_EMPTY_PATH,
        )
    };
    Errno::result(result)?;
    Ok(())
}

/// Makes the mount whose root is `place`, and the mounts below it, read-only (Linux 5.12).
pub(crate) fn make_read_only(place: BorrowedFd<'_>) -> io::Result<()> {
    let attributes = Attributes { set: READ_ONLY, clear: 0, propagation: 0, user_namespace: 0 };
    set_attributes(place, &attributes, libc::AT_RECURSIVE)
}

/// Makes the mount whose root is `place` writable, and no other (Linux 5.12).
pub(crate) fn make_writable(place: BorrowedFd<'_>) -> io::Result<()> {
    let attributes = Attributes { set: 0, clear: READ_ONLY, propagation: 0, user_namespace: 0 };
    set_attributes(place, &attributes, 0)
}

fn set_attributes(
    place: BorrowedFd<'_>,
    attributes: &Attributes,
    more: libc::c_int,
) -> io::Result<()> {
    // SAFETY: the path is a C string, and the kernel reads one structure of the size in the last
    // argument.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            place.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | more,
            std::ptr::from_ref(attributes),
            size_of::<Attributes>(),
        )
    };
    Errno::result(result)?;
    Ok(())
}

/// Makes the mount whose root is the working directory the root of this mount namespace, on top of
/// the old one, which the working directory is then.
pub(crate) fn pivot() -> io::Result<()> {
    Ok(nix::unistd::pivot_root(c".", c".")?)
}

/// Unmounts the working directory lazily, with all mounts below it.
pub(crate) fn detach_here() -> io::Result<()> {
    Ok(nix::mount::umount2(c".", nix::mount::MntFlags::MNT_DETACH)?)
}

/// Makes an empty file in `directory`, for something to be mounted on, and opens it as a place.
pub(crate) fn new_file(directory: BorrowedFd<'_>, name: &CStr) -> io::Result<OwnedFd> {
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
    nix::fcntl::openat(directory, name, flags, nix::sys::stat::Mode::from_bits_truncate(0o666))?;
    open_inside(directory, name)
}

/// Makes a file in `directory` with this content.
pub(crate) fn write_new(
    directory: BorrowedFd<'_>,
    name: &CStr,
    content: &[u8],
    mode: u32,
) -> io::Result<()> {
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
    let mode = nix::sys::stat::Mode::from_bits_truncate(mode);
    let file = nix::fcntl::openat(directory, name, flags, mode)?;
    crate::sys::fds::write_once(file.as_fd(), content)
}

/// Writes to a file in `directory`, which is there.
pub(crate) fn write_in(directory: &OwnedFd, name: &CStr, content: &[u8]) -> io::Result<()> {
    let flags = OFlag::O_WRONLY | OFlag::O_CLOEXEC;
    let file = nix::fcntl::openat(directory, name, flags, nix::sys::stat::Mode::empty())?;
    crate::sys::fds::write_once(file.as_fd(), content)
}

/// Makes a directory in `directory`.
pub(crate) fn new_directory(directory: &OwnedFd, name: &CStr, mode: u32) -> io::Result<()> {
    let mode = nix::sys::stat::Mode::from_bits_truncate(mode);
    Ok(nix::sys::stat::mkdirat(directory, name, mode)?)
}

/// Makes a symbolic link to `target` in `directory`.
pub(crate) fn new_link(directory: &OwnedFd, name: &CStr, target: &CStr) -> io::Result<()> {
    Ok(nix::unistd::symlinkat(target, directory, name)?)
}

fn new_descriptor(result: libc::c_long) -> io::Result<OwnedFd> {
    let fd = Errno::result(result)?;
    Ok(crate::sys::fds::adopt(i32::try_from(fd).map_err(|_| Errno::EOVERFLOW)?))
}
