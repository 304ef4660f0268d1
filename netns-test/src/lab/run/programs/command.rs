//! Commands for programs on nodes, with the methods of the standard library's.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Weak};

use crate::diagnose;
use crate::env;
use crate::error::{Error, Failure, Kind, Result, located};
use crate::isolation;
use crate::lab::fabric::node::Namespaces;
use crate::lab::run::node::Node;
use crate::lab::run::programs::output::Source;
use crate::lab::run::programs::process::{NodeChild, Pipes};
use crate::lab::run::programs::search_path;
use crate::sys::process::command_methods::command_methods;
use crate::sys::{errno, fds};

/// Program to be started on a [`Node`]. Its methods do the same as those of
/// [`std::process::Command`].
///
/// The program has the node's network, hostname, `/etc/hosts`, `/etc/resolv.conf` and `/sys`. Other
/// files, and users, are the caller's. Its output is printed line by line after the node's name
/// (`server| listening`), unless `stdout` or `stderr` is set. A line of more than 64 KiB is printed
/// in pieces.
///
/// The program is killed when the lab ends, and when the caller's process ends or is killed.
/// Processes that the program has started are killed when the lab ends. Outside of a
/// [`netns_test`](crate::netns_test) body they continue if the caller is killed.
pub struct NodeCommand<'lab> {
    node: &'lab Node,
    command: Command,
    directory: Option<PathBuf>,
    /// Whether the environment has been cleared.
    is_cleared: bool,
    /// Standard streams that have been set.
    set: [bool; 3],
    /// Namespaces that the command has been prepared for.
    placed: Option<Weak<Namespaces>>,
}

/// Advice on a path that the caller has and the node does not.
const ONLY_THERE: &str = "the caller has it, and the node has not: nodes do not see what is mounted after \
    the lab was built; mount it before that, or on the node";

