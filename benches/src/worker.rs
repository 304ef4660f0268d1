//! Processes that do the work and the floor: they live through all rounds of a figure, and are told by
//! lines what to do. This program serves the floors so, and the test binary the tests.

use std::error::Error;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::bare_promise::Floor;
use crate::{bare, bare_lab, bare_test, leaks};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What an answer begins with; a test binary prints other lines besides.
const ANSWER: &str = "= ";

/// The argument that makes this program a worker; the next is what it does.
pub(crate) const ARGUMENT: &str = "worker";

/// A process that answers each line with one.
pub(crate) struct Worker {
    child: Child,
    /// None when it is to end.
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Worker {
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let requests = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("it is a pipe"));
        Ok(Self { child, requests, answers })
    }

    /// This program as a worker that does `what`.
    pub(crate) fn own(what: &str) -> Result<Self> {
        Self::start(own()?.args([ARGUMENT, what]))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The numbers that it answers.
    pub(crate) fn ask(&mut self, request: &str) -> Result<Vec<u64>> {
        let requests = self.requests.as_mut().expect("it has not ended");
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

    /// The time that it answers.
    pub(crate) fn time(&mut self, request: &str) -> Result<Duration> {
        let answer = self.ask(request)?;
        let nanoseconds = answer.first().ok_or("a worker gave no time")?;
        Ok(Duration::from_nanos(*nanoseconds))
    }

    /// Has it end, and well.
    pub(crate) fn end(mut self) -> Result<()> {
        drop(self.requests.take());
        // Up to its last line: it would be killed by a closed pipe.
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

/// This program.
pub(crate) fn own() -> io::Result<Command> {
    Ok(Command::new(std::env::current_exe()?))
}

/// What this program is as a worker, if `arguments` make it one.
pub(crate) fn main(arguments: &[&str]) -> Option<Result<()>> {
    match arguments {
        [ARGUMENT, "tests"] => Some(serve(|line| Ok(bare_test::tests(line.parse()?)?))),
        [ARGUMENT, "promise"] => Some(serve_by(Floor::of_empty_tests())),
        [ARGUMENT, "added"] => Some(serve_by(Floor::of_sleeping_tests())),
        [ARGUMENT, "gone"] => Some(bare::own_namespaces().map_err(Into::into).and_then(|()| {
            serve(|_| {
                let start = std::time::Instant::now();
                bare_lab::wait_until_all_are_gone()?;
                Ok(start.elapsed())
            })
        })),
        // Without questions, to be started and to end as a test binary is.
        [ARGUMENT, "tests", count] => Some(once(count, bare_test::tests)),
        [ARGUMENT, "promise", count] => Some(once(count, |count| {
            let floor = Floor::of_empty_tests()?;
            let time = floor.time(count)?;
            floor.end().map(|()| time)
        })),
        [ARGUMENT, "leaks", count, program, arguments @ ..] => {
            Some(leaks::main(count, program, arguments))
        }
        _ => None,
    }
}

fn serve_by(floor: io::Result<Floor>) -> Result<()> {
    let floor = floor?;
    serve(|line| Ok(floor.time(line.parse()?)?))?;
    Ok(floor.end()?)
}

fn once(count: &str, work: fn(u32) -> io::Result<Duration>) -> Result<()> {
    Ok(work(count.parse()?).map(drop)?)
}

/// Answers each line with the time that its work took.
fn serve(mut work: impl FnMut(&str) -> Result<Duration>) -> Result<()> {
    for line in io::stdin().lines() {
        let time = work(&line?)?;
        println!("{ANSWER}{}", time.as_nanos());
    }
    Ok(())
}
