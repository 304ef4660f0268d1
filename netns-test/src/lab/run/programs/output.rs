//! Output of programs: kept for waits for a line, and printed with the output of the test, line by
//! line, after the node's name.
//!
//! One thread of the lab reads from all programs, and one prints, so that a caller that has locked
//! stdout does not block a program.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::diagnose;
use crate::error::Failure;
use crate::lab::fabric::stdio;
use crate::lab::run::programs::noted::Noted;
use crate::sys::fds;
use crate::sys::fds::{Ready, Until};
use crate::sys::lock::{lock, wait_timeout};

/// Output of a program that is kept, in bytes.
const KEPT: usize = 1 << 20;

/// Length of a line, in bytes, from which on it is split.
const LONGEST: usize = 64 << 10;

/// Number of texts that may wait to be printed, each of at most one buffer for each stream.
const MOST_UNPRINTED: usize = 256;

/// Time limit for printing the last output at the end of a lab.
const LAST_PRINT: Duration = Duration::from_secs(5);

/// Number of full buffers that are read in a row at the end: a daemon that never stops writing must
/// not delay it.
const LAST_READS: usize = 64;

/// Threads that read and print.
#[derive(Debug)]
pub(crate) struct Printer {
    new: Arc<Mutex<Vec<Source>>>,
    /// Pipe that is written to for each new source, and closed at the end.
    wake: OwnedFd,
    reader: JoinHandle<()>,
    /// Receives a message when all has been printed.
    printed: Receiver<()>,
}

/// Program whose output is read.
#[derive(Debug)]
pub(crate) struct Source {
    node: String,
    streams: [Option<Stream>; 2],
    /// Descriptor of the process, readable when it has ended. None after that has been seen.
    end: Option<OwnedFd>,
    feed: Arc<Feed>,
    /// The program, for the log of the test.
    noted: Option<Noted>,
}

#[derive(Debug)]
struct Stream {
    pipe: OwnedFd,
    lines: Splitter,
}

/// Output of a program, shared with its handle.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    state: Mutex<Fed>,
    changed: Condvar,
}

/// Lines and state of a program's output.
#[derive(Debug, Default)]
pub(crate) struct Fed {
    lines: VecDeque<String>,
    /// Sum of the lengths of the lines.
    size: usize,
    /// Number of older lines, which are not kept.
    dropped: usize,
    /// Beginning of the next line, by stream.
    pub(crate) unfinished: [String; 2],
    /// Whether the program has ended, and its output until then has been read.
    pub(crate) has_ended: bool,
    /// Whether all streams are closed.
    pub(crate) is_closed: bool,
}

/// Splits bytes into lines.
#[derive(Debug, Default)]
struct Splitter(Vec<u8>);

impl Printer {
    pub(crate) fn start() -> Result<Self, Failure> {
        let failed = |error: io::Error| diagnose::explain("start", "a thread of a lab", &error);
        let (woken, wake) = fds::pipe()
            .map_err(|error| diagnose::explain("pipe", "for the output of programs", &error))?;
        let new = Arc::new(Mutex::new(Vec::new()));
        let inbox = Arc::clone(&new);
        // Another thread prints: a caller that has locked stdout may wait for a line that is read
        // here.
        let (give, texts) = mpsc::sync_channel::<[String; 2]>(MOST_UNPRINTED);
        let (done, printed) = mpsc::channel();
        let print = move || {
            let mut can_print = true;
            for text in texts {
                can_print = can_print && stdio::print(&text);
            }
            done.send(()).ok();
        };
        thread::Builder::new().name("lab printer".into()).spawn(print).map_err(failed)?;
        let work = move || work(&inbox, &woken, &give);
        let reader = thread::Builder::new().name("lab output".into()).spawn(work);
        Ok(Self { new, wake, reader: reader.map_err(failed)?, printed })
    }

    /// Reads from `source` from now on.
    pub(crate) fn attend(&self, source: Source) {
        lock(&self.new).push(source);
        // A full pipe wakes the thread as well.
        drop(fds::write_once(self.wake.as_fd(), &[0]));
    }

