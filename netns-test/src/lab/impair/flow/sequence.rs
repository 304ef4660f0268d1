//! Sequence numbers of one direction of a TCP connection, as positions in its stream. Pure.

/// Numbering of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sequence {
    /// Initial sequence number: that of the SYN.
    pub(super) initial: u32,
    /// End of the data that was seen, in bytes from the start.
    end: u64,
}

impl Sequence {
    pub(super) fn new(initial: u32) -> Self {
        Self { initial, end: 0 }
    }

    /// Returns the bytes of the stream before a sequence number: of those that end in the same 32
    /// bits, the one that is closest to the end of the data. It is 0 for one before the start.
    pub(super) fn position(&self, number: u32) -> u64 {
        let low = number.wrapping_sub(self.initial).wrapping_sub(1);
        let distance = low.wrapping_sub(self.end as u32) as i32;
        self.end.saturating_add_signed(distance.into())
    }

    /// Notes that data up to this position was seen.
    pub(super) fn advance(&mut self, end: u64) {
        self.end = self.end.max(end);
    }
}
