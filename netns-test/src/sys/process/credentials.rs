//! User and group ids, host names, and signals to other processes. The functions that are called
//! between fork and exec do not allocate memory.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::unistd::{Gid, Uid};

use crate::sys::process;
use crate::sys::process::{Pid, Status};

/// Opens a descriptor of this process's parent, which must be `expected` (`pidfd_open(2)`,
/// Linux 5.3). It becomes readable when the parent has ended.
pub(crate) fn open_parent(expected: Pid) -> io::Result<OwnedFd> {
    let parent = process::descriptor_of(expected)?;
    // If `expected` is the parent now, the id has not been reused for another process.
    if process::parent_id() == expected { Ok(parent) } else { Err(Errno::ESRCH.into()) }
}

/// Duplicates a descriptor of another process (`pidfd_getfd(2)`, Linux 5.6). The caller needs the
/// right to trace that process, whose id must not be reused meanwhile.
pub(crate) fn duplicate_from(pid: Pid, number: RawFd) -> io::Result<OwnedFd> {
    let process = process::descriptor_of(pid)?;
    // SAFETY: takes a descriptor, a number and no flags, and makes a descriptor.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), number, 0) };
    let fd = RawFd::try_from(Errno::result(fd)?).map_err(|_| Errno::EOVERFLOW)?;
    Ok(crate::sys::fds::adopt(fd))
}

/// Sends a signal to a child that has not been reaped, or to another process of this PID namespace.
pub(crate) fn send(pid: Pid, signal: i32) {
    // SAFETY: sends a signal; the number is a child's until that is reaped.
    unsafe { libc::kill(pid, signal) };
}

/// Continues a stopped child that has not been reaped.
pub(crate) fn wake(child: u32) {
    if let Ok(pid) = Pid::try_from(child) {
        send(pid, libc::SIGCONT);
    }
}

/// Ends this process with the exit status, or by the signal, of another one that has ended.
pub(crate) fn end_as(status: Status) -> ! {
    let signal = match status {
        Status::Exited(code) => process::exit_now(code),
        Status::Signaled(signal) => signal,
    };
    // No core file: it would have the caller's memory. The program has written its own already.
    drop(process::make_undumpable());
    // SAFETY: the default disposition installs no handler.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
    send(process::id(), signal);
    drop(super::signals::set_mask(super::signals::Mask(0)));
    process::exit_now(128 + signal)
}

/// Sets the file mode creation mask, and returns the previous one.
pub(crate) fn change_umask(mask: u32) -> u32 {
    // SAFETY: takes a number. If a filter refuses the call, the result is no mask, hence the `&`.
    let before = unsafe { libc::umask(mask as libc::mode_t) };
    before as u32 & 0o777
}

/// Names of a UTS namespace: the hostname and the NIS domain name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MachineNames {
    node: [libc::c_char; 65],
    domain: [libc::c_char; 65],
}

/// Reads the names of this process's UTS namespace (uname(2)).
pub(crate) fn machine_names() -> io::Result<MachineNames> {
    uname().map(|names| MachineNames { node: names.nodename, domain: names.domainname })
}

/// Reads the release of the kernel, as `uname -r` prints it.
#[cfg(feature = "lab")]
pub(crate) fn kernel_release() -> io::Result<String> {
    let release = uname()?.release;
    Ok(release.iter().take_while(|one| **one != 0).map(|one| *one as u8 as char).collect())
}

fn uname() -> io::Result<libc::utsname> {
    // SAFETY: zero bytes are a valid `utsname`.
    let mut names: libc::utsname = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes one `utsname` to the live variable.
    Errno::result(unsafe { libc::uname(&raw mut names) })?;
    Ok(names)
}

/// Sets the hostname of this process's UTS namespace.
pub(crate) fn set_hostname(name: &[u8]) -> io::Result<()> {
    // SAFETY: the kernel reads `name.len()` bytes of the slice.
    let result = unsafe { libc::sethostname(name.as_ptr().cast(), name.len()) };
    Errno::result(result)?;
    Ok(())
}

/// Drops all supplementary groups.
pub(crate) fn clear_groups() -> io::Result<()> {
    Ok(nix::unistd::setgroups(&[])?)
}

/// Sets the supplementary groups.
pub(crate) fn set_groups(groups: &[u32]) -> io::Result<()> {
    let groups: Vec<_> = groups.iter().copied().map(Gid::from_raw).collect();
    Ok(nix::unistd::setgroups(&groups)?)
}

/// Changes the real, effective and saved group id.
pub(crate) fn become_group(gid: u32) -> io::Result<()> {
    let gid = Gid::from_raw(gid);
    Ok(nix::unistd::setresgid(gid, gid, gid)?)
}

/// Changes the real, effective and saved user id.
pub(crate) fn become_user(uid: u32) -> io::Result<()> {
    let uid = Uid::from_raw(uid);
    Ok(nix::unistd::setresuid(uid, uid, uid)?)
}

/// Returns the name of a user of this machine, if there is one (getpwuid(3)). It may allocate, so
/// it must not be called between fork and exec.
pub(crate) fn user_name(uid: u32) -> Option<String> {
    Some(nix::unistd::User::from_uid(Uid::from_raw(uid)).ok()??.name)
}
