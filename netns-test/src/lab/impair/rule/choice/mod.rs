//! Which of the packets that match a rule acts on. Pure.

pub(crate) mod chooser;
mod flow;
mod streams;

use std::fmt;
use std::time::Duration;

/// Choice among the packets that match, in the order in which they come in.
///
/// Packets are counted from 1, for each direction of a link by itself. Of the methods that count,
/// the last one holds.
///
/// ```
/// use netns_test::lab::Which;
/// use std::time::Duration;
///
/// let third = Which::all().nth(3).per_flow().until(Duration::from_secs(10));
/// assert_eq!(third.to_string(), "packet 3 of each flow, for 10s");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Which {
    count: Count,
    is_per_flow: bool,
    until: Option<Duration>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Count {
    #[default]
    All,
    Nth(u64),
    NthNew(u64),
    Every(u64),
    First(u64),
    FirstBytes(u64),
}

impl Which {
    /// Chooses all packets that match.
    pub fn all() -> Self {
        Self::default()
    }

    /// Chooses one packet, the `n`th that matches, from 1. Retransmissions count.
    pub fn nth(self, n: u64) -> Self {
        Self { count: Count::Nth(n), ..self }
    }

    /// Chooses one packet, the `n`th that matches, from 1, without retransmissions.
    ///
    /// A TCP segment is a first transmission if a byte, SYN or FIN of it is beyond all earlier
    /// segments of its flow that match; without any of these, if its flags or its numbers differ
    /// from those of the last such segment. A packet of another protocol is always new.
    pub fn nth_new(self, n: u64) -> Self {
        Self { count: Count::NthNew(n), ..self }
    }

    /// Chooses each `n`th packet that matches: `n`, 2`n`, 3`n` and so on. `every(1)` is all.
    pub fn every(self, n: u64) -> Self {
        Self { count: Count::Every(n), ..self }
    }

    /// Chooses the first `n` packets that match.
    pub fn first(self, n: u64) -> Self {
        Self { count: Count::First(n), ..self }
    }

    /// Chooses the packets with data of which a byte is among the first `n` bytes of their stream,
    /// also if they are sent again. Each stream has its own count.
    ///
    /// A TCP stream begins after its SYN, or with the first packet that matches if the rule has not
    /// seen the SYN. The stream of another protocol is the payload of all packets of a flow that
    /// match.
    pub fn first_bytes(self, n: u64) -> Self {
        Self { count: Count::FirstBytes(n), ..self }
    }

    /// Counts for each flow by itself. A flow is one way of a connection: addresses, protocol and
    /// ports, or the identifier of an echo request; of frames that are no IP packets, the
    /// EtherType.
    pub fn per_flow(self) -> Self {
        Self { is_per_flow: true, ..self }
    }

    /// Ends the rule `duration` after it was added. Later packets do not match.
    pub fn until(self, duration: Duration) -> Self {
        Self { until: Some(duration), ..self }
    }

    /// Returns why no packet can be chosen, with advice.
    pub(crate) fn mistake(&self) -> Option<&'static str> {
        match self.count {
            Count::Nth(0) | Count::NthNew(0) => Some("packets are counted from 1: not 0"),
            Count::Every(0) => Some("every 0th packet is none: use 1 or more"),
            Count::First(0) | Count::FirstBytes(0) => Some("the first 0 are none: use 1 or more"),
            _ if self.until == Some(Duration::ZERO) => {
                Some("the rule ends when it begins: use a longer time")
            }
            _ => None,
        }
    }
}

/// Writes the choice, as in `packet 3 of each flow, for 10s`.
impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.count {
            Count::All => write!(f, "all packets")?,
            Count::Nth(n) => write!(f, "packet {n}")?,
            Count::NthNew(n) => write!(f, "packet {n} without retransmissions")?,
            Count::Every(n) => write!(f, "every {n} packets")?,
            Count::First(n) => write!(f, "the first {n} packets")?,
            Count::FirstBytes(n) => write!(f, "the first {n} bytes")?,
        }
        if self.is_per_flow || matches!(self.count, Count::FirstBytes(_)) {
            f.write_str(" of each flow")?;
        }
        self.until.map_or(Ok(()), |duration| write!(f, ", for {duration:?}"))
    }
}
