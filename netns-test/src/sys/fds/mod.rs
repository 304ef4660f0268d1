//! File descriptors: made close-on-exec, waited for with `poll(2)`, closed in bulk.

pub(crate) mod closing;
pub(crate) mod entries;
pub(crate) mod folder;
pub(crate) mod limited;
#[cfg(feature = "lab")]
pub(crate) mod named;

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::path::Path;
use std::time::Duration;

use crate::sys::text::field;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag};
use nix::poll::{PollFd, PollFlags};
use nix::sys::stat::Mode;
use nix::sys::time::TimeSpec;

pub(crate) use crate::sys::fds::closing::{close_all_but, close_all_except, close_at_exec_all_but};

/// Creates a pipe, as (read end, write end).
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(nix::unistd::pipe2(OFlag::O_CLOEXEC)?)
}

/// Opens a directory as a place (`O_PATH`), which needs no permission to list it.
pub(crate) fn open_place(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    Ok(nix::fcntl::open(path, flags, Mode::empty())?)
}

/// Opens any file as a place (`O_PATH`), without following a link.
pub(crate) fn open_anything(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    Ok(nix::fcntl::open(path, flags, Mode::empty())?)
}

/// Opens a directory to read in it, even if something is mounted over it later.
pub(crate) fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    Ok(nix::fcntl::open(path, flags, Mode::empty())?)
}

/// Opens the list of this namespace's mounts. A change of them is reported once, as a hang-up
/// (`proc_pid_mounts(5)`).
pub(crate) fn open_mounts() -> io::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    Ok(nix::fcntl::open("/proc/self/mounts", flags, Mode::empty())?)
}

/// Reads the path of an open file from `/proc`.
pub(crate) fn path_of(fd: &OwnedFd) -> io::Result<std::path::PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

/// A directory, with the mount by which it is reached: one directory may be mounted at several
/// places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    device: (u32, u32),
    inode: u64,
    mount: u64,
}

/// Reads the place of an open file (statx(2)).
pub(crate) fn place_of(fd: &OwnedFd) -> io::Result<Place> {
    // SAFETY: zero bytes are a valid `statx`.
    let mut found: libc::statx = unsafe { std::mem::zeroed() };
    let (empty, flags) = (c"".as_ptr(), libc::AT_EMPTY_PATH);
    let wanted = libc::STATX_INO | libc::STATX_MNT_ID;
    // SAFETY: the kernel reads a C string, and writes one `statx`.
    let result = unsafe {
        libc::syscall(libc::SYS_statx, fd.as_raw_fd(), empty, flags, wanted, &raw mut found)
    };
    Errno::result(result)?;
    // Linux before 5.8 does not return it.
    let mount = match found.stx_mask & libc::STATX_MNT_ID {
        0 => mount_of(fd)?,
        _ => found.stx_mnt_id,
    };
    let device = (found.stx_dev_major, found.stx_dev_minor);
    Ok(Place { device, inode: found.stx_ino, mount })
}

/// Reads the id of the mount of a file, as in `/proc/self/mountinfo`.
fn mount_of(fd: &OwnedFd) -> io::Result<u64> {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd()))?;
    field(&info, "mnt_id:").and_then(|id| id.parse().ok()).ok_or_else(|| Errno::ENODATA.into())
}

/// Lists the names in a directory that are valid UTF-8.
pub(crate) fn names_in(directory: &OwnedFd) -> io::Result<Vec<String>> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let mut listing = nix::dir::Dir::openat(directory, ".", flags, Mode::empty())?;
    let mut names = Vec::new();
    for entry in listing.iter() {
        names.extend(entry?.file_name().to_str().ok().map(str::to_owned));
    }
    Ok(names)
}

/// Opens a directory in a directory.
pub(crate) fn open_in(directory: &OwnedFd, name: &str) -> io::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    Ok(nix::fcntl::openat(directory, name, flags, Mode::empty())?)
}

