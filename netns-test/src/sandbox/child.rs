//! A program that runs in a sandbox.

use std::io::{self, Write as _};
use std::os::unix::net::UnixStream;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, ExitStatus, Output};

use crate::sys::process::credentials;

/// A running program of a [`Sandbox`](crate::Sandbox), as [`std::process::Child`] is one.
///
/// Dropping it leaves the program running, as long as the caller's process does.
#[derive(Debug)]
pub struct SandboxChild {
    /// Where the program's standard input is written, if it was set to be piped.
    pub stdin: Option<ChildStdin>,
    /// Where its standard output is read, if it was set to be piped.
    pub stdout: Option<ChildStdout>,
    /// Where its standard error is read, if it was set to be piped.
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

    /// A process id, as the caller sees it, that stands for the program: a signal sent to it reaches
    /// the program (but SIGSTOP, which stops this process alone), and it ends as the program does,
    /// without a core file. It is not the program's own.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.monitor.id()
    }

    /// Kills the program and every other process of its sandbox. After [`wait`](Self::wait) there is
    /// none.
    ///
    /// # Errors
    ///
    /// None for a program that has ended.
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

    /// Waits until the program has ended, and every process of its sandbox with it. Closes its
    /// standard input before.
    ///
    /// # Errors
    ///
    /// ECHILD where somebody else has waited for it.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        drop(self.stdin.take());
        self.monitor.wait()
    }

    /// The same, if that is so already.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.monitor.try_wait()
    }

    /// Waits, and gives what the program has written to the streams that were set to be piped.
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
