//! Processes: forked (only while a process has one thread), named, signaled and reaped.

pub(crate) mod caps;
pub(crate) mod command_methods;
pub(crate) mod credentials;
pub(crate) mod environ;
pub(crate) mod group;
pub(crate) mod limits;
pub(crate) mod progress;
pub(crate) mod shared_record;
pub(crate) mod signals;
pub(crate) mod stack_overflow;
pub(crate) mod unfailing;

use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};

use crate::sys::text::field;

use nix::errno::Errno;

pub(crate) use crate::sys::process::signals::kill;
#[cfg(feature = "lab")]
pub(crate) use crate::sys::process::signals::signal;

/// Process id in the calling process's PID namespace.
pub(crate) type Pid = libc::pid_t;

/// Proof that this process has one thread (under ThreadSanitizer, one besides the sanitizer's own).
///
/// A function that forks asks for it: the child of a process with more threads may inherit locks
/// that are never released.
#[derive(Debug)]
pub(crate) struct SingleThreaded(PhantomData<*const ()>);

impl SingleThreaded {
    /// States that the process has one thread and will keep it that way.
    ///
    /// # Safety
    ///
    /// No other thread that runs code of this program may exist, and none may be
    /// started, for as long as the value lives.
    pub(crate) unsafe fn new() -> Self {
        Self(PhantomData)
    }
}

/// Side of a fork: the parent, with the child's id, or the child.
#[derive(Debug)]
pub(crate) enum Side {
    Parent(Pid),
    Child,
}

/// End of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// It called `exit`, or returned from `main`, with this status (0 to 255).
    Exited(i32),
    /// It was killed by this signal.
    Signaled(i32),
}

/// Kind of a namespace that a child can have of its own (namespaces(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Namespace {
    User,
    Net,
    Mount,
    Pid,
    Uts,
    Ipc,
}

/// All kinds of namespaces.
pub(crate) const ALL_NAMESPACES: [Namespace; 6] = [
    Namespace::User,
    Namespace::Net,
    Namespace::Mount,
    Namespace::Pid,
    Namespace::Uts,
    Namespace::Ipc,
];

impl Namespace {
    /// Returns the name in `/proc/self/ns` and `/proc/sys/user`, as `user` in
    /// `max_user_namespaces`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Net => "net",
            Self::Mount => "mnt",
            Self::Pid => "pid",
            Self::Uts => "uts",
            Self::Ipc => "ipc",
        }
    }

    pub(crate) const fn flag(self) -> libc::c_int {
        match self {
            Self::User => libc::CLONE_NEWUSER,
            Self::Net => libc::CLONE_NEWNET,
            Self::Mount => libc::CLONE_NEWNS,
            Self::Pid => libc::CLONE_NEWPID,
            Self::Uts => libc::CLONE_NEWUTS,
            Self::Ipc => libc::CLONE_NEWIPC,
        }
    }
}

/// Forks by fork(2), with the C library's handlers (`pthread_atfork(3)`).
pub(crate) fn fork(_: &SingleThreaded) -> io::Result<Side> {
    // SAFETY: the process has one thread (the argument says so), so the child inherits
    // no lock that a missing thread holds.
    match unsafe { nix::unistd::fork() }? {
        nix::unistd::ForkResult::Parent { child } => Ok(Side::Parent(child.as_raw())),
        nix::unistd::ForkResult::Child => Ok(Side::Child),
    }
}

/// Forks into new namespaces by one clone(2). Some restricted systems refuse unshare(2) after
/// fork(2) with a less specific error.
///
/// ThreadSanitizer is another reason for the raw system call: its fork handler starts a thread in
/// the child, and `unshare(CLONE_NEWUSER)` then fails. `clone3` would work too, but container
/// runtimes refuse it with `ENOSYS`. In the child, the thread id that the C library caches is the
/// parent's until the child forks in turn.
pub(crate) fn fork_into(_: &SingleThreaded, namespaces: &[Namespace]) -> io::Result<Side> {
    clone_into(namespaces)
}

/// Forks into new namespaces from a process that may have other threads. The child may only make
/// system calls.
pub(crate) fn clone_into(namespaces: &[Namespace]) -> io::Result<Side> {
    clone(namespaces.iter().fold(libc::SIGCHLD, |flags, namespace| flags | namespace.flag()))
}

/// Forks a child whose end sends no signal, and which `waitpid(-1)` without `__WALL` ignores. So a
/// program that waits for all its children does not wait for this one.
pub(crate) fn fork_aside(_: &SingleThreaded) -> io::Result<Side> {
    clone(0)
}

/// Calls `work` in a child, and returns the child's exit status, which is the result of `work`. It
/// may only make system calls, since the process may have other threads.
pub(crate) fn in_child(work: impl FnOnce() -> i32) -> io::Result<Status> {
    match clone(0)? {
        Side::Child => exit_now(work()),
        Side::Parent(pid) => reap_aside(pid).ok_or_else(|| Errno::ECHILD.into()),
    }
}

