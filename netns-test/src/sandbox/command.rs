//! A command that starts in a sandbox, with the methods of the standard library's.

use std::ffi::OsStr;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::Arc;

use crate::diagnose;
use crate::error::{Error, Result};
use crate::sandbox::steps::{LaidOut, lay_out};
use crate::sandbox::{Sandbox, SandboxChild, errors};
use crate::sys::errno;
use crate::sys::launch;
use crate::sys::launch::{Ends, Told};
use crate::sys::process::command_methods::command_methods;

/// A program to be started in a [`Sandbox`], as [`std::process::Command`] is one to be started where
/// the caller is; see there for what the methods do. Unlike there, the program inherits no descriptor
/// but the standard streams and those that are [passed](Self::pass_fd).
///
/// Whatever is refused on the way, the error names the step, the object and the kernel's reason,
/// and no process is left. The program ends with the caller's process, also if that is killed.
#[derive(Debug)]
pub struct SandboxCommand {
    sandbox: Sandbox,
    command: Command,
    directory: Option<PathBuf>,
    passed: Arc<Vec<OwnedFd>>,
    /// Which of the standard streams have been set.
    set: [bool; 3],
    ready: Option<Ready>,
}

/// What has been laid out, once it has.
#[derive(Debug)]
struct Ready {
    laid_out: LaidOut,
    ends: Arc<Ends>,
}

impl SandboxCommand {
    pub(crate) fn new(sandbox: Sandbox, program: &OsStr) -> Self {
        let command = Command::new(program);
        let passed = Arc::default();
        Self { sandbox, command, directory: None, passed, set: [false; 3], ready: None }
    }

    command_methods! { cleared: [], output: "" }

    /// Sets the working directory, a path of the sandbox. Unless it is set, it is `/` where there is
    /// a [`rootfs`](Sandbox::rootfs), or where the caller is.
    ///
    /// # Panics
    ///
    /// Once the command has been started.
    pub fn current_dir(&mut self, directory: impl AsRef<Path>) -> &mut Self {
        assert!(self.ready.is_none(), "the directory is set before the command is started");
        self.directory = Some(directory.as_ref().to_owned());
        self
    }

    /// Passes `fd` to the program, which has it under the number that is returned, as here. Without
    /// this the program has the standard streams alone: a descriptor of a directory leads out of the
    /// [`rootfs`](Sandbox::rootfs), whatever it was opened for.
    ///
    /// ```
    /// # #[cfg(target_os = "linux")] {
    /// use netns_test::{Sandbox, netns_test};
    ///
    /// #[netns_test]
    /// fn a_program_reads_a_descriptor() -> netns_test::Result<()> {
    ///     let mut command = Sandbox::new().command("sh");
    ///     let number = command.pass_fd(std::fs::File::open("/proc/version").unwrap());
    ///     let output = command.args(["-c", &format!("cat <&{number}")]).output()?;
    ///     assert!(output.stdout.starts_with(b"Linux"));
    ///     Ok(())
    /// }
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// Once the command has been started; for a standard stream, which [`stdin`](Self::stdin) and the
    /// like set.
    pub fn pass_fd(&mut self, fd: impl Into<OwnedFd>) -> RawFd {
        let fd = fd.into();
        let number = fd.as_raw_fd();
        assert!(number > 2, "descriptor {number} is a standard stream");
        let passed = Arc::get_mut(&mut self.passed);
        passed.expect("descriptors are passed before the command is started").push(fd);
        number
    }

    /// Starts the program, and comes back when it runs.
    ///
    /// # Errors
    ///
    /// Every step that the kernel refuses; ENOENT for a program that is not there, EACCES for one
    /// that may not be run.
    ///
    /// # Panics
    ///
    /// As [`std::process::Command::spawn`] does, where the program cannot be run and somebody else
    /// has waited for its process: the kernel, for a caller that ignores SIGCHLD.
    pub fn spawn(&mut self) -> Result<SandboxChild> {
        self.lay_out()?;
        let Some(Ready { laid_out, ends }) = &self.ready else { unreachable!("it is laid out") };
        let connected = ends.connect();
        let (line, held) = connected
            .map_err(|error| diagnose::explain("connect to", "the program's process", &error))?;
        let started = self.command.spawn();
        ends.disconnect();
        drop(held);
        let mut child = match started {
            Ok(child) => child,
            Err(error) => {
                let program = self.command.get_program();
                return Err(errors::not_started(laid_out, program, &error).into());
            }
        };
        let failure = match line.told() {
            Told::Begun => return Ok(SandboxChild::new(child, line.control)),
            Told::Refused(refusal, words) => errors::explain(laid_out, refusal, &words),
            // Killed on its way. Who ignores its children is not told by what.
            Told::Nothing => errors::death(child.wait().ok().and_then(|status| status.signal())),
        };
        // It has told, and ends; somebody else may have seen that.
        drop(child.wait());
        Err(failure.into())
    }

    /// Starts the program, with the caller's standard streams unless others are set, and waits for
    /// its end.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Self::spawn).
    pub fn status(&mut self) -> Result<ExitStatus> {
        let status = self.spawn()?.wait();
        status.map_err(|error| self.failure("wait for", &error))
    }

    /// Starts the program, with standard input empty and the others read unless they are set
    /// otherwise, and waits for its end.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Self::spawn).
    pub fn output(&mut self) -> Result<Output> {
        let [stdin, stdout, stderr] = self.set;
        if !stdin {
            self.command.stdin(Stdio::null());
        }
        if !stdout {
            self.command.stdout(Stdio::piped());
        }
        if !stderr {
            self.command.stderr(Stdio::piped());
        }
        let started = self.spawn();
        self.inherit_again();
        let output = started?.wait_with_output();
        output.map_err(|error| self.failure("wait for", &error))
    }

    /// The standard library's command, which does all of this when it is started: for
    /// `tokio::process::Command::from` and others. A refused step is told by its error number
    /// alone there, and the child is the sandbox's monitor: to kill it is to end the sandbox, soon
    /// after. Its `uid`, `gid` and `exec` are not for this. Descriptors that a `pre_exec` of its own makes
    /// are inherited.
    ///
    /// # Errors
    ///
    /// What can be told before anything is started.
    pub fn into_std(mut self) -> Result<Command> {
        self.lay_out()?;
        Ok(self.command)
    }

    /// Has the streams that nobody has set be the caller's.
    fn inherit_again(&mut self) {
        let [stdin, stdout, stderr] = self.set;
        if !stdin {
            self.command.stdin(Stdio::inherit());
        }
        if !stdout {
            self.command.stdout(Stdio::inherit());
        }
        if !stderr {
            self.command.stderr(Stdio::inherit());
        }
    }

    fn lay_out(&mut self) -> Result<()> {
        if self.ready.is_some() {
            return Ok(());
        }
        let laid_out = lay_out(&self.sandbox, self.directory.as_deref(), &self.passed)?;
        let ends = Arc::new(Ends::none());
        launch::set_up(&mut self.command, Arc::clone(&laid_out.plan), Arc::clone(&ends));
        self.ready = Some(Ready { laid_out, ends });
        Ok(())
    }

    fn failure(&self, step: &str, error: &std::io::Error) -> Error {
        errno::failure(step, self.command.get_program().to_string_lossy(), error).into()
    }
}
