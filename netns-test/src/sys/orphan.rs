//! A process that outlives its parent for a moment, and for no longer.
//!
//! A process that waits for the end of its parent does not notice it while it is stopped. SIGCONT
//! as the parent's death signal (`PR_SET_PDEATHSIG` of prctl(2)) continues it. The handler of that
//! signal sets an alarm(2), which ends the process also where the program is busy.

use std::io;
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicUsize, Ordering};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};

use crate::sys::process;
use crate::sys::process::Pid;

static PARENT: AtomicI32 = AtomicI32::new(0);
/// Limit in seconds; 0 before [`outlive`], and after [`end_soon`].
static LIMIT: AtomicU32 = AtomicU32::new(0);
/// Disposition of SIGCONT before [`outlive`].
static BEFORE: AtomicUsize = AtomicUsize::new(libc::SIG_DFL);

/// Makes this process end at most `limit` seconds after `parent`, instead of with the thread that
/// has forked it. A child must call [`forget`].
pub(crate) fn outlive(parent: Pid, limit: u32) -> io::Result<()> {
    PARENT.store(parent, Ordering::Relaxed);
    LIMIT.store(limit, Ordering::Relaxed);
    let handler = continued as extern "C" fn(libc::c_int) as libc::sighandler_t;
    // SAFETY: the handler makes only calls that signal-safety(7) lists, and keeps errno: none of
    // them fails.
    let before = unsafe { libc::signal(libc::SIGCONT, handler) };
    if before == libc::SIG_ERR {
        return Err(Errno::last().into());
    }
    BEFORE.store(before, Ordering::Relaxed);
    let mut set = SigSet::empty();
    set.add(Signal::SIGCONT);
    set.add(Signal::SIGALRM);
    set.thread_unblock()?;
    Ok(nix::sys::prctl::set_pdeathsig(Signal::SIGCONT)?)
}

/// Makes this process end after that limit at the latest. Only the first call has an effect.
pub(crate) fn end_soon() {
    let limit = LIMIT.swap(0, Ordering::Relaxed);
    if limit > 0 {
        // SAFETY: the default disposition installs no handler.
        unsafe { libc::signal(libc::SIGALRM, libc::SIG_DFL) };
        // SAFETY: the signal's default action ends the process.
        unsafe { libc::alarm(limit) };
    }
}

/// Undoes in a child what it has inherited from a process that has called [`outlive`].
pub(crate) fn forget() {
    if LIMIT.swap(0, Ordering::Relaxed) > 0 {
        // SAFETY: it was the disposition of this program before.
        unsafe { libc::signal(libc::SIGCONT, BEFORE.load(Ordering::Relaxed)) };
    }
}

extern "C" fn continued(_: libc::c_int) {
    if process::parent_id() != PARENT.load(Ordering::Relaxed) {
        end_soon();
    }
}
