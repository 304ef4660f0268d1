//! A program that runs on a node: its end, its signals and its lines.

use std::fmt;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, ExitStatus, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::diagnose;
use crate::error::{Error, Failure, Result, located};
use crate::lab::fabric::node::LiveNode;
use crate::lab::run::blocked;
use crate::lab::run::panics::Panics;
use crate::lab::run::programs::noted;
use crate::lab::run::programs::noted::Noted;
use crate::lab::run::programs::output::{Feed, Source};
use crate::sys::lock::lock;
use crate::sys::ns::inhabitants;
use crate::sys::ns::ns_set::Place;
use crate::sys::process;
use crate::sys::process::signals::KILL;

/// Number of last lines in an error.
const LAST: usize = 20;

/// Number of `SIGTERM`, which is the same on all architectures of Linux.
const TERM: i32 = 15;

/// Running program of a [`NodeCommand`](crate::NodeCommand).
///
/// Dropping it kills the program, unlike [`std::process::Child`]. Processes that the program has
/// started are killed when the lab ends.
#[must_use = "dropped at once, it kills the program at once"]
pub struct NodeChild {
    /// Standard input of the program, if it was set to be piped.
    pub stdin: Option<ChildStdin>,
    /// Standard output of the program, if it was set to be piped.
    pub stdout: Option<ChildStdout>,
    /// Standard error of the program, if it was set to be piped.
    pub stderr: Option<ChildStderr>,
    pub(crate) program: Arc<Program>,
    /// Process that has started the program.
    owner: process::Pid,
}

/// Part of a program that the lab shares, to end it.
#[derive(Debug)]
pub(crate) struct Program {
    name: String,
    pub(crate) node: String,
    id: u32,
    child: Mutex<Child>,
    /// Whether the log has that the test has the status.
    is_seen: AtomicBool,
    pub(crate) feed: Arc<Feed>,
    pub(crate) network: Place,
    /// Panics on the nodes of its lab, which end waits for it.
    pub(crate) panics: Panics,
}

/// Streams of a program that are printed.
#[derive(Debug)]
pub(crate) struct Pipes {
    pub(crate) stdout: Option<ChildStdout>,
    pub(crate) stderr: Option<ChildStderr>,
}

impl NodeChild {
    /// Takes over a program that has been started on `node`. `print` gets the streams that the lab
    /// prints. If that fails, the program is killed.
    pub(crate) fn new(
        (node, panics): (&LiveNode, &Panics),
        name: &str,
        mut child: Child,
        pipes: Pipes,
        print: impl FnOnce(Source) -> Result<()>,
    ) -> Result<Self> {
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (id, feed) = (child.id(), Arc::new(Feed::default()));
        let parts = || {
            let pipes = [pipes.stdout.map(OwnedFd::from), pipes.stderr.map(OwnedFd::from)];
            let failed = |step: &'static str| {
                let object = format!("{name} on {}", node.name());
                move |error: io::Error| diagnose::explain_shortage(step, &object, &error)
            };
            let end = process::descriptor_of(id as process::Pid).map_err(failed("pidfd_open"))?;
            let noted = Noted::start(node.name(), name, id as process::Pid);
            let known = (Arc::clone(&feed), Some(noted));
            let source = Source::new(node.name(), pipes, Some(end), known)
                .map_err(failed("fcntl the output of"))?;
            let network = node.here()?.place.network_alone();
            Ok::<_, Error>((source, network.map_err(failed("duplicate the network for"))?))
        };
        let parts = parts();
        let parts = parts.and_then(|(source, network)| print(source).map(|()| network));
        let network = match parts {
            Ok(network) => network,
            Err(error) => {
                // No handle is left that could kill it later.
                drop(child.kill().and_then(|()| child.wait()));
                return Err(error);
            }
        };
        let panics = panics.clone();
        let (name, node, child) = (name.to_owned(), node.name().to_owned(), Mutex::new(child));
        let is_seen = AtomicBool::new(false);
        let program = Arc::new(Program { name, node, id, child, is_seen, feed, network, panics });
        Ok(Self { stdin, stdout, stderr, program, owner: process::id() })
    }

    /// Returns the process id, as the caller sees it.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.program.id
    }

    /// Returns the lines that the program has written so far to the streams that the lab prints:
    /// the last MiB.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.program.feed.look().after(0).0
    }

    /// Kills the program with SIGKILL. Does nothing if it has ended.
    ///
    /// # Errors
    ///
    /// EPERM for a program that has changed its user.
    #[track_caller]
    pub fn kill(&self) -> Result<()> {
        self.signal(KILL)
    }

    /// Asks the program to end, with SIGTERM. Does nothing if it has ended.
    ///
    /// # Errors
    ///
    /// EPERM for a program that has changed its user.
    #[track_caller]
    pub fn terminate(&self) -> Result<()> {
        self.signal(TERM)
    }

    /// Sends the program a signal, by its number (signal(7)). Does nothing if it has ended.
    ///
    /// # Errors
    ///
    /// EINVAL for a number that is no signal; EPERM for a program that has changed its user.
    #[track_caller]
    pub fn signal(&self, number: i32) -> Result<()> {
        located(self.try_signal(number))
    }

    fn try_signal(&self, number: i32) -> Result<()> {
        let mut child = lock(&self.program.child);
        let sent = child.try_wait().and_then(|ended| match ended {
            Some(_) => Ok(()),
            None => process::signal(self.program.id, number),
        });
        sent.map_err(|error| self.program.failure(&format!("send signal {number} to"), &error))
    }

    /// Returns the exit status of the program, or none while it runs.
    ///
    /// # Errors
    ///
    /// ECHILD if other code has reaped the program.
    #[track_caller]
    pub fn try_wait(&self) -> Result<Option<ExitStatus>> {
        located(self.try_try_wait())
    }

    fn try_try_wait(&self) -> Result<Option<ExitStatus>> {
        self.program.try_wait()
    }

    /// Closes the program's standard input and waits for its end without a limit.
    pub(crate) fn wait_for_end(mut self) -> Result<ExitStatus> {
        drop(self.stdin.take());
        let call = format!("`wait` for {}", self.program.subject());
        blocked::watched(call, || self.program.wait())
    }

    /// Closes the program's standard input, waits for its end without a limit, and returns what it
    /// wrote to the streams that were set to be piped.
    ///
    /// # Errors
    ///
    /// ECHILD if other code has reaped the program; errors of reading.
    #[track_caller]
    pub fn wait_with_output(self) -> Result<Output> {
        let call = format!("`output` of {}", self.program.subject());
        located(blocked::watched(call, || self.try_wait_with_output()))
    }

    fn try_wait_with_output(mut self) -> Result<Output> {
        drop(self.stdin.take());
        let (stdout, stderr) = (self.stdout.take(), self.stderr.take());
        let program = &self.program;
        let failed = |step| move |error: io::Error| program.failure(step, &error);
        let read = thread::scope(|scope| {
            let stderr = thread::Builder::new().spawn_scoped(scope, || read(stderr));
            let stderr = stderr.map_err(failed("start a thread to read from"))?;
            let stdout = read(stdout).map_err(failed("read from"))?;
            let stderr = stderr.join().expect("reading does not panic");
            Ok::<_, Error>((stdout, stderr.map_err(failed("read from"))?))
        });
        let (stdout, stderr) = read?;
        Ok(Output { status: self.program.wait()?, stdout, stderr })
    }
}

