//! What a body wrote, handed to libtest as it arrives: through `print!` and `eprint!` on
//! the test's own thread, so that capture and `--nocapture` do what they always do.

use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::OnceLock;

use crate::env;
use crate::sys::errno;
use crate::sys::errno::Refusal;
use crate::sys::fds;

/// How much is read at once of a stream that has much to say, and of one that has not shown it.
const CHUNK: usize = 64 << 10;
const FIRST_CHUNK: usize = 4 << 10;

/// How many chunks are taken from one stream before the other has its turn.
const CHUNKS_PER_TURN: usize = 16;

/// Says whether the last line so far is complete.
#[derive(Debug)]
pub(crate) struct Replay {
    at_line_start: bool,
}

impl Default for Replay {
    fn default() -> Self {
        Self { at_line_start: true }
    }
}

impl Replay {
    /// Adds lines of the harness's own after the output.
    pub(crate) fn add_lines(&self, lines: &[String]) {
        let mut text = String::new();
        if !lines.is_empty() && !self.at_line_start {
            text.push('\n');
        }
        for line in lines {
            text += &format!("netns-test: {line}\n");
        }
        // Where stderr cannot be written to this panics, and the verdict must not be lost.
        drop(std::panic::catch_unwind(|| eprint!("{text}")));
    }

    fn write(&mut self, kind: Kind, text: &str) {
        if text.is_empty() {
            return;
        }
        self.at_line_start = text.ends_with('\n');
        match kind {
            Kind::Stdout => {
                print!("{text}");
                // So that a line without an end is seen now. Nobody is told of a closed
                // stdout here: the next `print!` will panic, as in any test.
                drop(io::stdout().flush());
            }
            Kind::Stderr => eprint!("{text}"),
        }
    }
}

/// Which of a test's streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Stdout,
    Stderr,
}

/// The read ends of a test's output.
///
/// One pipe takes both streams where they go to one place anyway: what a test writes to
/// them then stays in order. With two pipes, what is written to stderr comes after what
/// was written to stdout before it; more the kernel does not tell.
#[derive(Debug)]
pub(crate) struct Streams {
    stdout: Stream,
    stderr: Option<Stream>,
}

impl Streams {
    /// The streams, and their write ends.
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

    /// What to wait on.
    pub(crate) fn sources(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let pipes = [self.stdout.pipe.as_ref(), self.stderr.as_ref().and_then(|s| s.pipe.as_ref())];
        pipes.into_iter().flatten().map(|pipe| pipe.as_fd())
    }

    /// Replays what is there, up to one turn's worth; how many bytes that was.
    pub(crate) fn turn(&mut self, replay: &mut Replay) -> usize {
        // Read before stdout and written after it.
        let (errors, error_count) = self.stderr.as_mut().map(Stream::read).unwrap_or_default();
        let (output, count) = self.stdout.read();
        replay.write(Kind::Stdout, &output);
        replay.write(Kind::Stderr, &errors);
        count + error_count
    }

    /// Replays what is there when all writers are gone.
    pub(crate) fn finish(&mut self, replay: &mut Replay) {
        // What comes beyond that is of a writer outside of the test.
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

/// Whether both streams end up in the same place: in libtest's buffer, or in one file or
/// terminal.
fn one_place() -> bool {
    static CAPTURED: OnceLock<bool> = OnceLock::new();
    let captured = *CAPTURED.get_or_init(|| !env::nothing_is_captured());
    captured || fds::standard_output() == fds::standard_error()
}

/// The read end of one pipe.
#[derive(Debug)]
struct Stream {
    /// `None` when it has ended.
    pipe: Option<OwnedFd>,
    /// The bytes of a character that has not arrived whole.
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

    /// What is there, up to one turn's worth, and how many bytes that was.
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

    /// How many bytes the pipe holds at most.
    fn capacity(&self) -> usize {
        self.pipe.as_ref().and_then(|pipe| fds::pipe_capacity(pipe).ok()).unwrap_or(0)
    }

    /// The beginning of a character that has not come to its end.
    fn rest(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.held)).into_owned()
    }
}

/// How many bytes at the end are the beginning of a character.
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