/// Reads a small file in a directory as text.
pub(crate) fn read_in(directory: &OwnedFd, name: &str) -> io::Result<String> {
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    small(&nix::fcntl::openat(directory, name, flags, Mode::empty())?)
}

/// Reads a small file of the kernel, with one read(2) and without fstat(2): the kernel generates it
/// for each read.
pub(crate) fn read_small(path: &str) -> io::Result<String> {
    small(&nix::fcntl::open(path, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?)
}

fn small(file: &OwnedFd) -> io::Result<String> {
    let mut buffer = [0; 4 << 10];
    let length = nix::unistd::read(file, &mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

/// Returns the capacity of a pipe in bytes.
pub(crate) fn pipe_capacity(pipe: &OwnedFd) -> io::Result<usize> {
    let size = nix::fcntl::fcntl(pipe, FcntlArg::F_GETPIPE_SZ)?;
    usize::try_from(size).map_err(io::Error::other)
}

/// Makes `/` the working directory.
pub(crate) fn leave_directory() -> io::Result<()> {
    Ok(nix::unistd::chdir("/")?)
}

/// Opens `/dev/null` for reading and writing.
pub(crate) fn open_null() -> io::Result<OwnedFd> {
    beyond_stdio(nix::fcntl::open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())?)
}

/// Duplicates a descriptor to a number above 2, if needed: in a program that is started with a
/// closed standard stream, the first file that it opens gets that number.
pub(crate) fn beyond_stdio(fd: OwnedFd) -> io::Result<OwnedFd> {
    if fd.as_raw_fd() > 2 {
        return Ok(fd);
    }
    Ok(adopt(nix::fcntl::fcntl(&fd, FcntlArg::F_DUPFD_CLOEXEC(3))?))
}

/// Makes `place` (from [`open_place`]) the working directory.
pub(crate) fn change_directory(place: &OwnedFd) -> io::Result<()> {
    Ok(nix::unistd::fchdir(place)?)
}

/// Makes the directory at `path` the working directory.
pub(crate) fn enter_directory(path: &std::ffi::CStr) -> io::Result<()> {
    Ok(nix::unistd::chdir(path)?)
}

/// Writes all of `bytes` with one `write(2)`, as files in `/proc` want it.
pub(crate) fn write_file(path: &str, bytes: &[u8]) -> io::Result<()> {
    let file = nix::fcntl::open(path, OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    write_once(file.as_fd(), bytes)
}

/// Writes all of `bytes` with one `write(2)`; a short write is an error.
pub(crate) fn write_once(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<()> {
    let written = nix::unistd::write(fd, bytes)?;
    if written == bytes.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

/// Writes all of `bytes`, however many writes it takes.
pub(crate) fn write_all(fd: BorrowedFd<'_>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match nix::unistd::write(fd, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// Opens a file in a directory to hold it, such as a namespace.
pub(crate) fn open_file_in(directory: &OwnedFd, name: &str) -> io::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
    Ok(nix::fcntl::openat(directory, name, flags, Mode::empty())?)
}

/// Returns the inode of an open file.
pub(crate) fn inode_of(fd: BorrowedFd<'_>) -> io::Result<u64> {
    Ok(nix::sys::stat::fstat(fd)?.st_ino)
}

/// Reads the available bytes; `None` if a read would block.
pub(crate) fn read_available(fd: &OwnedFd, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    loop {
        match nix::unistd::read(fd, buffer) {
            Ok(n) => return Ok(Some(n)),
            Err(Errno::EAGAIN) => return Ok(None),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Returns whether it is the null device.
pub(crate) fn is_null(fd: BorrowedFd<'_>) -> bool {
    nix::sys::stat::fstat(fd).is_ok_and(|stat| {
        stat.st_mode & libc::S_IFMT == libc::S_IFCHR && stat.st_rdev == libc::makedev(1, 3)
    })
}

/// Locks the file exclusively (flock(2)), until the descriptor is closed. Waits for other holders.
pub(crate) fn lock(file: BorrowedFd<'_>) -> io::Result<()> {
    loop {
        // SAFETY: takes a descriptor and a flag.
        let result = unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX) };
        match Errno::result(result) {
            Err(Errno::EINTR) => {}
            other => return Ok(other.map(drop)?),
        }
    }
}

/// Makes reads from this end return at once.
pub(crate) fn set_nonblocking(fd: &OwnedFd) -> io::Result<()> {
    nix::fcntl::fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok(())
}

/// Returns device and inode of a descriptor, to notice that its number was reused.
pub(crate) fn identity(fd: BorrowedFd<'_>) -> io::Result<(u64, u64)> {
    let stat = nix::sys::stat::fstat(fd)?;
    Ok((stat.st_dev, stat.st_ino))
}

/// Returns device and inode of descriptor 1; `None` if it is closed.
pub(crate) fn standard_output() -> Option<(u64, u64)> {
    identity(io::stdout().as_fd()).ok()
}

/// Returns device and inode of descriptor 2; `None` if it is closed.
pub(crate) fn standard_error() -> Option<(u64, u64)> {
    identity(io::stderr().as_fd()).ok()
}

/// Duplicates descriptor 2 to a number above it.
pub(crate) fn duplicate_standard_error() -> io::Result<OwnedFd> {
    Ok(adopt(nix::fcntl::fcntl(io::stderr().as_fd(), FcntlArg::F_DUPFD_CLOEXEC(3))?))
}

/// Returns whether descriptor 2 has been closed or replaced. False if a seccomp filter refuses
/// fstat(2).
pub(crate) fn has_lost_standard_error(before: Option<(u64, u64)>) -> bool {
    match nix::sys::stat::fstat(io::stderr()) {
        Ok(stat) => before.is_some() && before != Some((stat.st_dev, stat.st_ino)),
        Err(errno) => before.is_some() && errno == Errno::EBADF,
    }
}

/// Makes `number` (0, 1 or 2) a copy of `fd` that survives exec.
pub(crate) fn install_stdio(fd: &OwnedFd, number: RawFd) -> io::Result<()> {
    // SAFETY: dup2 has no memory effects. That a standard stream is replaced is this
    // function's purpose; in the calling processes of the harness no `OwnedFd` owns these numbers.
    let result = unsafe { libc::dup2(fd.as_raw_fd(), number) };
    Errno::result(result).map(drop).map_err(Into::into)
}

/// Changes the owner of stdout and stderr, which are pipes.
pub(crate) fn give_output_to(uid: u32, gid: u32) -> io::Result<()> {
    for number in [1, 2] {
        // SAFETY: takes numbers; a descriptor that is not open is an error.
        Errno::result(unsafe { libc::fchown(number, uid, gid) })?;
    }
    Ok(())
}

/// The result of `poll(2)` for one descriptor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ready {
    /// Data, or an end of file, can be read.
    pub(crate) readable: bool,
    /// Data can be written, if that was asked for.
    pub(crate) writable: bool,
    /// The other side has been closed.
    pub(crate) hung_up: bool,
}

/// An event to wait for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until<'fd> {
    /// There is something to read, or the other side is gone.
    Readable(BorrowedFd<'fd>),
    /// There is room to write, or the other side is gone.
    Writable(BorrowedFd<'fd>),
    /// The other side is gone, whatever there is to read.
    HungUp(BorrowedFd<'fd>),
}

/// Waits for one of `events`, for at most `timeout` (without a limit if it is `None`).
///
/// A signal ends the wait early, with nothing ready.
pub(crate) fn wait(events: &[Until<'_>], timeout: Option<Duration>) -> io::Result<Vec<Ready>> {
    let polled = events.iter().map(|event| match *event {
        Until::Readable(fd) => PollFd::new(fd, PollFlags::POLLIN),
        Until::Writable(fd) => PollFd::new(fd, PollFlags::POLLOUT),
        Until::HungUp(fd) => PollFd::new(fd, PollFlags::empty()),
    });
    let mut polled: Vec<PollFd<'_>> = polled.collect();
    // A longer time does not fit into the kernel's seconds.
    let timeout = timeout.map(|timeout| timeout.min(Duration::from_secs(i32::MAX as u64)));
    match nix::poll::ppoll(&mut polled, timeout.map(TimeSpec::from_duration), None) {
        Ok(_) => Ok(polled.iter().map(ready).collect()),
        Err(Errno::EINTR) => Ok(vec![Ready::default(); events.len()]),
        Err(errno) => Err(errno.into()),
    }
}

/// Returns whether the other side of a socket or pipe has gone.
pub(crate) fn has_hung_up(fd: BorrowedFd<'_>) -> io::Result<bool> {
    Ok(wait(&[Until::HungUp(fd)], Some(Duration::ZERO))?[0].hung_up)
}

/// Waits until something can be read from one of `fds`, or its other side has gone. Allocates
/// nothing.
pub(crate) fn wait_for_any(fds: [Option<&OwnedFd>; 4]) -> io::Result<[bool; 4]> {
    // The kernel passes negative numbers over.
    let mut polled = fds.map(|fd| libc::pollfd {
        fd: fd.map_or(-1, std::os::fd::AsRawFd::as_raw_fd),
        events: libc::POLLIN,
        revents: 0,
    });
    // SAFETY: the array is of this length and lives through the call.
    let result = unsafe { libc::poll(polled.as_mut_ptr(), 4, -1) };
    match Errno::result(result) {
        Ok(_) => Ok(polled.map(|polled| polled.revents != 0)),
        Err(Errno::EINTR) => Ok([false; 4]),
        Err(errno) => Err(errno.into()),
    }
}

fn ready(polled: &PollFd<'_>) -> Ready {
    let events = polled.revents().unwrap_or(PollFlags::empty());
    let ended = PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL;
    Ready {
        readable: events.contains(PollFlags::POLLIN),
        writable: events.contains(PollFlags::POLLOUT),
        hung_up: events.intersects(ended),
    }
}

/// Takes ownership of a descriptor that the kernel has just returned.
pub(crate) fn adopt(raw: RawFd) -> OwnedFd {
    // SAFETY: only called with numbers that a system call made for this process and
    // has just returned, so no other value owns them.
    unsafe { OwnedFd::from_raw_fd(raw) }
}

/// Converts a text to a C string; fails for a NUL byte.
pub(crate) fn c_text(text: &str) -> io::Result<CString> {
    c_path(Path::new(text))
}

/// Converts a path to a C string; fails for a NUL byte.
pub(crate) fn c_path(path: &Path) -> io::Result<CString> {
    use std::os::unix::ffi::OsStrExt as _;
    CString::new(path.as_os_str().as_bytes()).map_err(|_| io::ErrorKind::InvalidInput.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_distinguishes_data_from_hang_up() {
        let (read, write) = pipe().unwrap();
        let idle = wait(&[Until::Readable(read.as_fd())], Some(Duration::ZERO)).unwrap();
        assert_eq!(idle, [Ready::default()]);
        let moment = Some(Duration::from_micros(1));
        assert_eq!(wait(&[Until::Readable(read.as_fd())], moment).unwrap(), [Ready::default()]);
        write_once(write.as_fd(), b"x").unwrap();
        let quiet = wait(&[Until::HungUp(read.as_fd())], Some(Duration::ZERO)).unwrap();
        assert_eq!(quiet, [Ready::default()]);
        let data = wait(&[Until::Readable(read.as_fd())], Some(Duration::MAX)).unwrap();
        assert_eq!(data, [Ready { readable: true, ..Ready::default() }]);
        drop(write);
        let gone = wait(&[Until::HungUp(read.as_fd())], None).unwrap();
        assert_eq!(gone, [Ready { hung_up: true, ..Ready::default() }]);
        let both = wait(&[Until::Readable(read.as_fd())], None).unwrap();
        assert_eq!(both, [Ready { readable: true, hung_up: true, writable: false }]);
    }
}