impl Program {
    pub(crate) fn is_on(&self, node: &str) -> bool {
        self.node == node
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn pid(&self) -> process::Pid {
        self.id as process::Pid
    }

    /// Returns whether the program has ended. Its output may not have been read yet.
    pub(crate) fn has_ended(&self) -> bool {
        let is_running = || matches!(process::end_of(self.pid()), Ok(None));
        self.feed.look().has_ended || !is_running()
    }

    /// Kills the program and waits for its end.
    pub(crate) fn kill_and_wait(&self) -> Result<()> {
        let killed = lock(&self.child).kill();
        killed.map_err(|error| self.failure("kill", &error))?;
        self.wait().map(drop)
    }

    /// Kills the program if it runs, and reaps it.
    pub(crate) fn end(&self) {
        let mut child = lock(&self.child);
        // Neither call fails for a program that has been reaped.
        drop(child.kill().and_then(|()| child.wait()));
    }

    /// Waits for the end of the program without a limit.
    pub(crate) fn wait(&self) -> Result<ExitStatus> {
        let mut fed = self.feed.look();
        while !fed.has_ended {
            fed = self.feed.wait(fed, Duration::MAX);
        }
        drop(fed);
        let status = self.try_wait()?;
        Ok(status.expect("the end of the program has been reported"))
    }

    pub(crate) fn try_wait(&self) -> Result<Option<ExitStatus>> {
        let status = lock(&self.child).try_wait();
        let status = status.map_err(|error| self.failure("wait for", &error))?;
        if status.is_some() && !self.is_seen.swap(true, Ordering::Relaxed) {
            noted::seen(&self.node, &self.name, self.id as process::Pid);
        }
        Ok(status)
    }

    /// Returns the failure of a wait for the program to do `what`, with its state and its last
    /// lines.
    pub(crate) fn not_found(&self, what: &str, reason: &str, state: &[String]) -> Failure {
        let object = format!("{} to {what}", self.subject());
        let failure = Failure::new("wait for", object, reason);
        let failure = state.iter().fold(failure, Failure::advise);
        let failure = match self.try_wait() {
            Ok(Some(status)) => failure.advise(format!("it has ended: {status}")),
            _ if inhabitants::is_stopped(self.pid()) => {
                failure.advise("it is stopped, as the programs of a frozen node are")
            }
            _ => failure.advise("it runs"),
        };
        let fed = self.feed.look();
        let (lines, all) = fed.after(0);
        let unfinished = fed.unfinished.iter().filter(|text| !text.is_empty());
        let unfinished: Vec<_> =
            unfinished.map(|text| format!("unfinished line: {text}")).collect();
        let failure = unfinished.iter().fold(failure, Failure::advise);
        if all == 0 {
            let is_all = unfinished.is_empty();
            return if is_all { failure.advise("it has printed nothing") } else { failure };
        }
        let last = &lines[lines.len().saturating_sub(LAST)..];
        last.iter().fold(failure.advise("its last lines:"), |failure, line| {
            failure.advise(format!("  {line}"))
        })
    }

    fn failure(&self, step: &str, error: &io::Error) -> Error {
        diagnose::explain_shortage(step, &self.subject(), error).into()
    }

    /// `nginx (process 12) on server`
    pub(crate) fn subject(&self) -> String {
        format!("{} (process {}) on {}", self.name, self.id, self.node)
    }
}

impl fmt::Debug for NodeChild {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Program { name, node, id, .. } = &*self.program;
        let mut text = f.debug_struct("NodeChild");
        text.field("program", name).field("id", id).field("node", node).finish()
    }
}

impl Drop for NodeChild {
    fn drop(&mut self) {
        // A forked child of the lab's process has a copy of this, and is not the program's parent.
        if process::id() == self.owner {
            self.program.end();
        }
    }
}

fn read(stream: Option<impl Read>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream {
        stream.read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}
