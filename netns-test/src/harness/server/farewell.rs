//! The last act of a server whose runner has gone while tests ran, as at Ctrl-C: it asks their
//! inits what they wait for, writes that to the runner's stderr, and keeps their reports.
//!
//! The kernel would kill the server with its runner, and the inits with the server. So the server
//! outlives the runner for a moment ([`orphan`]), and keeps a duplicate of its stderr.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use crate::env;
use crate::env::Report;
use crate::harness::protocol::last_words::{LastWords, MOST};
use crate::report::make;
use crate::sys::fds;
use crate::sys::fds::Until;
use crate::sys::net::socket;
use crate::sys::orphan;
use crate::sys::process::Pid;
use crate::sys::process::signals;

/// Time in which the inits answer: longer than a look and a debugger take.
const LIMIT: Duration = Duration::from_millis(1_500);

/// Seconds by which the server may outlive its runner.
const LONGEST: u32 = 2;

/// Limit of open files from which on some can be spared.
const ROOM: usize = 64;

/// Stderr of the runner, and the sockets to the inits of all tests.
#[derive(Debug)]
pub(crate) struct Farewell {
    stderr: OwnedFd,
    ours: OwnedFd,
    theirs: OwnedFd,
}

/// Returns a duplicate of the runner's stderr, if reports are wanted and it leads anywhere.
pub(crate) fn stderr() -> Option<OwnedFd> {
    let is_wanted = env::report() != Report::Off;
    is_wanted.then(fds::duplicate_standard_error)?.ok().filter(|fd| !fds::is_null(fd.as_fd()))
}

impl Farewell {
    /// Makes this process outlive its runner. Without that there is no farewell.
    pub(crate) fn prepare(
        stderr: Option<OwnedFd>,
        (runner, open_files): (Pid, usize),
    ) -> Option<Self> {
        let stderr = stderr.filter(|_| open_files >= ROOM)?;
        let (ours, theirs) = socket::pair().ok()?;
        orphan::outlive(runner, LONGEST).ok()?;
        Some(Self { stderr, ours, theirs })
    }

    /// Returns the socket of the inits: at its end they answer.
    pub(crate) fn socket(&self) -> &OwnedFd {
        &self.theirs
    }

    /// Asks the inits, and writes their answers. `wait` waits for an answer or for the end of a
    /// test for this time at most, and returns whether a test is left. From now on the kernel
    /// limits the time of this process.
    pub(crate) fn hear(&self, mut wait: impl FnMut(BorrowedFd<'_>, Duration) -> bool) {
        let end = Instant::now() + LIMIT;
        orphan::end_soon();
        signals::ignore_sigpipe();
        socket::end_sending(self.ours.as_fd());
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let is_left = wait(self.ours.as_fd(), left);
            self.pass_on(end);
            if !is_left || left.is_zero() {
                return;
            }
        }
    }

    /// Writes the answers that have arrived, if there is room before `end`.
    fn pass_on(&self, end: Instant) {
        let mut buffer = vec![0; MOST];
        loop {
            let now = fds::wait(&[Until::Readable(self.ours.as_fd())], Some(Duration::ZERO));
            if !now.is_ok_and(|ready| ready[0].readable) {
                return;
            }
            let Ok(message) = socket::receive(self.ours.as_fd(), &mut buffer) else { return };
            if message.length == 0 {
                return;
            }
            match LastWords::decode(&buffer[..message.length]) {
                Some(LastWords::Said(text)) => self.write(&printable(&text), end),
                Some(LastWords::Report { test, text }) => {
                    let line = make::keep_interrupted(test, &printable(&text));
                    line.iter().for_each(|line| self.write(&printable(line), end));
                }
                None => {}
            }
        }
    }

    fn write(&self, text: &str, end: Instant) {
        let left = end.saturating_duration_since(Instant::now());
        let ready = fds::wait(&[Until::Writable(self.stderr.as_fd())], Some(left));
        if ready.is_ok_and(|ready| ready[0].writable) {
            // A blank line sets it off from a prompt of a shell, and from other tests.
            drop(fds::write_all(self.stderr.as_fd(), format!("\n{text}\n").as_bytes()));
        }
    }
}

/// Returns the text without what a terminal acts on, whatever an init has sent.
fn printable(text: &str) -> String {
    text.chars().filter(|letter| *letter == '\n' || !letter.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_of_text_are_written() {
        assert_eq!(printable("a\x1b[31mb\nc\r\x07"), "a[31mb\nc");
    }
}
