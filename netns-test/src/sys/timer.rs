//! A timer and a wake-up as descriptors (`timerfd_create(2)`, eventfd(2)), and the clocks for them.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::errno::Errno;

use crate::sys::fds::adopt;

/// A timer of the monotonic clock, which becomes readable when its time has come.
#[derive(Debug)]
pub(crate) struct Timer(OwnedFd);

/// A wake-up, which is readable after [`Wakeup::wake`] until [`Wakeup::clear`].
#[derive(Debug)]
pub(crate) struct Wakeup(OwnedFd);

impl Timer {
    pub(crate) fn new() -> io::Result<Self> {
        let flags = libc::TFD_NONBLOCK | libc::TFD_CLOEXEC;
        // SAFETY: makes a descriptor.
        let fd = Errno::result(unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, flags) })?;
        Ok(Self(adopt(fd)))
    }

    /// Sets the time, in nanoseconds of the monotonic clock, or stops the timer. A time that has
    /// passed makes it readable at once.
    pub(crate) fn set(&self, time: Option<u64>) -> io::Result<()> {
        // Zero would stop it.
        let time = time.map_or(0, |time| time.max(1));
        let never = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let value = libc::timespec {
            tv_sec: (time / SECOND).try_into().unwrap_or(libc::time_t::MAX),
            tv_nsec: (time % SECOND) as _,
        };
        let value = libc::itimerspec { it_interval: never, it_value: value };
        let (flags, before) = (libc::TFD_TIMER_ABSTIME, std::ptr::null_mut());
        // SAFETY: the kernel reads one `itimerspec`, and writes nothing to a null pointer.
        let result =
            unsafe { libc::timerfd_settime(self.0.as_raw_fd(), flags, &raw const value, before) };
        Errno::result(result)?;
        Ok(())
    }

    /// Makes an expired timer unreadable.
    pub(crate) fn clear(&self) -> io::Result<()> {
        clear(&self.0)
    }

    pub(crate) fn descriptor(&self) -> &OwnedFd {
        &self.0
    }
}

impl Wakeup {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: makes a descriptor.
        let fd = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
        Ok(Self(adopt(Errno::result(fd)?)))
    }

    /// Makes it readable. Does not wait.
    pub(crate) fn wake(&self) -> io::Result<()> {
        match nix::unistd::write(&self.0, &1_u64.to_ne_bytes()) {
            // It has been readable for a very long time.
            Ok(_) | Err(Errno::EAGAIN) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    pub(crate) fn clear(&self) -> io::Result<()> {
        clear(&self.0)
    }

    pub(crate) fn descriptor(&self) -> &OwnedFd {
        &self.0
    }
}

/// Reads the monotonic clock in nanoseconds.
pub(crate) fn monotonic() -> u64 {
    read(libc::CLOCK_MONOTONIC)
}

/// Reads the realtime clock in nanoseconds since 1970. It may be set at any time.
pub(crate) fn realtime() -> u64 {
    read(libc::CLOCK_REALTIME)
}

const SECOND: u64 = 1_000_000_000;

fn read(clock: libc::clockid_t) -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the C library writes one `timespec` to the live variable. Both clocks exist on every
    // Linux, so this cannot fail.
    unsafe { libc::clock_gettime(clock, &raw mut now) };
    u64::try_from(now.tv_sec).unwrap_or(0) * SECOND + u64::try_from(now.tv_nsec).unwrap_or(0)
}

fn clear(fd: &OwnedFd) -> io::Result<()> {
    crate::sys::fds::read_available(fd, &mut [0; 8]).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::fds::wait_for_any;

    #[test]
    fn a_timer_expires_and_not_before() {
        let timer = Timer::new().unwrap();
        let due = monotonic() + 2_000_000;
        timer.set(Some(due)).unwrap();
        assert!(wait_for_any([Some(timer.descriptor()), None, None, None]).unwrap()[0]);
        assert!(monotonic() >= due);
        timer.clear().unwrap();
        timer.set(Some(0)).unwrap();
        assert!(wait_for_any([Some(timer.descriptor()), None, None, None]).unwrap()[0]);
    }

    #[test]
    fn a_wakeup_stays_until_it_is_cleared() {
        let (wakeup, timer) = (Wakeup::new().unwrap(), Timer::new().unwrap());
        timer.set(Some(1)).unwrap();
        let look = || {
            let fds = [Some(wakeup.descriptor()), Some(timer.descriptor()), None, None];
            wait_for_any(fds).unwrap()
        };
        assert_eq!(look(), [false, true, false, false]);
        wakeup.wake().unwrap();
        wakeup.wake().unwrap();
        assert_eq!(look(), [true, true, false, false]);
        wakeup.clear().unwrap();
        assert_eq!(look(), [false, true, false, false]);
    }
}
