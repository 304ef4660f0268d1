//! A command that starts in a sandbox, with the methods of the standard library's.

use std::ffi::OsStr;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::Arc;

use crate::diagnose;
use crate::error::{Error, Result};
use crate::sandbox::description::Sandbox;
use crate::sandbox::steps::{LaidOut, lay_out};
use crate::sandbox::{SandboxChild, errors};
use crate::sys::errno;
use crate::sys::launch;
use crate::sys::launch::{Ends, Outcome};
use crate::sys::process::command_methods::command_methods;

/// A command that starts a program in a [`Sandbox`], with the methods of [`std::process::Command`].
/// Unlike with that, the program inherits only the standard streams and the descriptors that are
/// [passed](Self::pass_fd).
///
/// If the kernel refuses a step, the error names the step, the object and the kernel's reason, and
/// no process is left. The program ends with the caller's process, even if that is killed.
#[derive(Debug)]
pub struct SandboxCommand {
    sandbox: Sandbox,
    command: Command,
    directory: Option<PathBuf>,
    passed: Arc<Vec<OwnedFd>>,
    /// Standard input, output and error: whether each has been set.
    set: [bool; 3],
    ready: Option<Ready>,
}

/// The plan of a start, laid out at the first one.
#[derive(Debug)]
struct Ready {
    laid_out: LaidOut,
    ends: Arc<Ends>,
}

impl Sandbox {
    /// Returns a command that starts `program` in the sandbox. A name without a slash is searched
    /// for in the directories of the `PATH` in the program's environment, below the sandbox's root.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> SandboxCommand {
        SandboxCommand::new(self.clone(), program.as_ref())
    }
}

impl SandboxCommand {
    pub(crate) fn new(sandbox: Sandbox, program: &OsStr) -> Self {
        let command = Command::new(program);
        let passed = Arc::default();
        Self { sandbox, command, directory: None, passed, set: [false; 3], ready: None }
    }

    command_methods! { cleared: [], output: "" }

    /// Sets the working directory, a path of the sandbox. Default: `/` with a
    /// [`rootfs`](Sandbox::rootfs), otherwise the caller's.
    ///
    /// # Panics
    ///
    /// If the command has been started already.
    pub fn current_dir(&mut self, directory: impl AsRef<Path>) -> &mut Self {
        assert!(self.ready.is_none(), "the directory is set before the command is started");
        self.directory = Some(directory.as_ref().to_owned());
        self
    }

    /// Passes `fd` to the program, and returns its number, which is the same in the program. Other
    /// descriptors are not inherited, because a descriptor of a directory leads out of the
    /// [`rootfs`](Sandbox::rootfs).
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
    /// If the command has been started already; if `fd` is a standard stream, which
    /// [`stdin`](Self::stdin), [`stdout`](Self::stdout) or [`stderr`](Self::stderr) sets.
    pub fn pass_fd(&mut self, fd: impl Into<OwnedFd>) -> RawFd {
        let fd = fd.into();
        let number = fd.as_raw_fd();
        assert!(number > 2, "descriptor {number} is a standard stream");
        let passed = Arc::get_mut(&mut self.passed);
        passed.expect("descriptors are passed before the command is started").push(fd);
        number
    }

    /// Starts the program, and returns when it runs.
    ///
    /// # Errors
    ///
    /// A step that the kernel refuses; ENOENT if the program does not exist, EACCES if it is not
    /// executable.
    ///
    /// # Panics
    ///
    /// As [`std::process::Command::spawn`], if the program cannot be run and its process has been
    /// reaped already, for example by the kernel for a caller that ignores SIGCHLD.
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
        let failure = match line.outcome() {
            Outcome::Begun => return Ok(SandboxChild::new(child, line.control)),
            Outcome::Refused(refusal, words) => errors::explain(laid_out, refusal, &words),
            // Killed before exec. A caller that ignores SIGCHLD does not learn the signal.
            Outcome::Nothing => errors::death(child.wait().ok().and_then(|status| status.signal())),
        };
        // It has sent its report and ends; another part of the caller may have reaped it.
        drop(child.wait());
        Err(failure.into())
    }

    /// Starts the program and waits for its end. Standard streams that are not set are the
    /// caller's.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Self::spawn).
    pub fn status(&mut self) -> Result<ExitStatus> {
        let status = self.spawn()?.wait();
        status.map_err(|error| self.failure("wait for", &error))
    }

    /// Starts the program, waits for its end and collects its output. By default standard input is
    /// empty, and standard output and standard error are piped.
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

    /// Converts to the standard library's command, which enters the sandbox when it is started: for
    /// `tokio::process::Command::from` and others.
    ///
    /// Its error for a refused step is the error number only. Its child is the sandbox's monitor;
    /// if that is killed, the sandbox ends soon after. Do not use its `uid`, `gid` and `exec`.
    /// Descriptors that a `pre_exec` closure opens are inherited.
    ///
    /// # Errors
    ///
    /// Mistakes in the description, and failures to lay out the steps.
    pub fn into_std(mut self) -> Result<Command> {
        self.lay_out()?;
        Ok(self.command)
    }

    /// Resets the streams that have not been set to the caller's.
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
