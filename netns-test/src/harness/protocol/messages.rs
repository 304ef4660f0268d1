//! What runner, server, init and body say to each other, as bytes. Pure.
//!
//! All of them are copies of one image, so the format has no versions; every reader
//! still checks what it reads, since a test body may write anywhere.

use crate::bytes::{Reader, Writer};
use crate::error::Failure;
use crate::harness::child::stage::Stage;
use crate::sys::process::Status;

/// The most bytes of a long message in one part; well below a socket's buffer.
pub(crate) const PART: usize = 64 << 10;

/// First word of a request, to tell it from stray bytes.
const REQUEST: u32 = 0x6e74_7271;

/// First word of an order.
const ORDER: u32 = 0x6e74_6f72;

/// What init tells the runner about a test.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Report {
    /// The body was not started.
    NotStarted(Failure),
    /// The same, since this machine allows no sandbox.
    Refused(Failure),
    /// The body was started and its process has ended, by itself or by init.
    Ended(Ended),
}

/// How a body's process ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) status: Status,
    /// What the body said of itself, if it came that far.
    pub(crate) record: Option<Record>,
    /// How far it had come.
    pub(crate) stage: Stage,
    /// Init has killed it, this many milliseconds after its test began, or after the sandbox was ready
    /// for a test that had not begun.
    pub(crate) timed_out: Option<u64>,
    /// The test's thread ran out of stack.
    pub(crate) stack_overflow: bool,
    /// Processes that were still there, by name and id.
    pub(crate) left: Vec<String>,
    /// Init was the last process of the test.
    pub(crate) is_alone: bool,
    /// What could not be isolated, though the body ran.
    pub(crate) limitations: Vec<String>,
    /// Seconds of a processor that it might take at the most, if it took them.
    pub(crate) used_up: Option<u64>,
}

/// A body's last word.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Record {
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
    /// It panicked for lack of what the machine refused to this crate, which is no act of its own.
    Lacked(Failure),
}

/// Kind of [`Record::Panicked`] in [`Record::to_parts`], whose text is the message as it is.
pub(crate) const PANICKED: u32 = 3;

/// What init tells a body when the sandbox stands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Word {
    /// What could not be isolated.
    pub(crate) limitations: Vec<String>,
}

/// What arrives on a test's own socket.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// Part of init's report.
    Part(Vec<u8>),
    /// The last one.
    Last(Vec<u8>),
    /// From the server: init, and with it every process of the test, has ended.
    Gone(End),
}

/// How an init ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) status: Status,
    /// The server has killed it, because it did not keep the test's time limit.
    pub(crate) overdue: bool,
    /// The kernel has not come to its end all the same, nor to that of what is in its namespaces.
    pub(crate) remains: bool,
}

/// What the server is asked; descriptors travel with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// Which test.
    pub(crate) index: usize,
    /// Who the runner is now: uid, gid and effective capabilities.
    pub(crate) user: (u32, u32, u64),
}

/// What an init is told; descriptors travel with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    /// Which test.
    pub(crate) index: usize,
}

impl Message {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        match self {
            Self::Part(bytes) => out.u32(1).bytes(bytes),
            Self::Last(bytes) => out.u32(2).bytes(bytes),
            Self::Gone(End { status, overdue, remains }) => {
                out.u32(3).status(*status).u32((*overdue).into()).u32((*remains).into())
            }
        };
        out.0
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut input = Reader(bytes);
        let message = match input.u32()? {
            1 => Self::Part(input.bytes()?.to_vec()),
            2 => Self::Last(input.bytes()?.to_vec()),
            3 => {
                let (status, overdue) = (input.status()?, input.flag()?);
                Self::Gone(End { status, overdue, remains: input.flag()? })
            }
            _ => return None,
        };
        input.end(message)
    }
}

impl Request {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        let (uid, gid, caps) = self.user;
        out.u32(REQUEST).u64(self.index as u64).u32(uid).u32(gid).u64(caps);
        out.0
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut input = Reader(bytes);
        if input.u32()? != REQUEST {
            return None;
        }
        let index = usize::try_from(input.u64()?).ok()?;
        let user = (input.u32()?, input.u32()?, input.u64()?);
        input.end(Self { index, user })
    }
}

impl Order {
    pub(crate) fn encode(self) -> Vec<u8> {
        let mut out = Writer::default();
        out.u32(ORDER).u64(self.index as u64);
        out.0
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut input = Reader(bytes);
        if input.u32()? != ORDER {
            return None;
        }
        let index = usize::try_from(input.u64()?).ok()?;
        input.end(Self { index })
    }
}

impl Word {
    pub(crate) fn encode(&self) -> Vec<u8> {
        std::mem::take(&mut Writer::default().texts(&self.limitations).0)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut input = Reader(bytes);
        let limitations = input.texts()?;
        input.end(Self { limitations })
    }
}

