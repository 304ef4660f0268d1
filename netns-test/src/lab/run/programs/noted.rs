//! Events of a program for the log of a test: its start, its first lines, its end with the last
//! lines.

use crate::evidence::facts::event::{Event, EventKind};
use crate::evidence::log;
use crate::sys::process;
use crate::sys::process::{Pid, Status};

/// Most bytes of a program's lines that the log gets while the program runs. The log is of a fixed
/// size, and is the test's for all events.
const MOST: usize = 64 << 10;

/// Number of last lines that the log gets with the end of a program.
const LAST: usize = 10;

/// Program whose events are noted.
#[derive(Clone, Debug)]
pub(crate) struct Noted {
    node: String,
    program: String,
    pid: Pid,
    /// Bytes of lines that have been noted.
    size: usize,
}

impl Noted {
    /// Notes that a program was started.
    pub(crate) fn start(node: &str, program: &str, pid: Pid) -> Self {
        let started = Self { node: node.to_owned(), program: program.to_owned(), pid, size: 0 };
        log::note(|| started.event(EventKind::Spawn, format!("{program} (process {pid})")));
        started
    }

    /// Notes a line of `stream`, 0 for stdout and 1 for stderr.
    pub(crate) fn line(&mut self, stream: usize, line: &str) {
        if self.size > MOST {
            return;
        }
        self.size += line.len();
        let line = if self.size > MOST { "… (further lines are not recorded)" } else { line };
        log::note(|| {
            let stream = if stream == 0 { "stdout" } else { "stderr" };
            self.event(EventKind::Log, line.to_owned()).with("stream", stream)
        });
    }

    /// Notes the end of the program, with its last lines.
    pub(crate) fn end(&self, lines: impl DoubleEndedIterator<Item = String>) {
        if !log::is_kept() {
            return;
        }
        let status = match process::end_of(self.pid) {
            Ok(Some(Status::Exited(status))) => format!("exited with status {status}"),
            Ok(Some(Status::Signaled(signal))) => {
                format!("was killed by {}", process::signals::name(signal))
            }
            // The test has reaped it, and has its status.
            Ok(None) | Err(_) => "has ended".to_owned(),
        };
        let mut last: Vec<String> = lines.rev().take(LAST).collect();
        last.reverse();
        log::note(|| {
            let text = format!("{} (process {}) {status}", self.program, self.pid);
            let event = self.event(EventKind::Exit, text).with("status", &status);
            event.with("last", last.join("\n"))
        });
    }

    fn event(&self, kind: EventKind, text: String) -> Event {
        let event = Event::of(kind, &self.node, text);
        event.with("program", &self.program).with("pid", self.pid)
    }
}

/// Notes that the test has the status of a program.
pub(crate) fn seen(node: &str, program: &str, pid: Pid) {
    let seen = Noted { node: node.to_owned(), program: program.to_owned(), pid, size: 0 };
    let text = format!("{program} (process {pid}): the test has its status");
    log::note(|| seen.event(EventKind::Status, text));
}
