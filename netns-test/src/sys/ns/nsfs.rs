//! Namespaces as files: opens, identifies and enters them (namespaces(7), `ioctl_nsfs(2)`).

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sched::CloneFlags;
use nix::sys::stat::Mode;

use crate::sys::process::Namespace;

/// Number of `NS_GET_NSTYPE` in linux/nsfs.h: `_IO(0xb7, 0x3)`.
const NS_GET_NSTYPE: libc::Ioctl = 0xb703;

/// Number of `NSFS_MAGIC` in linux/magic.h.
const NSFS_MAGIC: u64 = 0x6e73_6673;

/// Opens a file of any kind at `path`. The open does not wait (as for the writer of a FIFO), and a
/// terminal does not become the process's own.
pub(crate) fn open(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    Ok(nix::fcntl::open(path, flags, Mode::empty())?)
}

/// The kind of file that a descriptor refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Namespace(Namespace),
    /// A namespace of a kind that this crate does not create.
    OtherNamespace,
    /// Another file, with its description.
    Other(&'static str),
}

/// Returns the kind of the file at a place (`O_PATH`). Only a namespace is opened for this.
pub(crate) fn kind_of_place(place: &OwnedFd) -> io::Result<Kind> {
    match is_namespace(place)? {
        true => kind(open(Path::new(&format!("/proc/self/fd/{}", place.as_raw_fd())))?),
        false => kind(place),
    }
}

fn is_namespace(fd: impl AsFd) -> io::Result<bool> {
    Ok(nix::sys::statfs::fstatfs(&fd)?.filesystem_type().0 as u64 == NSFS_MAGIC)
}

/// Returns the kind of the file that is open at a descriptor.
pub(crate) fn kind(fd: impl AsFd) -> io::Result<Kind> {
    if !is_namespace(&fd)? {
        let mode = nix::sys::stat::fstat(&fd)?.st_mode;
        return Ok(Kind::Other(match mode & libc::S_IFMT {
            libc::S_IFREG => "a regular file",
            libc::S_IFDIR => "a directory",
            libc::S_IFCHR | libc::S_IFBLK => "a device",
            libc::S_IFIFO => "a pipe",
            libc::S_IFSOCK => "a socket",
            _ => "no namespace",
        }));
    }
    let flag = flag(fd.as_fd())?;
    let known = crate::sys::process::ALL_NAMESPACES.into_iter().find(|kind| kind.flag() == flag);
    Ok(known.map_or(Kind::OtherNamespace, Kind::Namespace))
}

/// Returns the `CLONE_NEW*` flag of a namespace; ENOTTY for most other files.
fn flag(fd: BorrowedFd<'_>) -> io::Result<libc::c_int> {
    // SAFETY: the request takes no argument.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), NS_GET_NSTYPE) };
    Ok(Errno::result(result)?)
}

/// Opens the network namespace of the calling thread, in as few calls as possible: this takes most
/// of the time of entering another namespace and returning. The kind of an error has no meaning.
pub(crate) fn own_network() -> io::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    let fd = nix::fcntl::open(c"/proc/thread-self/ns/net", flags, Mode::empty())?;
    let is_network = flag(fd.as_fd())? == libc::CLONE_NEWNET;
    if is_network { Ok(fd) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

/// Moves the calling thread to a network namespace.
pub(crate) fn enter_network(fd: impl AsFd) -> io::Result<()> {
    Ok(nix::sched::setns(fd, CloneFlags::CLONE_NEWNET)?)
}

/// Moves the calling thread to a new network namespace.
pub(crate) fn unshare_network() -> io::Result<()> {
    Ok(nix::sched::unshare(CloneFlags::CLONE_NEWNET)?)
}

/// Returns the cookie of the network namespace of `socket`, which the kernel never reuses
/// (`SO_NETNS_COOKIE`, Linux 5.14).
pub(crate) fn cookie(socket: BorrowedFd<'_>) -> io::Result<u64> {
    const SO_NETNS_COOKIE: libc::c_int = 71;
    let mut cookie = 0_u64;
    let mut length = size_of::<u64>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes to the variable.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    Errno::result(result)?;
    Ok(cookie)
}

/// Makes `command` enter the network namespace `fd` when it is started: after the fork, in the new
/// process only.
pub(crate) fn enter_before_exec(command: &mut std::process::Command, fd: OwnedFd) {
    use std::os::unix::process::CommandExt as _;
    let enter = move || enter_network(&fd);
    // SAFETY: between fork and exec the closure makes one system call, on a descriptor that it
    // owns; setns(2) takes no lock, and an error is a number without memory.
    unsafe { command.pre_exec(enter) };
}
