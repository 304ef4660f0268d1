//! What a body wrote, handed to libtest as it arrives: through `print!` and `eprint!` on
//! the test's own thread, so that capture and `--nocapture` do what they always do.

use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use crate::sys::fds;

/// How much is read at once.
const CHUNK: usize = 64 << 10;

/// How many chunks are taken from one stream before the other has its turn.
const CHUNKS_PER_TURN: usize = 16;

/// Says whether the last line so far is complete.
#[derive(Debug)]
pub(super) struct Replay {
    at_line_start: bool,
}

impl Default for Replay {
    fn default() -> Self {
        Self { at_line_start: true }
    }
}

impl Replay {
    /// Adds lines of the harness's own after the output.
    pub(super) fn add_lines(&self, lines: &[String]) {
        if !lines.is_empty() && !self.at_line_start {
            eprintln!();
        }
        for line in lines {
            eprintln!("netns-test: {line}");
        }
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
pub(super) enum Kind {
    Stdout,
    Stderr,
}

/// The read end of one stream.
#[derive(Debug)]
pub(super) struct Stream {
    kind: Kind,
    /// `None` when it has ended.
    pipe: Option<OwnedFd>,
    /// The bytes of a character that has not arrived whole.
    rest: Vec<u8>,
    buffer: Vec<u8>,
}

impl Stream {
    /// Replays `pipe`, whose reads do not wait.
    pub(super) fn new(kind: Kind, pipe: OwnedFd) -> Self {
        Self { kind, pipe: Some(pipe), rest: Vec::new(), buffer: vec![0; CHUNK] }
    }

    /// What to wait on; nothing when it has ended.
    pub(super) fn source(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(|pipe| pipe.as_fd())
    }

    /// Replays what is there, up to one turn's worth.
    pub(super) fn turn(&mut self, replay: &mut Replay) {
        for _ in 0..CHUNKS_PER_TURN {
            if !self.chunk(replay) {
                break;
            }
        }
    }

    /// Replays what is there when all writers are gone; a pipe holds no more than a few
    /// turns' worth.
    pub(super) fn finish(&mut self, replay: &mut Replay) {
        self.turn(replay);
        self.turn(replay);
        let rest = std::mem::take(&mut self.rest);
        replay.write(self.kind, &String::from_utf8_lossy(&rest));
    }

    /// Whether there was something.
    fn chunk(&mut self, replay: &mut Replay) -> bool {
        let Some(pipe) = &self.pipe else { return false };
        match fds::read_available(pipe, &mut self.buffer) {
            Ok(None) => return false,
            Ok(Some(0)) | Err(_) => {
                self.pipe = None;
                return false;
            }
            Ok(Some(count)) => self.rest.extend_from_slice(&self.buffer[..count]),
        }
        let whole = self.rest.len() - incomplete(&self.rest);
        replay.write(self.kind, &String::from_utf8_lossy(&self.rest[..whole]));
        self.rest.drain(..whole);
        true
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
