//! Processes of which `/proc/PID` shows few facts: their main thread has ended, or is elsewhere.

#![expect(unsafe_code, reason = "fork, and the end of one thread alone")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

use crate::{LIMIT, eventually};

/// A child of this process whose second thread waits to be killed.
#[derive(Debug)]
pub struct Remnant {
    pid: libc::pid_t,
    /// Closed when the child has ended.
    held: UnixStream,
}

impl Remnant {
    /// Forks a child whose main thread ends.
    ///
    /// # Panics
    ///
    /// Panics if the child cannot be made.
    #[must_use]
    pub fn without_main_thread() -> Self {
        let own = Self::fork(|| {}, true);
        eventually(LIMIT, "the main thread has ended", || {
            let status = own.status();
            if status.contains("\nState:\tZ") { Ok(()) } else { Err(status) }
        });
        own
    }

    /// Forks a child that has its main thread, and `work` done by the second thread.
    ///
    /// # Panics
    ///
    /// Panics if the child cannot be made, or `work` panics.
    #[must_use]
    pub fn with_second_thread(work: impl FnOnce() + Send + 'static) -> Self {
        Self::fork(work, false)
    }

    fn fork(work: impl FnOnce() + Send + 'static, main_thread_ends: bool) -> Self {
        let (mut held, mut theirs) = UnixStream::pair().expect("a pair of sockets");
        // SAFETY: the child takes no lock that another thread of this process may hold, but those
        // of the allocator, which the C library makes free.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "fork: {}", std::io::Error::last_os_error());
        if pid == 0 {
            drop(held);
            std::thread::spawn(move || {
                work();
                theirs.write_all(b"r").expect("the parent reads");
                loop {
                    std::thread::park();
                }
            });
            if main_thread_ends {
                // SAFETY: ends this thread, whose stack is not used after it.
                unsafe { libc::syscall(libc::SYS_exit, 0) };
            }
            loop {
                std::thread::park();
            }
        }
        drop(theirs);
        held.set_read_timeout(Some(LIMIT)).expect("a time limit");
        held.read_exact(&mut [0]).expect("the child's second thread runs");
        Self { pid, held }
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.pid.unsigned_abs()
    }

    /// Waits for the end of the child; returns whether it was killed.
    #[must_use]
    pub fn was_killed(mut self) -> bool {
        self.held.read(&mut [0]).is_ok_and(|length| length == 0)
    }

    fn status(&self) -> String {
        fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default()
    }
}

impl Drop for Remnant {
    fn drop(&mut self) {
        // SAFETY: the number is a child's that has not been reaped.
        unsafe { libc::kill(self.pid, libc::SIGKILL) };
        // SAFETY: null where no status is wanted.
        unsafe { libc::waitpid(self.pid, std::ptr::null_mut(), 0) };
    }
}
