//! Messages of an init to the server about a test whose runner has gone.

use std::mem;

use crate::bytes::{Reader, Writer};

/// Most bytes of a message. Reports have at most 60 lines.
pub(crate) const MOST: usize = 64 << 10;

/// Message of an init to the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LastWords {
    /// Text for the runner's stderr.
    Said(String),
    /// Report of the test of this name, to be kept in a file.
    Report { test: String, text: String },
}

impl LastWords {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        match self {
            Self::Said(text) => {
                out.u32(0);
                out.bytes(text.as_bytes());
            }
            Self::Report { test, text } => {
                out.u32(1);
                out.bytes(test.as_bytes());
                out.bytes(text.as_bytes());
            }
        }
        mem::take(&mut out.0)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut input = Reader(bytes);
        let kind = input.u32()?;
        let mut text = || Some(String::from_utf8_lossy(input.bytes()?).into_owned());
        let words = match kind {
            0 => Self::Said(text()?),
            1 => Self::Report { test: text()?, text: text()? },
            _ => return None,
        };
        input.end(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_round_trip_and_others_are_refused() {
        let report = LastWords::Report { test: "a::b".into(), text: "c\nd".into() };
        for words in [LastWords::Said("a".into()), report] {
            let bytes = words.encode();
            assert_eq!(LastWords::decode(&bytes), Some(words));
            for length in 0..bytes.len() {
                assert_eq!(LastWords::decode(&bytes[..length]), None);
            }
        }
    }
}