    /// Prints the remaining output and ends. If the caller has locked stdout, that is printed
    /// later.
    pub(crate) fn end(self) {
        drop(self.wake);
        // A panic of the thread has been printed on stderr.
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
        // If the wait fails, all descriptors are read: a read without data does not block.
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
    /// Returns the output of a program on `node`: the streams that are to be read, and a descriptor
    /// of its process.
    pub(crate) fn new(
        node: &str,
        pipes: [Option<OwnedFd>; 2],
        end: Option<OwnedFd>,
        (feed, noted): (Arc<Feed>, Option<Noted>),
    ) -> io::Result<Self> {
        pipes.iter().flatten().try_for_each(fds::set_nonblocking)?;
        let streams =
            pipes.map(|pipe| pipe.map(|pipe| Stream { pipe, lines: Splitter::default() }));
        feed.look().is_closed = streams.iter().all(Option::is_none);
        Ok(Self { node: node.to_owned(), streams, end, feed, noted })
    }

    /// Returns the events to wait for, in the order of [`read`](Self::read).
    fn events(&self) -> impl Iterator<Item = Until<'_>> {
        let pipes = self.streams.iter().flatten().map(|stream| &stream.pipe);
        pipes.chain(&self.end).map(|fd| Until::Readable(fd.as_fd()))
    }

    fn is_open(&self) -> bool {
        self.end.is_some() || self.streams.iter().any(Option::is_some)
    }

    /// Reads from the streams that are ready, and returns what is to be printed.
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
        let text = self.keep(lines);
        if let Some(noted) = self.noted.as_ref().filter(|_| has_ended) {
            noted.end(self.feed.look().lines.iter().cloned());
        }
        text
    }

    /// Reads the remaining output. The rest without a newline counts as a line.
    fn last(&mut self, buffer: &mut [u8]) -> [String; 2] {
        let mut lines = [Vec::new(), Vec::new()];
        for (stream, lines) in self.streams.iter_mut().zip(&mut lines) {
            read(stream, LAST_READS, buffer, lines);
            if let Some(mut stream) = stream.take() {
                stream.lines.finish(|line| lines.push(line));
            }
        }
        self.end = None;
        self.keep(lines)
    }

    /// Keeps lines for waits, and returns them as they are to be printed.
    fn keep(&mut self, lines: [Vec<String>; 2]) -> [String; 2] {
        let text = lines.each_ref().map(|lines| self.marked(lines));
        if let Some(noted) = &mut self.noted {
            for (stream, lines) in lines.iter().enumerate() {
                lines.iter().for_each(|line| noted.line(stream, line));
            }
        }
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
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{}| {line}", self.node);
            text
        })
    }
}

/// Reads at most `most` times. At its end the stream is removed.
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

    /// Waits until there is new output or the time is over. May return early.
    pub(crate) fn wait<'a>(&self, fed: MutexGuard<'a, Fed>, most: Duration) -> MutexGuard<'a, Fed> {
        wait_timeout(&self.changed, fed, most)
    }
}

impl Fed {
    /// Returns the kept lines after the first `seen` of all, and the number of all lines.
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

    /// Splits a line that is too long.
    fn cut(&mut self, line: &mut impl FnMut(String)) {
        while self.0.len() > LONGEST {
            // A character is not split: it has at most three bytes after its first.
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
    fn lines_do_not_depend_on_the_sizes_of_reads() {
        assert_eq!(
            lines(&[b"one\ntwo\r\n\nth", b"ree", b"\nrest"]),
            ["one", "two", "", "three", "rest"]
        );
        assert_eq!(lines(&[b"\xc3", b"\xa4\n\xff\xfe\n"]), ["\u{e4}", "\u{fffd}\u{fffd}"]);
        assert_eq!(lines(&[]), [""; 0]);
    }

    #[test]
    fn a_line_that_is_too_long_is_split_between_characters() {
        let long = "a".to_owned() + &"\u{20ac}".repeat(LONGEST);
        let parts: Vec<&[u8]> = long.as_bytes().chunks(1000).collect();
        let pieces = lines(&parts);
        assert_eq!(pieces.len(), long.len().div_ceil(LONGEST));
        assert!(pieces.iter().all(|line| line.len() <= LONGEST));
        assert_eq!(pieces.concat(), long);
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
