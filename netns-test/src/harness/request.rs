//! The runner's side of one test: asks the server, replays output, waits for the end.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use super::output::{Replay, Streams};
use super::patience::insist;
use super::server::Server;
use super::verdict::Outcome;
use super::wire::{self, Caller, Message, Report};
use crate::diagnose;
use crate::error::Failure;
use crate::sys::signals::{self, Mask};
use crate::sys::{fds, limits, socket};

/// Has test number `index` run, and waits until its last process has gone.
pub(super) fn perform(
    server: Result<&Server, Failure>,
    index: usize,
    replay: &mut Replay,
) -> Outcome {
    let server = match server {
        Ok(server) => server,
        Err(failure) => return Outcome::NotRequested(failure),
    };
    let (ours, theirs) = match insist(Channels::open) {
        Ok(channels) => channels,
        Err(error) => {
            let failure = diagnose::explain("prepare", "the request for a sandbox", &error);
            return Outcome::NotRequested(failure);
        }
    };
    if let Err(error) = theirs.send(server, index) {
        return match error.kind() {
            io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::NotConnected => Outcome::ServerLost(server.how_it_ended()),
            _ => Outcome::NotRequested(diagnose::explain("send", "the request", &error)),
        };
    }
    drop(theirs);
    ours.follow(server, replay)
}

/// The descriptors of a test that the runner keeps. When it drops them, as when a
/// `print!` panics, init ends the test.
struct Channels {
    control: OwnedFd,
    output: Streams,
}

/// Those that it sends.
struct Request {
    control: OwnedFd,
    stdout: OwnedFd,
    stderr: OwnedFd,
    directory: OwnedFd,
    caller: OwnedFd,
}

impl Channels {
    fn open() -> io::Result<(Self, Request)> {
        let (control, their_control) = socket::pair()?;
        let (output, stdout, stderr) = Streams::open()?;
        let theirs = Request {
            control: their_control,
            stdout,
            stderr,
            directory: fds::open_place(Path::new("."))?,
            caller: fds::memory_file(&caller()?.encode())?,
        };
        Ok((Self { control, output }, theirs))
    }

    fn follow(mut self, server: &Server, replay: &mut Replay) -> Outcome {
        let mut report = Vec::new();
        let mut complete = None;
        let mut buffer = vec![0; wire::PART + 64];
        let outcome = loop {
            if self.wait_and_replay(replay).is_err() {
                break Outcome::ServerLost("waiting for it failed".into());
            }
            match self.next_message(&mut buffer) {
                Ok(None) => {}
                Ok(Some(Message::Part(part))) => report.extend(part),
                Ok(Some(Message::Complete)) => complete = Report::decode(&report),
                Ok(Some(Message::Gone(init))) => break Outcome::Gone { report: complete, init },
                Err(_) => break Outcome::ServerLost(server.how_it_ended()),
            }
        };
        self.output.finish(replay);
        outcome
    }

    /// Waits for output or news, and replays output.
    fn wait_and_replay(&mut self, replay: &mut Replay) -> io::Result<()> {
        let mut sources: Vec<BorrowedFd<'_>> = vec![self.control.as_fd()];
        sources.extend(self.output.sources());
        fds::wait(&sources, None)?;
        self.output.turn(replay);
        Ok(())
    }

    /// The next message, if one is there; an error at the end.
    fn next_message(&self, buffer: &mut [u8]) -> io::Result<Option<Message>> {
        let ready = fds::wait(&[self.control.as_fd()], Some(std::time::Duration::ZERO))?;
        if !ready.iter().any(|ready| ready.readable || ready.hung_up) {
            return Ok(None);
        }
        let received = socket::receive(self.control.as_fd(), buffer)?;
        if received.length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let message = Message::decode(&buffer[..received.length]);
        message.map(Some).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

impl Request {
    fn send(&self, server: &Server, index: usize) -> io::Result<()> {
        let fds = [&self.control, &self.stdout, &self.stderr, &self.directory, &self.caller];
        let fds = fds.map(|fd| fd.as_fd());
        insist(|| socket::send(server.socket()?, &wire::encode_request(index), &fds))
    }
}

/// This process and thread, as a test would find them.
fn caller() -> io::Result<Caller> {
    let environment = std::env::vars_os().map(|(mut name, value)| {
        name.push("=");
        name.push(value);
        name.into_vec()
    });
    Ok(Caller {
        environment: environment.collect(),
        limits: limits::get()?,
        mask: signals::mask().unwrap_or(Mask(0)),
        umask: umask()?,
    })
}

/// From `/proc`: asking with umask(2) would change it for a moment, for all threads.
fn umask() -> io::Result<u32> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let value = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    let value = value.and_then(|value| u32::from_str_radix(value.trim(), 8).ok());
    value.ok_or_else(|| io::Error::other("no Umask in /proc/self/status"))
}
