//! What runner, server, init and body say to each other, as bytes. Pure.
//!
//! All of them are copies of one image, so the format has no versions; every reader
//! still checks what it reads, since a test body may write anywhere.

use crate::error::Failure;
use crate::sys::limits::Limits;
use crate::sys::process::Status;
use crate::sys::signals::Mask;

/// The most bytes of a report in one message; well below a socket's buffer.
pub(super) const PART: usize = 64 << 10;

/// First word of a request, to tell it from stray bytes.
const REQUEST: u32 = 0x6e74_7271;

/// The runner's side of the world at the moment of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Caller {
    /// `NAME=value`, each without a NUL byte.
    pub(super) environment: Vec<Vec<u8>>,
    pub(super) limits: Limits,
    pub(super) mask: Mask,
    pub(super) umask: u32,
}

/// What init tells the runner about a test.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Report {
    /// The body was not started.
    NotStarted(Failure),
    /// The body was started and its process has ended, by itself or by init.
    Ended(Ended),
}

/// How a body's process ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) status: Status,
    /// What the body said of itself, if it came that far.
    pub(super) record: Option<Record>,
    /// Init has killed it, this many milliseconds after its start.
    pub(super) timed_out: Option<u64>,
    /// The test's thread ran out of stack.
    pub(super) stack_overflow: bool,
    /// Processes that were still there, by name and id.
    pub(super) left: Vec<String>,
    /// What could not be isolated, though the body ran.
    pub(super) limitations: Vec<String>,
}

/// A body's last word.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// It returned, and what it returned is a success.
    Passed,
    /// It returned a failing exit status, which it has explained on stderr.
    Returned(u32),
    /// It panicked with this message.
    Panicked(String),
    /// The same, when the test had closed or replaced its stderr: nobody has seen it.
    PanickedUnseen(String),
    /// It panicked with a value that is no text.
    PanickedWithValue,
    /// It could not be started, for lack of a thread or because of its surroundings.
    NotStarted(Failure),
}

/// What arrives on a test's own socket.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// Part of init's report.
    Part(Vec<u8>),
    /// Init has said everything.
    Complete,
    /// From the server: init, and with it every process of the test, has ended.
    Gone(Status),
}

impl Message {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        match self {
            Self::Part(bytes) => out.u32(1).bytes(bytes),
            Self::Complete => out.u32(2),
            Self::Gone(status) => out.u32(3).status(*status),
        };
        out.0
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut input = Reader(bytes);
        let message = match input.u32()? {
            1 => Self::Part(input.bytes()?.to_vec()),
            2 => Self::Complete,
            3 => Self::Gone(input.status()?),
            _ => return None,
        };
        input.end(message)
    }
}

/// The request itself; descriptors and the [`Caller`] travel beside it.
pub(super) fn encode_request(index: usize) -> Vec<u8> {
    let mut out = Writer::default();
    out.u32(REQUEST).u64(index as u64);
    out.0
}

pub(super) fn decode_request(bytes: &[u8]) -> Option<usize> {
    let mut input = Reader(bytes);
    if input.u32()? != REQUEST {
        return None;
    }
    let index = usize::try_from(input.u64()?).ok()?;
    input.end(index)
}

impl Caller {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.u64(self.mask.0).u32(self.umask);
        for (soft, hard) in self.limits.0 {
            out.u64(soft).u64(hard);
        }
        out.u32(self.environment.len() as u32);
        for variable in &self.environment {
            out.bytes(variable);
        }
        out.0
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut input = Reader(bytes);
        let (mask, umask) = (Mask(input.u64()?), input.u32()?);
        let mut limits = Limits([(0, 0); 16]);
        for limit in &mut limits.0 {
            *limit = (input.u64()?, input.u64()?);
        }
        let count = input.u32()?;
        let environment =
            (0..count).map(|_| input.bytes().map(<[u8]>::to_vec)).collect::<Option<_>>()?;
        input.end(Self { environment, limits, mask, umask })
    }
}

impl Report {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        match self {
            Self::NotStarted(failure) => out.u32(1).failure(failure),
            Self::Ended(ended) => {
                out.u32(2).status(ended.status);
                match &ended.record {
                    None => out.u32(0),
                    Some(record) => out.u32(1).record(record),
                };
                match ended.timed_out {
                    None => out.u32(0),
                    Some(after) => out.u32(1).u64(after),
                };
                out.u32(ended.stack_overflow.into());
                out.texts(&ended.left).texts(&ended.limitations)
            }
        };
        out.0
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut input = Reader(bytes);
        let report = match input.u32()? {
            1 => Self::NotStarted(input.failure()?),
            2 => Self::Ended(Ended {
                status: input.status()?,
                record: if input.flag()? { Some(input.record()?) } else { None },
                timed_out: if input.flag()? { Some(input.u64()?) } else { None },
                stack_overflow: input.flag()?,
                left: input.texts()?,
                limitations: input.texts()?,
            }),
            _ => return None,
        };
        input.end(report)
    }
}

