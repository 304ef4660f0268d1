//! What the programs of a lab write: kept for those who wait for a line, and printed under the test,
//! line by line, each marked with the host's name.
//!
//! One thread of the lab reads for all, and one prints, by `print!` and `eprint!`, which the standard
//! library's test harness captures from every thread that a test has started.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::error::Failure;
use crate::lab::fabric::stdio;
use crate::sys::errno;
use crate::sys::fds;
use crate::sys::fds::{Ready, Until};
use crate::sys::lock::lock;

/// How much of a program's output is kept, in bytes.
const KEPT: usize = 1 << 20;

/// A line that is longer is taken for several, in bytes.
const LONGEST: usize = 64 << 10;

/// How many texts wait to be printed, of at most one buffer for each stream.
const MOST_UNPRINTED: usize = 256;

/// How long the end of a lab waits for its last output to be printed.
const LAST_PRINT: Duration = Duration::from_secs(5);

/// How often a full buffer is read in a row at the end, so that a daemon that never stops to write
/// does not keep anybody waiting.
const LAST_READS: usize = 64;

/// The thread that reads and prints.
#[derive(Debug)]
pub(crate) struct Printer {
    new: Arc<Mutex<Vec<Source>>>,
    /// Written to when there is a new source, closed at the end.
    wake: OwnedFd,
    reader: JoinHandle<()>,
    /// Told when all has been printed.
    printed: Receiver<()>,
}

/// A program whose output is read.
#[derive(Debug)]
pub(crate) struct Source {
    host: String,
    streams: [Option<Stream>; 2],
    /// Readable when the program has ended, until that has been seen.
    end: Option<OwnedFd>,
    feed: Arc<Feed>,
}

#[derive(Debug)]
struct Stream {
    pipe: OwnedFd,
    lines: Splitter,
}

/// What has been read of a program's output.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    state: Mutex<Fed>,
    changed: Condvar,
}

/// The same, looked at.
#[derive(Debug, Default)]
pub(crate) struct Fed {
    lines: VecDeque<String>,
    /// The sum of their lengths.
    size: usize,
    /// How many came before them.
    dropped: usize,
    /// What has come of a next line, by stream.
    pub(crate) unfinished: [String; 2],
    /// Whether the program has ended, and all that it had written by then is here.
    pub(crate) has_ended: bool,
    /// Whether nothing more can come.
    pub(crate) is_closed: bool,
}

/// Makes lines of bytes.
#[derive(Debug, Default)]
struct Splitter(Vec<u8>);

impl Printer {
    pub(crate) fn start() -> Result<Self, Failure> {
        let failed = |error: io::Error| errno::failure("start", "a thread of a lab", &error);
        let (woken, wake) = fds::pipe().map_err(failed)?;
        let new = Arc::new(Mutex::new(Vec::new()));
        let inbox = Arc::clone(&new);
        // Another thread prints: whoever has locked stdout may wait for what is read here.
        let (give, texts) = mpsc::sync_channel::<[String; 2]>(MOST_UNPRINTED);
        let (tell, printed) = mpsc::channel();
        let print = move || {
            let mut can_print = true;
            for text in texts {
                can_print = can_print && stdio::print(&text);
            }
            tell.send(()).ok();
        };
        thread::Builder::new().name("lab printer".into()).spawn(print).map_err(failed)?;
        let work = move || work(&inbox, &woken, &give);
        let reader = thread::Builder::new().name("lab output".into()).spawn(work);
        Ok(Self { new, wake, reader: reader.map_err(failed)?, printed })
    }

    /// Reads from `source`, too.
    pub(crate) fn attend(&self, source: Source) {
        lock(&self.new).push(source);
        // A pipe that is full wakes the thread as well.
        drop(fds::write_once(self.wake.as_fd(), &[0]));
    }

    /// Prints what is there, and comes to an end. Where the caller itself has locked stdout, that is
    /// printed later.
    pub(crate) fn end(self) {
        drop(self.wake);
        // What it panics with is on stderr.
        drop(self.reader.join());
        self.printed.recv_timeout(LAST_PRINT).ok();
    }
}

