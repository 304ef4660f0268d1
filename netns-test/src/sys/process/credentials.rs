//! Who a process is, what it is called, and how it ends as another one did. What is called between
//! fork and exec allocates nothing.

use std::io;
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::unistd::{Gid, Uid};

use crate::sys::process;
use crate::sys::process::{Pid, Status};

/// A descriptor on the parent of this process, which must be `expected` (`pidfd_open(2)`, Linux
/// 5.3): readable when it has ended.
pub(crate) fn open_parent(expected: Pid) -> io::Result<OwnedFd> {
    let parent = process::descriptor_of(expected)?;
    // If it is the parent now, the number has not come to mean another process.
    if process::parent_id() == expected { Ok(parent) } else { Err(Errno::ESRCH.into()) }
}

/// Sends a signal to a child that has not been reaped, or to one of this PID namespace's.
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

/// Ends this process as `status` says another one has ended.
pub(crate) fn end_as(status: Status) -> ! {
    let signal = match status {
        Status::Exited(code) => process::exit_now(code),
        Status::Signaled(signal) => signal,
    };
    // The program has left a core file already, if it was to; this would be the caller's memory.
    drop(process::make_undumpable());
    // SAFETY: the default disposition installs no handler.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
    send(process::id(), signal);
    drop(super::signals::set_mask(super::signals::Mask(0)));
    process::exit_now(128 + signal)
}

/// Sets the file mode creation mask, and returns the previous one.
pub(crate) fn change_umask(mask: u32) -> u32 {
    // SAFETY: takes a number. The result of a call that a filter has refused is no mask.
    let before = unsafe { libc::umask(mask as libc::mode_t) };
    before as u32 & 0o777
}

/// The names of a UTS namespace: of the host, and of its NIS domain.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MachineNames {
    node: [libc::c_char; 65],
    domain: [libc::c_char; 65],
}

/// Reads the names of this process's UTS namespace (uname(2)).
pub(crate) fn machine_names() -> io::Result<MachineNames> {
    // SAFETY: zero bytes are a valid `utsname`.
    let mut names: libc::utsname = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes one `utsname` to the live variable.
    Errno::result(unsafe { libc::uname(&raw mut names) })?;
    Ok(MachineNames { node: names.nodename, domain: names.domainname })
}

/// Sets the name of this UTS namespace.
pub(crate) fn set_hostname(name: &[u8]) -> io::Result<()> {
    // SAFETY: the kernel reads so many bytes of the slice.
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

/// The name of a user of this machine, if it has one (getpwuid(3)). Not between fork and exec.
pub(crate) fn user_name(uid: u32) -> Option<String> {
    Some(nix::unistd::User::from_uid(Uid::from_raw(uid)).ok()??.name)
}