/// Calls clone(2) as fork(2) does, with additional flags.
pub(crate) fn clone(flags: libc::c_int) -> io::Result<Side> {
    let (flags, none) = (libc::c_long::from(flags), libc::c_long::from(0));
    #[cfg(target_arch = "s390x")]
    let (first, second) = (none, flags);
    #[cfg(not(target_arch = "s390x"))]
    let (first, second) = (flags, none);
    // SAFETY: without CLONE_VM and without a stack this is fork(2): the child continues on a copy
    // of this stack. Callers have one thread, so that no other one holds a lock, or the child takes
    // no lock.
    let result = unsafe { libc::syscall(libc::SYS_clone, first, second, none, none, none) };
    match Errno::result(result)? {
        0 => Ok(Side::Child),
        pid => Ok(Side::Parent(Pid::try_from(pid).map_err(io::Error::other)?)),
    }
}

/// Reaps one child that has ended, without waiting; `None` if there is none.
pub(crate) fn reap() -> io::Result<Option<(Pid, Status)>> {
    loop {
        let mut status = 0;
        // SAFETY: the status is written to a live variable.
        let result = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
        match Errno::result(result) {
            Err(Errno::ECHILD) | Ok(0) => return Ok(None),
            Err(errno) => return Err(errno.into()),
            Ok(pid) if libc::WIFSTOPPED(status) => let_go(pid, libc::WSTOPSIG(status)),
            Ok(pid) => return Ok(Some((pid, status_of(status)))),
        }
    }
}

/// Continues a stopped child that has asked to be traced (`PTRACE_TRACEME`), with the signal that
/// it has stopped for: this process does not trace it.
fn let_go(pid: Pid, signal: libc::c_int) {
    let none: libc::c_long = 0;
    // SAFETY: zero bytes are a valid `siginfo_t`.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes one `siginfo_t`. For a process that is no tracee it refuses.
    unsafe { libc::ptrace(libc::PTRACE_GETSIGINFO, pid, none, &raw mut info) };
    // A traced process sends itself this SIGTRAP at execve(2), only for its tracer (ptrace(2)).
    let is_of_exec = signal == libc::SIGTRAP && info.si_code == libc::SI_USER;
    let signal = if is_of_exec { 0 } else { libc::c_long::from(signal) };
    // SAFETY: touches no memory. For a process that is no tracee the kernel refuses.
    unsafe { libc::ptrace(libc::PTRACE_DETACH, pid, none, signal) };
}

/// Returns the id of the calling thread in its PID namespace (gettid(2)).
pub(crate) fn thread_id() -> u32 {
    // SAFETY: it takes nothing, and cannot fail.
    let id = unsafe { libc::syscall(libc::SYS_gettid) };
    u32::try_from(id).unwrap_or(0)
}

/// Waits for the end of every child, and reaps it.
pub(crate) fn reap_all() {
    loop {
        // SAFETY: null where no status is wanted.
        let result = unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::__WALL) };
        match Errno::result(result) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return,
        }
    }
}

/// Waits for the end of a thread, also of one that has called exit(2). `JoinHandle::join` panics
/// then.
pub(crate) fn join<T>(thread: std::thread::JoinHandle<T>) -> io::Result<()> {
    use std::os::unix::thread::JoinHandleExt as _;
    let thread = thread.into_pthread_t();
    // SAFETY: the thread has been neither joined nor detached: its one handle is given up here.
    match unsafe { libc::pthread_join(thread, std::ptr::null_mut()) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// Returns the status of the child `pid` of [`fork_aside`] without reaping it, or `None` while it
/// runs. Returns an error if it has been reaped already.
pub(crate) fn end_of(pid: Pid) -> io::Result<Option<Status>> {
    // SAFETY: zero bytes are a valid `siginfo_t`.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let flags = libc::WEXITED | libc::WNOWAIT | libc::WNOHANG | libc::__WALL;
    // SAFETY: the kernel writes one `siginfo_t` to the live variable.
    let result = unsafe { libc::waitid(libc::P_PID, pid as libc::id_t, &raw mut info, flags) };
    Errno::result(result)?;
    if info.si_signo == 0 {
        return Ok(None);
    }
    // SAFETY: after waitid the structure is that of SIGCHLD, which has a status.
    let status = unsafe { info.si_status() };
    Ok(Some(match info.si_code {
        libc::CLD_EXITED => Status::Exited(status),
        _ => Status::Signaled(status),
    }))
}

/// Waits for the end of the child `pid`, also one made by [`fork_aside`], and reaps it.
pub(crate) fn reap_aside(pid: Pid) -> Option<Status> {
    let mut status = 0;
    // SAFETY: the status is written to a live variable.
    let result = unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) };
    Errno::result(result).ok().map(|_| status_of(status))
}

fn status_of(status: libc::c_int) -> Status {
    if libc::WIFSIGNALED(status) {
        Status::Signaled(libc::WTERMSIG(status))
    } else {
        Status::Exited(libc::WEXITSTATUS(status))
    }
}

