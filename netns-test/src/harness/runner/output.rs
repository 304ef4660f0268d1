//! Replays the output of a body as it arrives, through `print!` and `eprint!` on the test's own
//! thread, so that libtest's capture and `--nocapture` work as usual.

use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::OnceLock;

use crate::env;
use crate::sys::errno;
use crate::sys::errno::Refusal;
use crate::sys::fds;

/// Bytes to read at once: of a stream that has filled its first buffer, and of any other.
const CHUNK: usize = 64 << 10;
const FIRST_CHUNK: usize = 4 << 10;

/// Reads of one stream before the other stream has its turn.
const CHUNKS_PER_TURN: usize = 16;

/// Replay of one test's output.
#[derive(Debug)]
pub(crate) struct Replay {
    at_line_start: bool,
    /// Last part of the output.
    end: String,
}

/// Most bytes of the last part of the output.
const END: usize = 4 << 10;

impl Default for Replay {
    fn default() -> Self {
        Self { at_line_start: true, end: String::new() }
    }
}

impl Replay {
    /// Returns the error that a function has returned, as the standard library prints it last.
    pub(crate) fn returned_error(&self) -> Option<&str> {
        const MARK: &str = "Error: ";
        let line = self.end.rfind(&format!("\n{MARK}")).map(|at| at + 1);
        let start = line.or_else(|| self.end.starts_with(MARK).then_some(0))?;
        Some(self.end[start + MARK.len()..].trim_end())
    }

    fn keep(&mut self, text: &str) {
        self.end.push_str(&text[last(text)..]);
        let start = last(&self.end);
        self.end.drain(..start);
    }

    /// Prints lines of the harness after the output.
    pub(crate) fn add_lines(&mut self, lines: &[String]) {
        let lines = lines.iter().map(|line| format!("netns-test: {line}"));
        self.add(&lines.collect::<Vec<_>>());
    }

    /// Prints the lines of a report after the output.
    pub(crate) fn add_report(&mut self, lines: &[String]) {
        self.add(lines);
    }

    /// Prints the lines of a text in between.
    pub(crate) fn add_text(&mut self, text: &[u8]) {
        let text = String::from_utf8_lossy(text);
        self.add(&text.lines().map(str::to_owned).collect::<Vec<_>>());
    }

    fn add(&mut self, lines: &[String]) {
        let mut text = String::new();
        if !lines.is_empty() && !self.at_line_start {
            text.push('\n');
        }
        for line in lines {
            text += &format!("{line}\n");
        }
        self.at_line_start |= !lines.is_empty();
        // `eprint!` panics if stderr cannot be written, and the verdict must not be lost.
        drop(std::panic::catch_unwind(|| eprint!("{text}")));
    }

    fn write(&mut self, kind: Kind, text: &str) {
        if text.is_empty() {
            return;
        }
        self.at_line_start = text.ends_with('\n');
        self.keep(text);
        match kind {
            Kind::Stdout => {
                print!("{text}");
                // So that a line without an end is seen now. A closed stdout is not reported here:
                // the next `print!` panics, as in any test.
                drop(io::stdout().flush());
            }
            Kind::Stderr => eprint!("{text}"),
        }
    }
}

