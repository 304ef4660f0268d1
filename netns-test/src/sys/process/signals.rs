//! Signals: masks, dispositions and names.

use std::io;
use std::os::fd::OwnedFd;

use nix::sys::signal::{SigSet, Signal};

/// The signal that no process can block.
pub(crate) const KILL: i32 = libc::SIGKILL;

/// `SIGSYS`: a seccomp filter refuses a system call by it.
pub(crate) const SYS: i32 = libc::SIGSYS;

/// A thread's signal mask, one bit a signal (bit 0 is signal 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mask(pub(crate) u64);

/// The calling thread's mask.
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

/// Changes the calling thread's mask, and returns the previous one. Not by `nix`, which takes the
/// error number that `pthread_sigmask(3)` returns for success.
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
    Ok(crate::sys::fds::adopt(nix::errno::Errno::result(fd)?))
}

fn of_children() -> SigSet {
    let mut set = SigSet::empty();
    set.add(Signal::SIGCHLD);
    set
}

/// Blocks every signal that can be blocked in the calling thread; what was blocked before.
pub(crate) fn block_all() -> io::Result<Mask> {
    let before = mask()?;
    change(libc::SIG_SETMASK, &SigSet::all())?;
    Ok(before)
}

/// Creates a descriptor to read blocked signals from (signalfd(2)).
pub(crate) fn descriptor() -> io::Result<OwnedFd> {
    let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
    // SAFETY: the set is initialised, and -1 asks for a new descriptor.
    let fd = unsafe { libc::signalfd(-1, SigSet::all().as_ref(), flags) };
    Ok(crate::sys::fds::adopt(nix::errno::Errno::result(fd)?))
}

/// A signal that has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrived {
    pub(crate) number: i32,
    /// By kill(2) and the like, not by the kernel: a terminal's go to the whole group.
    pub(crate) is_sent: bool,
    /// By a process that this PID namespace does not know.
    pub(crate) is_from_outside: bool,
}

/// The next one on what [`descriptor`] gave.
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

/// Resets SIGCHLD, so that children can be waited for, and returns whether it was ignored, as the
/// starter of a program can set it: the kernel then reaps children itself.
pub(crate) fn stop_ignoring_children() -> bool {
    // SAFETY: the default disposition installs no handler.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) == libc::SIG_IGN }
}

/// Undoes [`stop_ignoring_children`].
pub(crate) fn ignore_children() {
    // SAFETY: ignoring a signal installs no handler.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
}

/// Takes what has been reported on the descriptor of [`watch_children`].
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

/// `SIGSEGV`; a number for real-time signals.
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