/// Registers `handler` to be called when this process, or one that is forked from it, ends by
/// `exit` or by a return from `main`.
pub(crate) fn at_exit(handler: extern "C" fn()) {
    // SAFETY: a function lives as long as the program. If there is no memory for one more handler,
    // it is not called, which callers allow for.
    unsafe { libc::atexit(handler) };
}

/// Opens a descriptor of a process, readable when the process has ended (`pidfd_open(2)`, Linux
/// 5.3). The id must not be reused meanwhile: that of a child that has not been reaped is not. Does
/// not allocate memory.
pub(crate) fn descriptor_of(pid: Pid) -> io::Result<OwnedFd> {
    // SAFETY: takes numbers; the descriptor is close-on-exec.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = std::os::fd::RawFd::try_from(Errno::result(fd)?).map_err(|_| Errno::EOVERFLOW)?;
    Ok(crate::sys::fds::adopt(fd))
}

/// Ends this process at once, without exit handlers and without flushing of streams.
pub(crate) fn exit_now(status: i32) -> ! {
    // SAFETY: `_exit` is always allowed; it does not return.
    unsafe { libc::_exit(status) }
}

/// Returns the id of the process that a pidfd refers to.
pub(crate) fn pid_of(pidfd: BorrowedFd<'_>) -> io::Result<u32> {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd()))?;
    let field = field(&info, "Pid:");
    let pid: i64 = field.and_then(|pid| pid.parse().ok()).ok_or(Errno::EINVAL)?;
    // -1 for a process that has ended, 0 for one of another PID namespace.
    u32::try_from(pid).ok().filter(|&pid| pid > 0).ok_or_else(|| Errno::ESRCH.into())
}

/// Returns an error (ESRCH) if the process that a pidfd refers to has been reaped.
pub(crate) fn is_alive(pidfd: BorrowedFd<'_>) -> io::Result<()> {
    let none: libc::c_long = 0;
    // SAFETY: signal 0 is not delivered. The pointer is null, which is allowed.
    let result =
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), 0, none, none) };
    Errno::result(result)?;
    Ok(())
}

/// Returns this process's id.
pub(crate) fn id() -> Pid {
    nix::unistd::getpid().as_raw()
}

/// Returns the id of this process's parent, or 0 if the parent is outside of the PID namespace.
pub(crate) fn parent_id() -> Pid {
    nix::unistd::getppid().as_raw()
}

/// Makes the kernel kill this process when the thread that forked it ends. A later change of
/// credentials resets this (`PR_SET_PDEATHSIG` of prctl(2)).
pub(crate) fn die_with_parent() -> io::Result<()> {
    Ok(nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?)
}

/// Lets this process open its own files in `/proc`, where it writes the id maps, also if its
/// program is not readable or its credentials have changed.
pub(crate) fn make_dumpable() -> io::Result<()> {
    Ok(nix::sys::prctl::set_dumpable(true)?)
}

/// Keeps other processes of the same user from tracing this one, and from reading its memory and
/// its descriptors (ptrace(2)).
pub(crate) fn make_undumpable() -> io::Result<()> {
    Ok(nix::sys::prctl::set_dumpable(false)?)
}

/// Sets the name of the calling thread, as `ps` shows it. The kernel truncates it to 15 bytes.
pub(crate) fn set_name(name: &std::ffi::CStr) -> io::Result<()> {
    Ok(nix::sys::prctl::set_name(name)?)
}

/// Returns the name of the calling thread.
pub(crate) fn name() -> io::Result<std::ffi::CString> {
    Ok(nix::sys::prctl::get_name()?)
}

/// Makes this process the leader of a new session and process group. So `kill(0, …)` in its
/// descendants does not reach the caller's group, and they have no terminal.
pub(crate) fn lead_own_session() -> io::Result<()> {
    nix::unistd::setsid()?;
    Ok(())
}

/// Returns whether this process may open its own files in `/proc`; `None` if the kernel does not
/// say.
pub(crate) fn is_dumpable() -> Option<bool> {
    nix::sys::prctl::get_dumpable().ok()
}

/// Returns whether PID 1, which calls this, has another process in its PID namespace (kill(2)),
/// even one that it may not signal.
pub(crate) fn others_exist() -> bool {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(-1), None) != Err(Errno::ESRCH)
}

/// Returns whether `/proc` belongs to this process's PID namespace.
pub(crate) fn proc_is_own() -> bool {
    std::fs::read_link("/proc/self").is_ok_and(|link| link.to_str() == Some(&*id().to_string()))
}

/// Returns the number of threads of this process, from `/proc`.
pub(crate) fn thread_count() -> io::Result<usize> {
    let mut count = 0;
    for entry in std::fs::read_dir("/proc/self/task")? {
        entry?;
        count += 1;
    }
    Ok(count)
}

/// Returns the effective user and group id.
pub(crate) fn effective_ids() -> (u32, u32) {
    (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_threads_and_an_id() {
        assert!(thread_count().unwrap() >= 1);
        assert!(id() > 0);
        assert!(end_of(id()).is_err());
    }
}