impl Record {
    /// As kind and text, for the memory shared with init.
    pub(super) fn to_parts(&self) -> (u32, Vec<u8>) {
        let mut out = Writer::default();
        let kind = match self {
            Self::Passed => 1,
            Self::Returned(code) => {
                out.u32(*code);
                2
            }
            Self::Panicked(message) => {
                out.0.extend(message.as_bytes());
                3
            }
            Self::PanickedUnseen(message) => {
                out.0.extend(message.as_bytes());
                6
            }
            Self::PanickedWithValue => 4,
            Self::NotStarted(failure) => {
                out.failure(failure);
                5
            }
        };
        (kind, out.0)
    }

    pub(super) fn from_parts(kind: u32, text: &[u8]) -> Option<Self> {
        let mut input = Reader(text);
        Some(match kind {
            1 => Self::Passed,
            2 => Self::Returned(input.u32()?),
            3 => Self::Panicked(String::from_utf8_lossy(text).into_owned()),
            4 => Self::PanickedWithValue,
            5 => Self::NotStarted(input.failure()?),
            6 => Self::PanickedUnseen(String::from_utf8_lossy(text).into_owned()),
            _ => return None,
        })
    }
}

#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn u32(&mut self, value: u32) -> &mut Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    fn u64(&mut self, value: u64) -> &mut Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.u32(bytes.len() as u32);
        self.0.extend(bytes);
        self
    }

    fn texts(&mut self, texts: &[String]) -> &mut Self {
        self.u32(texts.len() as u32);
        for text in texts {
            self.bytes(text.as_bytes());
        }
        self
    }

    fn status(&mut self, status: Status) -> &mut Self {
        match status {
            Status::Exited(code) => self.u32(0).u32(code as u32),
            Status::Signaled(signal) => self.u32(1).u32(signal as u32),
        }
    }

    fn record(&mut self, record: &Record) -> &mut Self {
        let (kind, text) = record.to_parts();
        self.u32(kind).bytes(&text)
    }

    fn failure(&mut self, failure: &Failure) -> &mut Self {
        self.bytes(failure.step.as_bytes());
        self.bytes(failure.object.as_bytes());
        self.bytes(failure.reason.as_bytes());
        self.texts(&failure.remedy)
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn flag(&mut self) -> Option<bool> {
        match self.u32()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()?;
        self.take(length as usize)
    }

    fn text(&mut self) -> Option<String> {
        Some(String::from_utf8_lossy(self.bytes()?).into_owned())
    }

    fn texts(&mut self) -> Option<Vec<String>> {
        (0..self.u32()?).map(|_| self.text()).collect()
    }

    fn status(&mut self) -> Option<Status> {
        let signaled = self.flag()?;
        let number = self.u32()? as i32;
        Some(if signaled { Status::Signaled(number) } else { Status::Exited(number) })
    }

    fn record(&mut self) -> Option<Record> {
        let kind = self.u32()?;
        Record::from_parts(kind, self.bytes()?)
    }

    fn failure(&mut self) -> Option<Failure> {
        let (step, object, reason) = (self.text()?, self.text()?, self.text()?);
        Some(Failure { step, object, reason, errno: None, remedy: self.texts()? })
    }

    /// `value`, if nothing is left to read.
    fn end<T>(&self, value: T) -> Option<T> {
        self.0.is_empty().then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(record: Option<Record>) -> Report {
        Report::Ended(Ended {
            status: Status::Signaled(9),
            record,
            timed_out: Some(60_000),
            stack_overflow: true,
            left: vec!["sleep (12)".into()],
            limitations: vec!["a".into(), "b".into()],
        })
    }

    fn failure() -> Failure {
        Failure::new("mount", "/proc", "EPERM").advise("one").advise("two")
    }

    #[test]
    fn reports_round_trip() {
        let records = [
            None,
            Some(Record::Passed),
            Some(Record::Returned(3)),
            Some(Record::Panicked("boom".into())),
            Some(Record::PanickedUnseen("boom".into())),
            Some(Record::PanickedWithValue),
            Some(Record::NotStarted(failure())),
        ];
        let mut reports: Vec<Report> = records.into_iter().map(ended).collect();
        reports.push(Report::NotStarted(failure()));
        for report in reports {
            assert_eq!(Report::decode(&report.encode()), Some(report));
        }
    }

    #[test]
    fn messages_and_requests_round_trip() {
        let parts =
            [Message::Part(vec![1, 2]), Message::Complete, Message::Gone(Status::Exited(0))];
        for message in parts {
            assert_eq!(Message::decode(&message.encode()), Some(message));
        }
        assert_eq!(decode_request(&encode_request(7)), Some(7));
        let caller = Caller {
            environment: vec![b"A=1".to_vec(), b"B=\xff".to_vec()],
            limits: Limits([(1, 2); 16]),
            mask: Mask(5),
            umask: 0o22,
        };
        assert_eq!(Caller::decode(&caller.encode()), Some(caller));
    }

    #[test]
    fn what_is_cut_or_has_more_is_refused() {
        let bytes = ended(Some(Record::Panicked("boom".into()))).encode();
        for length in 0..bytes.len() {
            assert_eq!(Report::decode(&bytes[..length]), None, "{length}");
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert_eq!(Report::decode(&longer), None);
        assert_eq!(decode_request(b"stray"), None);
        assert_eq!(Message::decode(&[9, 0, 0, 0]), None);
    }
}
