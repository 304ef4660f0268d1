//! Programs on a host: a command with the methods of the standard library's.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Weak};

use crate::env;
use crate::error::{Error, Failure, Kind, Result, located};
use crate::isolation;
use crate::lab::fabric::node::Here;
use crate::lab::run::node::Node;
use crate::lab::run::programs::output::Source;
use crate::lab::run::programs::process::{NodeChild, Pipes};
use crate::lab::run::programs::search_path;
use crate::sys::process::command_methods::command_methods;
use crate::sys::{errno, fds};

/// A program to be started on a [`Node`], as [`std::process::Command`] is one to be started where the
/// caller is; see there for what the methods do.
///
/// Files and users are the caller's; network, hostname, `/etc/hosts`, `/etc/resolv.conf` and `/sys`
/// are the host's. What it writes is printed line by line, marked with the host's name
/// (`server| listening`), unless `stdout` or `stderr` is set; a line that is longer than 64 KiB in
/// pieces.
///
/// The program ends with the lab, and with the caller's process, also if that is killed. What the
/// program leaves behind ends with the lab; without the harness it outlives a caller that is killed.
pub struct NodeCommand<'lab> {
    host: &'lab Node,
    command: Command,
    directory: Option<PathBuf>,
    /// Whether it is started without the caller's variables.
    is_cleared: bool,
    /// Which of the standard streams have been set.
    set: [bool; 3],
    /// What there was of the host when it was told where to begin.
    placed: Option<Weak<Here>>,
}

/// Advice on what the caller has and a host has not.
const ONLY_THERE: &str = "the caller has it, and the host has not: hosts do not see what is mounted after \
    the lab was built; mount it before that, or on the host";

impl Node {
    /// A program to be started on the host. It is looked for, and looks for others, in the directories
    /// of the caller's `PATH`, then in `/usr/local/sbin`, `/usr/sbin` and `/sbin`, which an ordinary
    /// user's has not; `env("PATH", …)` sets others.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn test(lab: netns_test::Lab, server: netns_test::NodeId) -> netns_test::Result<()> {
    /// let output = lab[server].command("ip").args(["-brief", "address"]).output()?;
    /// println!("{}", String::from_utf8_lossy(&output.stdout));
    ///
    /// let _server = lab[server].command("nginx").args(["-g", "daemon off;"]).spawn()?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> NodeCommand<'_> {
        let mut command = Command::new(program);
        if let Some(path) = search_path::with_sbin(env::search_path().as_deref()) {
            command.env("PATH", path);
        }
        let (directory, placed) = (None, None);
        NodeCommand { host: self, command, directory, is_cleared: false, set: [false; 3], placed }
    }

    /// The same for tokio: its output is printed as that of [`command`](Self::command) unless it is set
    /// otherwise. It ends with the lab, and is not killed with the caller's process where that is not
    /// one of the harness.
    ///
    /// # Panics
    ///
    /// Where the table of descriptors is full, or the host is powered off.
    #[must_use]
    #[track_caller]
    pub fn tokio_command(&self, program: impl AsRef<OsStr>) -> tokio::process::Command {
        match self.command(program).into_tokio() {
            Ok(command) => command,
            Err(error) => {
                let (message, host) = (error.to_string(), self.name());
                isolation::note_lack(
                    &message,
                    "prepare a command on",
                    host,
                    &io::Error::other(error),
                );
                panic!("{message}")
            }
        }
    }
}

impl fmt::Debug for NodeCommand<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("NodeCommand");
        text.field("host", &self.host.name()).field("program", &self.get_program());
        text.field("args", &format_args!("{:?}", self.command.get_args())).finish()
    }
}