impl Report {
    /// Whether every process of the test has ended but init, which ends with it.
    pub(crate) fn is_last_word(&self) -> bool {
        matches!(self, Self::Ended(Ended { is_alone: true, .. }))
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        match self {
            Self::NotStarted(failure) => out.u32(1).failure(failure),
            Self::Refused(failure) => out.u32(3).failure(failure),
            Self::Ended(ended) => {
                out.u32(2).status(ended.status);
                match &ended.record {
                    None => out.u32(0),
                    Some(record) => {
                        let (kind, text) = record.to_parts();
                        out.u32(1).u32(kind).bytes(&text)
                    }
                };
                out.u32(ended.stage.number());
                match ended.timed_out {
                    None => out.u32(0),
                    Some(after) => out.u32(1).u64(after),
                };
                out.u32(ended.stack_overflow.into());
                out.texts(&ended.left).u32(ended.is_alone.into()).texts(&ended.limitations);
                match ended.used_up {
                    None => out.u32(0),
                    Some(limit) => out.u32(1).u64(limit),
                }
            }
        };
        out.0
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut input = Reader(bytes);
        let report = match input.u32()? {
            1 => Self::NotStarted(input.failure()?),
            2 => Self::Ended(Ended {
                status: input.status()?,
                record: if input.flag()? { Some(Record::read(&mut input)?) } else { None },
                stage: Stage::from_number(input.u32()?)?,
                timed_out: if input.flag()? { Some(input.u64()?) } else { None },
                stack_overflow: input.flag()?,
                left: input.texts()?,
                is_alone: input.flag()?,
                limitations: input.texts()?,
                used_up: if input.flag()? { Some(input.u64()?) } else { None },
            }),
            3 => Self::Refused(input.failure()?),
            _ => return None,
        };
        input.end(report)
    }
}

impl Record {
    /// As kind and text, for the memory shared with init.
    pub(crate) fn to_parts(&self) -> (u32, Vec<u8>) {
        let mut out = Writer::default();
        let kind = match self {
            Self::Passed => 1,
            Self::Returned(code) => {
                out.u32(*code);
                2
            }
            Self::Panicked(message) => {
                out.0.extend(message.as_bytes());
                PANICKED
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
            Self::Lacked(failure) => {
                out.failure(failure);
                7
            }
        };
        (kind, out.0)
    }

    /// The same, where nobody has seen what the test printed of its panic.
    pub(crate) fn unseen(self) -> Self {
        match self {
            Self::Panicked(message) => Self::PanickedUnseen(message),
            other => other,
        }
    }

    fn read(input: &mut Reader<'_>) -> Option<Self> {
        let kind = input.u32()?;
        Self::from_parts(kind, input.bytes()?)
    }

    pub(crate) fn from_parts(kind: u32, text: &[u8]) -> Option<Self> {
        let mut input = Reader(text);
        Some(match kind {
            1 => Self::Passed,
            2 => Self::Returned(input.u32()?),
            PANICKED => Self::Panicked(String::from_utf8_lossy(text).into_owned()),
            4 => Self::PanickedWithValue,
            5 => Self::NotStarted(input.failure()?),
            6 => Self::PanickedUnseen(String::from_utf8_lossy(text).into_owned()),
            7 => Self::Lacked(input.failure()?),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Diagnosis;

    fn ended(record: Option<Record>) -> Report {
        Report::Ended(Ended {
            status: Status::Signaled(9),
            record,
            stage: Stage::Runtime,
            timed_out: Some(60_000),
            stack_overflow: true,
            left: vec!["sleep (12)".into()],
            is_alone: false,
            limitations: vec!["a".into(), "b".into()],
            used_up: Some(2),
        })
    }

    fn failure() -> Failure {
        let mut failure = Failure::new("mount", "/proc", "EPERM").advise("one").advise("two");
        failure.errno = Some(1);
        failure
    }

    fn diagnosed() -> Failure {
        let diagnosis = Diagnosis::new("topic", "cause").shown_by("file", "1").for_good("fix");
        let mut failure = failure();
        failure.diagnosis = Some(Box::new(diagnosis));
        failure
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
            Some(Record::Lacked(failure())),
        ];
        let mut reports: Vec<Report> = records.into_iter().map(ended).collect();
        reports.extend([Report::NotStarted(failure()), Report::Refused(diagnosed())]);
        for report in reports {
            assert_eq!(Report::decode(&report.encode()), Some(report));
        }
    }

    #[test]
    fn messages_and_requests_round_trip() {
        let parts = [
            Message::Part(vec![1, 2]),
            Message::Last(vec![3]),
            Message::Gone(End { status: Status::Exited(0), overdue: true, remains: false }),
            Message::Gone(End { status: Status::Signaled(9), overdue: true, remains: true }),
        ];
        for message in parts {
            assert_eq!(Message::decode(&message.encode()), Some(message));
        }
        let request = Request { index: 7, user: (1, 2, 3) };
        assert_eq!(Request::decode(&request.encode()), Some(request));
        let word = Word { limitations: vec!["a".into(), "b".into()] };
        assert_eq!(Word::decode(&word.encode()), Some(word));
    }

    #[test]
    fn what_is_cut_or_has_more_is_refused() {
        let bytes = ended(Some(Record::Panicked("boom".into()))).encode();
        for length in 0..bytes.len() {
            assert_eq!(Report::decode(&bytes[..length]), None, "{length}");
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert_eq!(Report::decode(&longer), None);
        assert_eq!(Request::decode(b"stray"), None);
        assert_eq!(Order::decode(b"stray"), None);
        assert_eq!(Message::decode(&[9, 0, 0, 0]), None);
    }
}