fn work(new: &Mutex<Vec<Source>>, woken: &OwnedFd, printer: &SyncSender<[String; 2]>) {
    let (mut sources, mut buffer) = (Vec::<Source>::new(), vec![0; LONGEST]);
    let give = |text: [String; 2]| {
        if text.iter().any(|text| !text.is_empty()) {
            drop(printer.send(text));
        }
    };
    loop {
        let mut events = vec![Until::Readable(woken.as_fd())];
        events.extend(sources.iter().flat_map(Source::events));
        let all = vec![Ready { readable: true, ..Ready::default() }; events.len()];
        // Nothing waits for data that is not there, so it is no fault to look in vain.
        let ready = fds::wait(&events, None).unwrap_or(all);
        let mut of_sources = ready[1..].iter().map(|ready| *ready != Ready::default());
        for source in &mut sources {
            let text = source.read(&mut of_sources, &mut buffer);
            give(text);
        }
        sources.retain(Source::is_open);
        if ready[0] != Ready::default() {
            let is_over = !matches!(fds::read_available(woken, &mut buffer), Ok(Some(1..)));
            sources.append(&mut lock(new));
            if is_over {
                break;
            }
        }
    }
    for mut source in sources {
        let text = source.last(&mut buffer);
        give(text);
    }
}

impl Source {
    /// The output of a program on `host`: its stdout and its stderr as far as they are read, and a
    /// descriptor on its process.
    pub(crate) fn new(
        host: &str,
        pipes: [Option<OwnedFd>; 2],
        end: Option<OwnedFd>,
        feed: Arc<Feed>,
    ) -> io::Result<Self> {
        pipes.iter().flatten().try_for_each(fds::set_nonblocking)?;
        let streams =
            pipes.map(|pipe| pipe.map(|pipe| Stream { pipe, lines: Splitter::default() }));
        feed.look().is_closed = streams.iter().all(Option::is_none);
        Ok(Self { host: host.to_owned(), streams, end, feed })
    }

    /// What it waits for, in the order in which [`read`](Self::read) wants to know.
    fn events(&self) -> impl Iterator<Item = Until<'_>> {
        let pipes = self.streams.iter().flatten().map(|stream| &stream.pipe);
        pipes.chain(&self.end).map(|fd| Until::Readable(fd.as_fd()))
    }

    fn is_open(&self) -> bool {
        self.end.is_some() || self.streams.iter().any(Option::is_some)
    }

    /// Reads from what is ready; what is to be printed.
    fn read(&mut self, ready: &mut impl Iterator<Item = bool>, buffer: &mut [u8]) -> [String; 2] {
        let mut next = |is_there: bool| is_there && ready.next().unwrap_or(true);
        let of_streams = self.streams.each_ref().map(|stream| next(stream.is_some()));
        let has_ended = next(self.end.is_some());
        let mut lines = [Vec::new(), Vec::new()];
        for ((stream, is_ready), lines) in self.streams.iter_mut().zip(of_streams).zip(&mut lines) {
            let most = if has_ended { LAST_READS } else { usize::from(is_ready) };
            read(stream, most, buffer, lines);
        }
        if has_ended {
            self.end = None;
        }
        self.tell(lines)
    }

    /// Reads what is there, and takes what is left of a line for one.
    fn last(&mut self, buffer: &mut [u8]) -> [String; 2] {
        let mut lines = [Vec::new(), Vec::new()];
        for (stream, lines) in self.streams.iter_mut().zip(&mut lines) {
            read(stream, LAST_READS, buffer, lines);
            if let Some(mut stream) = stream.take() {
                stream.lines.finish(|line| lines.push(line));
            }
        }
        self.end = None;
        self.tell(lines)
    }

    /// Keeps lines for those who wait for them, before they are printed.
    fn tell(&self, lines: [Vec<String>; 2]) -> [String; 2] {
        let text = lines.each_ref().map(|lines| self.marked(lines));
        let mut fed = self.feed.look();
        lines.into_iter().flatten().for_each(|line| fed.push(line));
        let of_next = |stream: &Option<Stream>| {
            Some(crate::lab::run::programs::output::text(&stream.as_ref()?.lines.0))
        };
        fed.unfinished = self.streams.each_ref().map(|stream| of_next(stream).unwrap_or_default());
        fed.has_ended = self.end.is_none();
        fed.is_closed = self.streams.iter().all(Option::is_none);
        drop(fed);
        self.feed.changed.notify_all();
        text
    }

    fn marked(&self, lines: &[String]) -> String {
        lines.iter().fold(String::new(), |mut text, line| {
            // A string takes everything.
            let _ = writeln!(text, "{}| {line}", self.host);
            text
        })
    }
}

