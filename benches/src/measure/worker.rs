//! Worker processes: each lives through all rounds of a figure, reads a request from each line of
//! stdin and answers it with one line. This program is the worker of the floors
//! ([`serve`](crate::serve)), and the test binary that of the tests.

use std::error::Error;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The prefix of an answer; a test binary prints other lines too.
pub(crate) const ANSWER: &str = "= ";

/// First argument of this program as a worker; the next one names the work.
pub(crate) const ARGUMENT: &str = "worker";

/// Process that answers each line on its stdin with one on its stdout.
pub(crate) struct Worker {
    child: Child,
    /// `None` once the worker has been asked to end.
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Worker {
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let requests = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
        Ok(Self { child, requests, answers })
    }

    /// Starts this program as a worker for `what`.
    pub(crate) fn own(what: &str) -> Result<Self> {
        Self::start(own()?.args([ARGUMENT, what]))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a request, and returns the numbers of the answer.
    pub(crate) fn ask(&mut self, request: &str) -> Result<Vec<u64>> {
        let requests = self.requests.as_mut().expect("the worker has not ended");
        writeln!(requests, "{request}")?;
        let mut line = String::new();
        loop {
            line.clear();
            if self.answers.read_line(&mut line)? == 0 {
                return Err(format!("{request}: a worker has ended").into());
            }
            if let Some(answer) = line.strip_prefix(ANSWER) {
                return Ok(answer
                    .split_whitespace()
                    .map(str::parse)
                    .collect::<std::result::Result<_, _>>()?);
            }
        }
    }

    /// Sends a request, and returns the duration of the answer.
    pub(crate) fn time(&mut self, request: &str) -> Result<Duration> {
        let answer = self.ask(request)?;
        let nanoseconds = answer.first().ok_or("the answer of a worker is empty")?;
        Ok(Duration::from_nanos(*nanoseconds))
    }

    /// Ends the worker, and checks its status.
    pub(crate) fn end(mut self) -> Result<()> {
        drop(self.requests.take());
        // Reads up to the last line: a closed pipe would kill the worker.
        io::copy(&mut self.answers, &mut io::sink())?;
        let status = self.child.wait()?;
        if status.success() { Ok(()) } else { Err(format!("a worker ended with {status}").into()) }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.requests.take());
        drop(self.child.wait());
    }
}

/// Returns the command for this program.
pub(crate) fn own() -> io::Result<Command> {
    Ok(Command::new(std::env::current_exe()?))
}
