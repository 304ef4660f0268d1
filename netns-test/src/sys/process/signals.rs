//! Signals: masks, dispositions, descriptors and names.

use std::io;
use std::os::fd::OwnedFd;
#[cfg(feature = "lab")]
use std::thread::{self, JoinHandle};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};

use crate::sys::process::Pid;

/// Number of `SIGKILL`, which no process can block.
pub(crate) const KILL: i32 = libc::SIGKILL;

/// Number of `SIGSYS`, by which a seccomp filter can refuse a system call.
pub(crate) const SYS: i32 = libc::SIGSYS;

/// Signal mask of a thread, with one bit for each signal (bit 0 is signal 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mask(pub(crate) u64);

/// Returns the calling thread's mask.
pub(crate) fn mask() -> io::Result<Mask> {
    let set = change(libc::SIG_BLOCK, &SigSet::empty())?;
    let bits = numbers().filter(|&signal| is_member(&set, signal));
    Ok(Mask(bits.fold(0, |mask, signal| mask | 1 << (signal - 1))))
}

/// Sets the calling thread's mask.
pub(crate) fn set_mask(mask: Mask) -> io::Result<()> {
    let mut set = *SigSet::empty().as_ref();
    for signal in numbers().filter(|signal| mask.0 & 1 << (signal - 1) != 0) {
        // SAFETY: `set` is an initialised signal set. The C library refuses the signals
        // that it keeps for itself; they are never blocked.
        unsafe { libc::sigaddset(&raw mut set, signal) };
    }
    // SAFETY: initialised above.
    change(libc::SIG_SETMASK, &unsafe { SigSet::from_sigset_t_unchecked(set) }).map(drop)
}

/// Changes the calling thread's mask, and returns the previous one. `nix` is not used here: it
/// takes an error that `pthread_sigmask(3)` returns for success.
fn change(how: libc::c_int, set: &SigSet) -> io::Result<SigSet> {
    let mut before = *SigSet::empty().as_ref();
    // SAFETY: two initialised signal sets, of which the second is written.
    match unsafe { libc::pthread_sigmask(how, set.as_ref(), &raw mut before) } {
        // SAFETY: the C library has written it.
        0 => Ok(unsafe { SigSet::from_sigset_t_unchecked(before) }),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// Blocks SIGCHLD in the calling thread.
pub(crate) fn block_children() -> io::Result<()> {
    change(libc::SIG_BLOCK, &of_children()).map(drop)
}

/// Creates a descriptor that becomes readable when a child ends (signalfd(2)). Call
/// [`block_children`] before.
pub(crate) fn watch_children() -> io::Result<OwnedFd> {
    let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
    // SAFETY: the set is initialised, and -1 asks for a new descriptor.
    let fd = unsafe { libc::signalfd(-1, of_children().as_ref(), flags) };
    Ok(crate::sys::fds::adopt(Errno::result(fd)?))
}

fn of_children() -> SigSet {
    let mut set = SigSet::empty();
    set.add(Signal::SIGCHLD);
    set
}

/// Blocks every signal that can be blocked in the calling thread. Returns the previous mask.
pub(crate) fn block_all() -> io::Result<Mask> {
    let before = mask()?;
    change(libc::SIG_SETMASK, &SigSet::all())?;
    Ok(before)
}

/// Starts a thread that blocks all signals: one to the process is for the threads of the test.
#[cfg(feature = "lab")]
pub(crate) fn spawn_blocking_all<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    let start = || thread::Builder::new().name(name.to_owned()).spawn(work);
    with_all_blocked(start)?
}

/// Does `work` while all signals are blocked. Threads that it starts have them blocked for good: a
/// new thread has the mask of its creator.
#[cfg(feature = "lab")]
pub(crate) fn with_all_blocked<T>(work: impl FnOnce() -> T) -> io::Result<T> {
    let before = block_all()?;
    let done = work();
    set_mask(before)?;
    Ok(done)
}

/// Creates a descriptor to read blocked signals from (signalfd(2)).
pub(crate) fn descriptor() -> io::Result<OwnedFd> {
    let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
    // SAFETY: the set is initialised, and -1 asks for a new descriptor.
    let fd = unsafe { libc::signalfd(-1, SigSet::all().as_ref(), flags) };
    Ok(crate::sys::fds::adopt(Errno::result(fd)?))
}

/// Signal that was read from a [`descriptor`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrived {
    pub(crate) number: i32,
    /// Whether a process has sent it, as by kill(2), and not the kernel. The kernel sends those of
    /// a terminal to the whole group.
    pub(crate) is_sent: bool,
    /// Whether the sender is outside of this PID namespace.
    pub(crate) is_from_outside: bool,
}

