//! A program that runs in a sandbox.

use std::io::{self, Write as _};
use std::os::unix::net::UnixStream;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, ExitStatus, Output};

use crate::sys::process::credentials;

/// A running program of a [`Sandbox`](crate::Sandbox), with the methods of [`std::process::Child`].
///
/// Dropping it does not end the program, which ends with the caller's process at the latest.
#[derive(Debug)]
pub struct SandboxChild {
    /// The write end of the program's standard input, if that was set to be piped.
    pub stdin: Option<ChildStdin>,
    /// The read end of its standard output, if that was set to be piped.
    pub stdout: Option<ChildStdout>,
    /// The read end of its standard error, if that was set to be piped.
    pub stderr: Option<ChildStderr>,
    monitor: Child,
    control: UnixStream,
}

impl SandboxChild {
    pub(crate) fn new(mut monitor: Child, control: UnixStream) -> Self {
        let (stdin, stdout, stderr) =
            (monitor.stdin.take(), monitor.stdout.take(), monitor.stderr.take());
        Self { stdin, stdout, stderr, monitor, control }
    }

    /// Returns the process id of the monitor, in the caller's PID namespace. The monitor passes
    /// signals on to the program, except SIGSTOP, which stops the monitor only. It ends with the
    /// program's status, without a core file.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.monitor.id()
    }

    /// Kills the program and every other process of its sandbox. After [`wait`](Self::wait) all of
    /// them have ended.
    ///
    /// # Errors
    ///
    /// The errors of [`std::process::Child::try_wait`], and of the write to the monitor. A program
    /// that has ended is no error.
    pub fn kill(&mut self) -> io::Result<()> {
        if self.monitor.try_wait()?.is_some() {
            return Ok(());
        }
        // It may have been stopped.
        credentials::wake(self.monitor.id());
        match self.control.write_all(b"k") {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    }

    /// Closes the program's standard input, then waits until the program and every other process of
    /// its sandbox have ended.
    ///
    /// # Errors
    ///
    /// ECHILD if the monitor has been reaped already.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        drop(self.stdin.take());
        self.monitor.wait()
    }

    /// Returns the program's status if it has ended, without waiting.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.monitor.try_wait()
    }

    /// Waits for the program, and returns its output on the streams that were set to be piped.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait), and those of reading.
    pub fn wait_with_output(mut self) -> io::Result<Output> {
        drop(self.stdin.take());
        self.monitor.stdout = self.stdout.take();
        self.monitor.stderr = self.stderr.take();
        self.monitor.wait_with_output()
    }
}