impl NodeCommand<'_> {
    command_methods! { cleared: [is_cleared], output: "; the lab does not print it then" }

    /// Sets the working directory. Unless it is set, it is the one that the calling thread has when
    /// it starts the program, or `/` where that one cannot be entered by its path.
    pub fn current_dir(&mut self, directory: impl AsRef<Path>) -> &mut Self {
        self.directory = Some(directory.as_ref().to_owned());
        self
    }

    /// Starts the program, and comes back when it runs.
    ///
    /// # Errors
    ///
    /// ENOENT for a program that is not there, also for one on a file system that the caller has mounted
    /// since the lab was built, which hosts do not see; EACCES for one that may not be run; EMFILE, EAGAIN,
    /// EPERM where the kernel refuses a step on the way. They name the program and the host.
    #[track_caller]
    pub fn spawn(&mut self) -> Result<NodeChild> {
        located(self.try_spawn())
    }

    fn try_spawn(&mut self) -> Result<NodeChild> {
        self.start(true)
    }

    /// Starts the program, and waits for its end.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Self::spawn).
    #[track_caller]
    pub fn status(&mut self) -> Result<ExitStatus> {
        located(self.spawn()?.wait_for_end())
    }

    /// Starts the program, with standard input empty and the others read unless they are set
    /// otherwise, and waits for its end. Nothing is printed.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Self::spawn).
    #[track_caller]
    pub fn output(&mut self) -> Result<Output> {
        located(self.try_output())
    }

    fn try_output(&mut self) -> Result<Output> {
        if !self.set[0] {
            self.command.stdin(Stdio::null());
        }
        let started = self.start(false);
        if !self.set[0] {
            self.command.stdin(Stdio::inherit());
        }
        started?.wait_with_output()
    }

    /// The standard library's command, for those who want one. Its output is not printed by the lab,
    /// and it ends with the lab but is not killed with the caller's process, whichever thread starts
    /// it.
    ///
    /// # Errors
    ///
    /// EMFILE where the table of descriptors is full.
    #[track_caller]
    pub fn into_std(self) -> Result<Command> {
        located(self.try_into_std())
    }

    fn try_into_std(mut self) -> Result<Command> {
        self.place(false)?;
        self.go_to_directory();
        Ok(self.command)
    }

    fn into_tokio(mut self) -> Result<tokio::process::Command> {
        let pipes = [fds::pipe(), fds::pipe()];
        let [out, err] = pipes.map(|pipe| pipe.map_err(|error| self.failure("capture", &error)));
        let ((out, to_out), (err, to_err)) = (out?, err?);
        self.print([Some(out), Some(err)])?;
        self.stdout(to_out).stderr(to_err);
        Ok(self.into_std()?.into())
    }

    fn print(&self, pipes: [Option<OwnedFd>; 2]) -> Result<()> {
        let source = Source::new(self.host.name(), pipes, None, Arc::default());
        let source = source.map_err(|error| self.failure("capture", &error))?;
        self.host.common.programs.print(source)
    }

    /// Starts it; what has not been set is printed, or else given to the child.
    fn start(&mut self, printed: bool) -> Result<NodeChild> {
        self.place(true)?;
        self.go_to_directory();
        let [_, stdout, stderr] = self.set;
        if !stdout {
            self.command.stdout(Stdio::piped());
        }
        if !stderr {
            self.command.stderr(Stdio::piped());
        }
        let programs = &self.host.common.programs;
        let started = programs.start(&mut self.command)?;
        let mut child = started.map_err(|error| self.not_started(&error))?;
        let pipes = Pipes {
            stdout: if printed && !stdout { child.stdout.take() } else { None },
            stderr: if printed && !stderr { child.stderr.take() } else { None },
        };
        let print = |source| programs.print(source);
        let child = NodeChild::new(self.host.live(), &self.name(), child, pipes, print)?;
        programs.note(&child.program);
        // One that began after a power cut had killed all others is none that a host has.
        self.place(true)?;
        Ok(child)
    }

    /// Has the program begin on the host.
    fn place(&mut self, bound: bool) -> Result<()> {
        let here = self.host.here()?;
        match &self.placed {
            Some(there) if there.as_ptr() == Arc::as_ptr(&here) => return Ok(()),
            Some(_) => {
                let why = "it was to begin on the host before that was powered off";
                let failure = Failure::new("start", self.subject(), why);
                return Err(failure.of(Kind::PoweredOff).into());
            }
            None => {}
        }
        let place = here.place.try_clone();
        let place = place.map_err(|error| self.failure("start", &error))?;
        place.set_for(&mut self.command, bound);
        self.placed = Some(Arc::downgrade(&here));
        Ok(())
    }

    /// A directory is that of the thread which calls, not of the one that starts programs.
    fn go_to_directory(&mut self) {
        let directory = self.directory();
        self.command.current_dir(directory);
    }

    fn directory(&self) -> PathBuf {
        // None for one that has been deleted.
        let own = std::env::current_dir().ok();
        let can_be_entered = |own: &PathBuf| own.join(".").is_dir();
        match &self.directory {
            Some(given) => own.unwrap_or_default().join(given),
            None => own.filter(can_be_entered).unwrap_or_else(|| "/".into()),
        }
    }

    fn not_started(&self, error: &io::Error) -> Error {
        let directory = self.directory();
        if !directory.is_dir() {
            return self.no_directory(&directory, error).into();
        }
        let program = Path::new(self.command.get_program());
        // One without a slash is looked for in several directories.
        let is_path = program.components().nth(1).is_some();
        if error.kind() == io::ErrorKind::PermissionDenied && !is_path {
            let failure = errno::failure("start", self.subject(), error).advise(self.searched());
            return failure.advise("one of these, or the program there, may not be used").into();
        }
        if error.kind() != io::ErrorKind::NotFound {
            return self.failure("start", error);
        }
        // The kernel does not say which of them it has not found.
        if self.is_the_callers_only(&directory) {
            return self.no_directory(&directory, error).advise(ONLY_THERE).into();
        }
        let failure = errno::failure("start", self.subject(), error);
        if !is_path {
            return failure.advise(self.searched()).into();
        }
        if self.is_the_callers_only(&directory.join(program)) {
            return failure.advise(ONLY_THERE).into();
        }
        failure.into()
    }

    /// Where a program without a slash in its name has been looked for: in the directories of the variable
    /// that it was to be started with (execvp(3)).
    fn searched(&self) -> String {
        let set = self.command.get_envs().find(|(name, _)| *name == "PATH");
        let path = match set {
            Some((_, value)) => value.map(OsStr::to_owned),
            None if self.is_cleared => None,
            None => env::search_path(),
        };
        match path {
            Some(path) => format!("searched: PATH={}", path.to_string_lossy()),
            None => "searched: the directories of the C library, since PATH is not set".to_owned(),
        }
    }

    fn no_directory(&self, directory: &Path, error: &io::Error) -> Failure {
        let object = format!("{} for {}", directory.display(), self.subject());
        errno::failure("chdir", object, error)
    }

    /// Whether the calling thread sees what the host does not.
    fn is_the_callers_only(&self, path: &Path) -> bool {
        let is_missing = || matches!(path.try_exists(), Ok(false));
        path.exists() && self.host.here().is_ok() && self.host.run(is_missing)
    }

    fn failure(&self, step: &str, error: &io::Error) -> Error {
        errno::failure(step, self.subject(), error).into()
    }

    /// `nginx on server`
    fn subject(&self) -> String {
        format!("{} on {}", self.name(), self.host.name())
    }

    fn name(&self) -> String {
        self.command.get_program().to_string_lossy().into_owned()
    }
}