/// Reads the next signal from a [`descriptor`], if there is one.
pub(crate) fn next(arrived: &OwnedFd) -> Option<Arrived> {
    let mut buffer = [0; size_of::<libc::signalfd_siginfo>()];
    let length = crate::sys::fds::read_available(arrived, &mut buffer).ok()??;
    // ssi_signo, ssi_errno, ssi_code, ssi_pid (signalfd(2)).
    let word = |at: usize| -> Option<i32> {
        Some(i32::from_ne_bytes(buffer.get(at..at + 4)?.try_into().ok()?))
    };
    let (number, code, pid) = (word(0)?, word(8)?, word(12)?);
    let is_sent = code <= 0;
    (length == buffer.len()).then_some(Arrived {
        number,
        is_sent,
        is_from_outside: is_sent && pid == 0,
    })
}

/// Resets SIGCHLD to its default, so that children can be waited for. Returns whether it was
/// ignored: a program can be started in that state, in which the kernel reaps children itself.
pub(crate) fn stop_ignoring_children() -> bool {
    // SAFETY: the default disposition installs no handler.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) == libc::SIG_IGN }
}

/// Undoes [`stop_ignoring_children`].
pub(crate) fn ignore_children() {
    // SAFETY: ignoring a signal installs no handler.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
}

/// Reads all signals from the descriptor of [`watch_children`], so that it is no longer readable.
pub(crate) fn clear(watch: &OwnedFd) -> io::Result<()> {
    let mut buffer = [0; size_of::<libc::signalfd_siginfo>()];
    while crate::sys::fds::read_available(watch, &mut buffer)?.is_some_and(|n| n > 0) {}
    Ok(())
}

/// Ignores SIGPIPE, as the standard library does before `main`.
pub(crate) fn ignore_sigpipe() {
    // SAFETY: ignoring a signal installs no handler.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}

/// Returns the name of a signal, `SIGSEGV`, or `signal 34` for one without a name.
pub(crate) fn name(signal: i32) -> String {
    Signal::try_from(signal).map_or_else(|_| format!("signal {signal}"), |known| known.to_string())
}

fn numbers() -> std::ops::RangeInclusive<i32> {
    1..=64
}

fn is_member(set: &SigSet, signal: i32) -> bool {
    // SAFETY: the set is initialised; a number out of range returns -1.
    unsafe { libc::sigismember(set.as_ref(), signal) == 1 }
}

/// Kills a child that has not been reaped.
pub(crate) fn kill(pid: Pid) {
    // SAFETY: sends a signal. The id is the child's until the child is reaped.
    unsafe { libc::kill(pid, libc::SIGKILL) };
}

/// Sends a signal to a child that has not been reaped; EINVAL for a number that is no signal.
#[cfg(feature = "lab")]
pub(crate) fn signal(pid: u32, number: i32) -> io::Result<()> {
    // SAFETY: sends a signal. The id is the child's until the child is reaped.
    Errno::result(unsafe { libc::kill(pid as Pid, number) })?;
    Ok(())
}

/// Wakes process 1 of the PID namespace, which waits for SIGCHLD. Returns `false` if this process
/// may not signal it.
#[cfg(feature = "lab")]
pub(crate) fn wake_init() -> bool {
    // SAFETY: sends a signal.
    Errno::result(unsafe { libc::kill(1, libc::SIGCHLD) }).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_round_trip() {
        let before = mask().unwrap();
        let usr1 = Mask(before.0 | 1 << (libc::SIGUSR1 - 1));
        set_mask(usr1).unwrap();
        assert_eq!(mask().unwrap(), usr1);
        set_mask(before).unwrap();
        assert_eq!(mask().unwrap(), before);
    }

    #[test]
    fn signals_have_names() {
        assert_eq!(name(libc::SIGSEGV), "SIGSEGV");
        assert_eq!(name(40), "signal 40");
    }
}
