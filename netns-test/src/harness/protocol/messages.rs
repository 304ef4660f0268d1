//! Messages between runner, server, init and body, as bytes. Pure.
//!
//! All of them are copies of one image, so the format has no versions. A test body may write
//! anywhere, so every reader checks what it reads.

use crate::bytes::{Reader, Writer};
use crate::sys::process::Status;

/// Most bytes in one part of a long message; well below the size of a socket's buffer.
pub(crate) const PART: usize = 64 << 10;

/// Magic number of a request, which stray bytes do not have.
const REQUEST: u32 = 0x6e74_7271;

/// Magic number of an order.
const ORDER: u32 = 0x6e74_6f72;

/// Message of init to a body: the sandbox is ready.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ready {
    /// Resources that could not be isolated.
    pub(crate) limitations: Vec<String>,
}

/// Message to the runner on the socket of a test.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// Part of init's report, or of the runner's environment to a body.
    Part(Vec<u8>),
    /// Last part.
    Last(Vec<u8>),
    /// Part of the evidence, which init sends before its report.
    Evidence(Vec<u8>),
    /// Text of init about a test that still runs.
    SoFar(Vec<u8>),
    /// From the server: init, and with it every process of the test, has ended.
    Gone(End),
}

/// End of an init.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) status: Status,
    /// Whether the server has killed it, because it did not enforce the test's time limit.
    pub(crate) overdue: bool,
    /// Whether it, or a process in its namespaces, has not ended though it was killed.
    pub(crate) remains: bool,
}

/// Request of the runner to the server. Four descriptors come with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// Position in the table of tests.
    pub(crate) index: usize,
    /// Effective uid, gid and capabilities of the runner at the request.
    pub(crate) user: (u32, u32, u64),
}

/// Order of the server to a warm sandbox. Descriptors come with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    /// Position in the table of tests.
    pub(crate) index: usize,
}

impl Message {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        match self {
            Self::Part(bytes) => out.u32(1).bytes(bytes),
            Self::Last(bytes) => out.u32(2).bytes(bytes),
            Self::Evidence(bytes) => out.u32(4).bytes(bytes),
            Self::SoFar(bytes) => out.u32(5).bytes(bytes),
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
            4 => Self::Evidence(input.bytes()?.to_vec()),
            5 => Self::SoFar(input.bytes()?.to_vec()),
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

impl Ready {
    pub(crate) fn encode(&self) -> Vec<u8> {
        std::mem::take(&mut Writer::default().texts(&self.limitations).0)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut input = Reader(bytes);
        let limitations = input.texts()?;
        input.end(Self { limitations })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn messages_and_requests_round_trip() {
        let parts = [
            Message::Part(vec![1, 2]),
            Message::Last(vec![3]),
            Message::Evidence(vec![4]),
            Message::SoFar(vec![5]),
            Message::Gone(End { status: Status::Exited(0), overdue: true, remains: false }),
            Message::Gone(End { status: Status::Signaled(9), overdue: true, remains: true }),
        ];
        for message in parts {
            assert_eq!(Message::decode(&message.encode()), Some(message));
        }
        let request = Request { index: 7, user: (1, 2, 3) };
        assert_eq!(Request::decode(&request.encode()), Some(request));
        let ready = Ready { limitations: vec!["a".into(), "b".into()] };
        assert_eq!(Ready::decode(&ready.encode()), Some(ready));
    }

    #[test]
    fn what_is_cut_or_has_more_is_refused() {
        assert_eq!(Request::decode(b"stray"), None);
        assert_eq!(Order::decode(b"stray"), None);
        assert_eq!(Message::decode(&[9, 0, 0, 0]), None);
    }
}