/// Reads `most` times, or as long as there is something. At its end the stream is taken away.
fn read(stream: &mut Option<Stream>, most: usize, buffer: &mut [u8], lines: &mut Vec<String>) {
    for _ in 0..most {
        let Some(open) = stream else { return };
        match fds::read_available(&open.pipe, buffer) {
            Ok(None) => return,
            Ok(Some(length @ 1..)) => open.lines.push(&buffer[..length], |line| lines.push(line)),
            Ok(Some(0)) | Err(_) => {
                open.lines.finish(|line| lines.push(line));
                *stream = None;
            }
        }
    }
}

impl Feed {
    pub(crate) fn look(&self) -> MutexGuard<'_, Fed> {
        lock(&self.state)
    }

    /// Waits until there is something new, or the time is over; a spurious end of the wait is one.
    pub(crate) fn wait<'a>(&self, fed: MutexGuard<'a, Fed>, most: Duration) -> MutexGuard<'a, Fed> {
        self.changed.wait_timeout(fed, most).unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Fed {
    /// The lines that are kept, but for the first `seen` of all; how many there have been.
    pub(crate) fn after(&self, seen: usize) -> (Vec<String>, usize) {
        let known = seen.saturating_sub(self.dropped);
        (self.lines.iter().skip(known).cloned().collect(), self.dropped + self.lines.len())
    }

    fn push(&mut self, line: String) {
        self.size += line.len();
        self.lines.push_back(line);
        while self.size > KEPT {
            let Some(first) = self.lines.pop_front() else { break };
            self.size -= first.len();
            self.dropped += 1;
        }
    }
}

impl Splitter {
    fn push(&mut self, mut bytes: &[u8], mut line: impl FnMut(String)) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.0.extend_from_slice(&bytes[..end]);
            bytes = &bytes[end + 1..];
            self.cut(&mut line);
            line(text(&self.0));
            self.0.clear();
        }
        self.0.extend_from_slice(bytes);
        self.cut(&mut line);
    }

    /// Takes what is too long for several lines.
    fn cut(&mut self, line: &mut impl FnMut(String)) {
        while self.0.len() > LONGEST {
            // Not within a character, which has three bytes after its first at most.
            let is_whole = |at: &usize| self.0[*at] & 0xc0 != 0x80;
            let at = (LONGEST - 3..=LONGEST).rev().find(is_whole).unwrap_or(LONGEST);
            line(text(&self.0[..at]));
            self.0.drain(..at);
        }
    }

    fn finish(&mut self, line: impl FnOnce(String)) {
        if !self.0.is_empty() {
            line(text(&std::mem::take(&mut self.0)));
        }
    }
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(parts: &[&[u8]]) -> Vec<String> {
        let (mut splitter, mut lines) = (Splitter::default(), Vec::new());
        for part in parts {
            splitter.push(part, |line| lines.push(line));
        }
        splitter.finish(|line| lines.push(line));
        lines
    }

    #[test]
    fn lines_come_from_wherever_bytes_are_cut() {
        assert_eq!(
            lines(&[b"one\ntwo\r\n\nth", b"ree", b"\nrest"]),
            ["one", "two", "", "three", "rest"]
        );
        assert_eq!(lines(&[b"\xc3", b"\xa4\n\xff\xfe\n"]), ["\u{e4}", "\u{fffd}\u{fffd}"]);
        assert_eq!(lines(&[]), [""; 0]);
    }

    #[test]
    fn a_line_without_end_is_told_in_pieces_of_whole_characters() {
        let long = "a".to_owned() + &"\u{20ac}".repeat(LONGEST);
        let parts: Vec<&[u8]> = long.as_bytes().chunks(1000).collect();
        let told = lines(&parts);
        assert_eq!(told.len(), long.len().div_ceil(LONGEST));
        assert!(told.iter().all(|line| line.len() <= LONGEST));
        assert_eq!(told.concat(), long);
        assert_eq!(lines(&[&[0x80; LONGEST + 1]]).len(), 2);
    }

    #[test]
    fn the_last_lines_are_kept() {
        let mut fed = Fed::default();
        for number in 0..KEPT / 10 {
            fed.push(format!("{number:020}"));
        }
        let (kept, all) = fed.after(0);
        assert_eq!((kept.len(), all), (KEPT / 20, KEPT / 10));
        assert_eq!(kept.last().unwrap(), &format!("{:020}", KEPT / 10 - 1));
        assert_eq!(fed.after(all - 1), (vec![kept.last().unwrap().clone()], all));
        assert_eq!(fed.after(all), (Vec::new(), all));
    }
}