/// Returns the start of the last part of a text that is kept.
fn last(text: &str) -> usize {
    let surplus = text.len().saturating_sub(END);
    (surplus..=text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

/// Stream of a test's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Stdout,
    Stderr,
}

/// Read ends of a test's output.
///
/// If both streams have one destination, one pipe takes both, which keeps their order. With two
/// pipes, output to stderr is replayed after the output to stdout before it; the kernel does not
/// show their order more precisely.
#[derive(Debug)]
pub(crate) struct Streams {
    stdout: Stream,
    stderr: Option<Stream>,
}

impl Streams {
    /// Opens the pipes. Returns the streams, and the write ends for stdout and stderr.
    pub(crate) fn open() -> Result<(Self, OwnedFd, OwnedFd), Refusal> {
        let (stdout, their_stdout) = Stream::open()?;
        if one_place() {
            let their_stderr = their_stdout
                .try_clone()
                .map_err(errno::at("fcntl", "F_DUPFD_CLOEXEC of the test's output"))?;
            return Ok((Self { stdout, stderr: None }, their_stdout, their_stderr));
        }
        let (stderr, their_stderr) = Stream::open()?;
        Ok((Self { stdout, stderr: Some(stderr) }, their_stdout, their_stderr))
    }

    /// Returns the descriptors to poll.
    pub(crate) fn sources(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let pipes = [self.stdout.pipe.as_ref(), self.stderr.as_ref().and_then(|s| s.pipe.as_ref())];
        pipes.into_iter().flatten().map(|pipe| pipe.as_fd())
    }

    /// Replays the available output, up to one turn's worth. Returns the number of bytes.
    pub(crate) fn turn(&mut self, replay: &mut Replay) -> usize {
        // Read before stdout and written after it.
        let (errors, error_count) = self.stderr.as_mut().map(Stream::read).unwrap_or_default();
        let (output, count) = self.stdout.read();
        replay.write(Kind::Stdout, &output);
        replay.write(Kind::Stderr, &errors);
        count + error_count
    }

    /// Replays the rest of the output when all processes of the test have ended.
    pub(crate) fn finish(&mut self, replay: &mut Replay) {
        // Anything beyond the pipes' capacity is from a writer outside of the test.
        let mut most = self.stdout.capacity() + self.stderr.as_ref().map_or(0, Stream::capacity);
        loop {
            let count = self.turn(replay);
            if count == 0 || count > most {
                break;
            }
            most -= count;
        }
        replay.write(Kind::Stdout, &self.stdout.rest());
        replay.write(Kind::Stderr, &self.stderr.as_mut().map(Stream::rest).unwrap_or_default());
    }
}

/// Returns whether both streams have one destination: libtest's buffer, one file or one terminal.
fn one_place() -> bool {
    static CAPTURED: OnceLock<bool> = OnceLock::new();
    let captured = *CAPTURED.get_or_init(|| !env::nothing_is_captured());
    captured || fds::standard_output() == fds::standard_error()
}

/// Read end of one pipe.
#[derive(Debug)]
struct Stream {
    /// `None` when the stream has ended.
    pipe: Option<OwnedFd>,
    /// Bytes of a UTF-8 character that has not arrived completely.
    held: Vec<u8>,
    buffer: Vec<u8>,
}

impl Stream {
    fn open() -> Result<(Self, OwnedFd), Refusal> {
        let (pipe, write_end) = fds::pipe().map_err(errno::at("pipe", "the test's output"))?;
        fds::set_nonblocking(&pipe)
            .map_err(errno::at("fcntl", "O_NONBLOCK of the test's output"))?;
        Ok((Self { pipe: Some(pipe), held: Vec::new(), buffer: vec![0; FIRST_CHUNK] }, write_end))
    }

    /// Reads the available output, up to one turn's worth. Returns it with its number of bytes.
    fn read(&mut self) -> (String, usize) {
        let mut bytes = std::mem::take(&mut self.held);
        let before = bytes.len();
        for _ in 0..CHUNKS_PER_TURN {
            let Some(pipe) = &self.pipe else { break };
            match fds::read_available(pipe, &mut self.buffer) {
                Ok(None) => break,
                Ok(Some(0)) | Err(_) => self.pipe = None,
                Ok(Some(count)) => {
                    bytes.extend_from_slice(&self.buffer[..count]);
                    if count == self.buffer.len() {
                        self.buffer.resize(CHUNK, 0);
                    }
                }
            }
        }
        let count = bytes.len() - before;
        self.held = bytes.split_off(bytes.len() - incomplete(&bytes));
        let lossy = |error: std::string::FromUtf8Error| {
            String::from_utf8_lossy(error.as_bytes()).into_owned()
        };
        (String::from_utf8(bytes).unwrap_or_else(lossy), count)
    }

    /// Returns the capacity of the pipe in bytes.
    fn capacity(&self) -> usize {
        self.pipe.as_ref().and_then(|pipe| fds::pipe_capacity(pipe).ok()).unwrap_or(0)
    }

    /// Returns the bytes of an incomplete character at the end of the stream.
    fn rest(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.held)).into_owned()
    }
}

/// Counts the bytes at the end that are the beginning of a character.
fn incomplete(bytes: &[u8]) -> usize {
    let tail = bytes.len().min(3);
    (1..=tail)
        .find(|&back| {
            let needed = match bytes[bytes.len() - back] {
                0xc2..=0xdf => 2,
                0xe0..=0xef => 3,
                0xf0..=0xf4 => 4,
                _ => 0,
            };
            needed > back
        })
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_beginning_of_a_character_is_held_back() {
        assert_eq!(incomplete(b""), 0);
        assert_eq!(incomplete("aé".as_bytes()), 0);
        assert_eq!(incomplete(b"a\xc3"), 1);
        assert_eq!(incomplete(b"\xe2\x82"), 2);
        assert_eq!(incomplete(b"\xf0\x9f\x98"), 3);
        assert_eq!(incomplete("😀".as_bytes()), 0);
        assert_eq!(incomplete(b"\xff\xff"), 0);
        assert_eq!(incomplete(b"\x80\x80"), 0);
    }
}
