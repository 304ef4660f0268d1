//! Positions of packets in their flows. Pure.

use crate::lab::impair::hash::{FlowKey, Purpose};

/// Position of a packet, or of one slot of its data, in its flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) class: Class,
    pub(crate) number: u64,
    pub(crate) attempt: u64,
    /// Position as a step of a chain or of a pattern.
    pub(crate) step: Step,
}

/// Classes of positions; those of one number are not the same in two classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Class {
    /// A slot of a TCP stream.
    Slot = 0,
    /// A segment of a TCP stream, by its first byte.
    Segment = 1,
    /// A TCP segment with SYN, FIN or RST.
    Control = 2,
    /// A TCP segment without data.
    Ack = 3,
    /// A packet of another protocol.
    Other = 4,
    /// A packet of any flow, by its number on the link.
    Shared = 5,
}

/// Step of a chain. Each lane has a chain of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) lane: u64,
    pub(crate) index: u64,
}

/// Units by which the data of TCP has positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Slots of this many bytes.
    Slot(u64),
    /// Segments.
    Segment,
    /// None: data has no positions.
    Nothing,
}

impl Position {
    /// Returns the position of a packet that has but a number.
    pub(crate) fn numbered(class: Class, number: u64) -> Self {
        Self { class, number, attempt: 0, step: Step { lane: 0, index: number } }
    }

    /// Returns the draw for a purpose at this position.
    pub(crate) fn draw(&self, key: FlowKey, purpose: Purpose) -> u64 {
        key.draw(purpose, [self.class as u64, self.number, self.attempt])
    }
}