impl Node {
    /// Returns a command for a program on the node. The program is searched for in the directories
    /// of the caller's `PATH`, then in `/usr/local/sbin`, `/usr/sbin` and `/sbin`, which the `PATH`
    /// of an ordinary user lacks. It gets this `PATH`; `env("PATH", …)` sets another one.
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
        command.envs(self.live().variables());
        let (directory, placed) = (None, None);
        NodeCommand { node: self, command, directory, is_cleared: false, set: [false; 3], placed }
    }

    /// Sets an environment variable of the programs that are started on this node from now on, such
    /// as `RUST_LOG`. The command's own `env` comes first.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn test(lab: netns_test::Lab, server: netns_test::NodeId) -> netns_test::Result<()> {
    /// lab[server].set_env("RUST_LOG", "my_server=debug");
    /// let _server = lab[server].command("my-server").spawn()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_env(&self, name: impl Into<OsString>, value: impl Into<OsString>) {
        self.live().set_variable(name.into(), value.into());
    }

    /// Returns the same command for tokio. Its output is printed as that of
    /// [`command`](Self::command), unless it is set otherwise. The program is killed when the lab
    /// ends. If the caller's process is killed, the program is killed only inside of a
    /// [`netns_test`](crate::netns_test) body.
    ///
    /// # Panics
    ///
    /// If the table of descriptors is full, or the node is powered off.
    #[must_use]
    #[track_caller]
    pub fn tokio_command(&self, program: impl AsRef<OsStr>) -> tokio::process::Command {
        match self.command(program).into_tokio() {
            Ok(command) => command,
            Err(error) => {
                let (message, node) = (error.to_string(), self.name());
                isolation::note_lack(
                    &message,
                    "prepare a command on",
                    node,
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
        text.field("node", &self.node.name()).field("program", &self.get_program());
        text.field("args", &format_args!("{:?}", self.command.get_args())).finish()
    }
}

impl NodeCommand<'_> {
    command_methods! { cleared: [is_cleared], output: "; the lab does not print it then" }

    /// Sets the working directory. The default is that of the thread that starts the program, or
    /// `/` if the program cannot enter it by its path.
    pub fn current_dir(&mut self, directory: impl AsRef<Path>) -> &mut Self {
        self.directory = Some(directory.as_ref().to_owned());
        self
    }

    /// Starts the program, and returns when it runs.
    ///
    /// # Errors
    ///
    /// ENOENT for a program that does not exist, or that is on a file system which was mounted
    /// after the node was made, since nodes do not see such mounts; EACCES for a program that may
    /// not be run; EMFILE, EAGAIN, EPERM for a step that the kernel refuses; a node that is
    /// powered off or frozen. The error has the names of the program and the node.
    #[track_caller]
    pub fn spawn(&mut self) -> Result<NodeChild> {
        located(self.try_spawn())
    }

    fn try_spawn(&mut self) -> Result<NodeChild> {
        self.start(true)
    }

    /// Starts the program and waits for its end.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Self::spawn).
    #[track_caller]
    pub fn status(&mut self) -> Result<ExitStatus> {
        located(self.spawn()?.wait_for_end())
    }

    /// Starts the program, waits for its end, and returns its output, which is not printed. By
    /// default standard input is empty.
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

    /// Converts to the standard library's command. The lab does not print its output. The program
    /// is killed when the lab ends, but not when the caller's process is killed, whichever thread
    /// starts it.
    ///
    /// # Errors
    ///
    /// EMFILE if the table of descriptors is full.
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
        let [out, err] = pipes.map(|pipe| pipe.map_err(|error| self.failure("pipe for", &error)));
        let ((out, to_out), (err, to_err)) = (out?, err?);
        self.print([Some(out), Some(err)])?;
        self.stdout(to_out).stderr(to_err);
        Ok(self.into_std()?.into())
    }

    fn print(&self, pipes: [Option<OwnedFd>; 2]) -> Result<()> {
        let source = Source::new(self.node.name(), pipes, None, (Arc::default(), None));
        let source = source.map_err(|error| self.failure("fcntl the output of", &error))?;
        self.node.common.programs.print(source)
    }

    /// Starts the program. Streams that are not set are printed, or else kept for the handle.
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
        let programs = &self.node.common.programs;
        let started = programs.start(&mut self.command)?;
        let mut child = started.map_err(|error| self.not_started(&error))?;
        let pipes = Pipes {
            stdout: if printed && !stdout { child.stdout.take() } else { None },
            stderr: if printed && !stderr { child.stderr.take() } else { None },
        };
        let print = |source| programs.print(source);
        let node = (self.node.live(), &self.node.panics);
        let child = NodeChild::new(node, &self.name(), child, pipes, print)?;
        programs.note(&child.program);
        // A program that has started after a power cut is on no node.
        self.place(true)?;
        Ok(child)
    }

    /// Prepares the command to start on the node.
    fn place(&mut self, bound: bool) -> Result<()> {
        let here = self.node.here()?;
        if self.node.is_frozen() {
            let failure = Failure::new("start", self.subject(), "the node is frozen");
            return Err(failure.advise("`thaw` it first").into());
        }
        match &self.placed {
            Some(there) if there.as_ptr() == Arc::as_ptr(&here) => return Ok(()),
            Some(_) => {
                let why = "it was prepared before the node was powered off";
                let failure = Failure::new("start", self.subject(), why);
                return Err(failure.of(Kind::PoweredOff).into());
            }
            None => {}
        }
        let place = here.place.try_clone();
        let place = place.map_err(|error| self.failure("duplicate the namespaces for", &error))?;
        place.set_for(&mut self.command, bound);
        self.placed = Some(Arc::downgrade(&here));
        Ok(())
    }

    /// Sets the directory of the calling thread: another thread starts the program.
    fn go_to_directory(&mut self) {
        let directory = self.directory();
        self.command.current_dir(directory);
    }

    fn directory(&self) -> PathBuf {
        // A directory that has been deleted has no path.
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
        // A program without a slash is searched for in several directories.
        let is_path = program.components().nth(1).is_some();
        if error.kind() == io::ErrorKind::PermissionDenied && !is_path {
            let failure = errno::failure("start", self.subject(), error).advise(self.searched());
            return failure
                .advise("a directory of these, or the program in it, is not accessible")
                .into();
        }
        if error.kind() != io::ErrorKind::NotFound {
            return self.failure("start", error);
        }
        // The kernel does not report which of them is missing.
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

    /// Returns where a program without a slash has been searched for: in the `PATH` that it was to
    /// get (execvp(3)).
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

    /// Returns whether the calling thread sees a path that the node does not.
    fn is_the_callers_only(&self, path: &Path) -> bool {
        let is_missing = || matches!(path.try_exists(), Ok(false));
        path.exists() && self.node.here().is_ok() && self.node.run(is_missing)
    }

    fn failure(&self, step: &str, error: &io::Error) -> Error {
        diagnose::explain_shortage(step, &self.subject(), error).into()
    }

    /// `nginx on server`
    fn subject(&self) -> String {
        format!("{} on {}", self.name(), self.node.name())
    }

    fn name(&self) -> String {
        self.command.get_program().to_string_lossy().into_owned()
    }
}
