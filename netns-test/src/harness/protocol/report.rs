//! Reports of init on a test, and records of bodies, as bytes. Pure.
//!
//! A test body may write anywhere, so every reader checks what it reads.

use crate::bytes::{Reader, Writer};
use crate::error::Failure;
use crate::harness::protocol::stage::Stage;
use crate::sys::process::Status;

/// Exit status of a body that passed. As libtest's.
pub(crate) const PASSED: i32 = 0;

/// Exit status of a body that did not pass. As libtest's.
pub(crate) const FAILED: i32 = 101;

/// Report of init to the runner.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Report {
    /// The body was not started.
    NotStarted(Failure),
    /// The body was not started: this machine allows no sandbox.
    Refused(Failure),
    /// The body was started, and its process has ended by itself or was killed by init.
    Ended(Ended),
}

/// End of a body's process.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) status: Status,
    /// Record of the body, if it has written one.
    pub(crate) record: Option<Record>,
    /// Stage that the body had reached.
    pub(crate) stage: Stage,
    /// Milliseconds after which init has killed the body: since the test began, or, for a test
    /// that had not begun, since the sandbox was ready.
    pub(crate) timed_out: Option<u64>,
    /// Whether the test's thread ran out of stack.
    pub(crate) stack_overflow: bool,
    /// Processes that the test has left running, by name and id.
    pub(crate) left: Vec<String>,
    /// Whether init was the last process of the test.
    pub(crate) is_alone: bool,
    /// Resources that could not be isolated, though the body ran.
    pub(crate) limitations: Vec<String>,
    /// Limit of its processor time in seconds (`RLIMIT_CPU`), if it has used that up.
    pub(crate) used_up: Option<u64>,
    /// Number of sends without a route, in a test that must have none.
    pub(crate) escaped: u64,
}

/// Record of a body: how the test's function has ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Record {
    /// It returned a success.
    Passed,
    /// It returned a failing exit status, which it has explained on stderr.
    Returned(u32),
    /// It panicked with this message.
    Panicked(String),
    /// It panicked with this message, which was not shown: the test had closed or replaced its
    /// stderr.
    PanickedUnseen(String),
    /// It panicked with a value that is not a string.
    PanickedWithValue,
    /// It could not be started, as without a thread.
    NotStarted(Failure),
    /// It panicked because the machine refused a resource to this crate. This is not a panic of
    /// the test.
    Lacked(Failure),
}

/// Kind of [`Record::Panicked`] in [`Record::to_parts`], whose text is the bare message.
pub(crate) const PANICKED: u32 = 3;

impl Report {
    /// Returns whether init was the last process of the test: it ends after this report.
    pub(crate) fn is_final(&self) -> bool {
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
                };
                out.u64(ended.escaped)
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
                escaped: input.u64()?,
            }),
            3 => Self::Refused(input.failure()?),
            _ => return None,
        };
        input.end(report)
    }
}

impl Record {
    /// Splits the record into kind and text, for the memory shared with init.
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

    /// Converts the record of a panic into that of a panic whose message was not shown.
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
    use crate::sys::errno;

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
            escaped: 3,
        })
    }

    fn failure() -> Failure {
        let mut failure = Failure::new("mount", "/proc", "EPERM").advise("one").advise("two");
        failure.errno = Some(errno::EPERM);
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
    fn a_report_that_is_cut_or_has_more_is_refused() {
        let bytes = ended(Some(Record::Panicked("boom".into()))).encode();
        for length in 0..bytes.len() {
            assert_eq!(Report::decode(&bytes[..length]), None, "{length}");
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert_eq!(Report::decode(&longer), None);
    }
}
