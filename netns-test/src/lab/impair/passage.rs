//! Frames on their way through the model of a link. Pure.

use std::borrow::Cow;

use crate::capture::recorder::Part;
use crate::lab::impair::offload::Offload;

/// Nanoseconds on the monotonic clock.
pub(crate) type Nanos = u64;

/// Direction of a link: from the end 0 to the end 1, or back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Direction {
    Forth,
    Back,
}

/// A frame that has come in at the start of a direction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival<'a> {
    /// The frame from the Ethernet header on, with its VLAN tags, without check sequence.
    pub(crate) bytes: &'a [u8],
    pub(crate) offload: Offload,
    /// Time at which the kernel received it.
    pub(crate) at: Nanos,
}

/// A frame that is to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Departure<'a> {
    /// Direction whose far end sends it; an answer to a frame goes the other way.
    pub(crate) direction: Direction,
    /// Time to send it; not before the arrival.
    pub(crate) due: Nanos,
    pub(crate) bytes: Cow<'a, [u8]>,
    pub(crate) offload: Offload,
    /// The packet in the record of the link, if it is recorded and the link has not made it.
    pub(crate) of: Option<Part>,
}

impl Direction {
    pub(crate) const BOTH: [Self; 2] = [Self::Forth, Self::Back];

    /// Returns 0 or 1: the index of the end at which the direction starts.
    pub(crate) const fn index(self) -> usize {
        match self {
            Self::Forth => 0,
            Self::Back => 1,
        }
    }

    pub(crate) const fn reversed(self) -> Self {
        match self {
            Self::Forth => Self::Back,
            Self::Back => Self::Forth,
        }
    }
}
