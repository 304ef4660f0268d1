//! The rings of short and of long frames, which are read as one: in the order in which the kernel
//! received the frames.
//!
//! A slot holds a frame of any length for which its ring is. With one ring for all frames a burst
//! of short ones would fill it soon.

use std::ops::RangeInclusive;

use crate::sys::net::packet::ring::{BEFORE_FRAME, HEADER, Ring, Size, Taken};

/// The rings.
#[derive(Debug)]
pub(crate) struct Rings {
    short: Ring,
    long: Ring,
    /// Frames of the current batch.
    taken: Vec<(Length, Taken)>,
}

/// Frames that were taken from the rings. Drop returns their slots to the kernel.
#[derive(Debug)]
pub(crate) struct Batch<'r>(&'r mut Rings);

/// A frame in a ring.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received<'b> {
    /// Index of the interface that received it.
    pub(crate) interface: u32,
    /// Time at which the kernel received it, in nanoseconds of the realtime clock.
    pub(crate) stamp: u64,
    /// `struct virtio_net_hdr`, with offsets into the frame without the tag of `is_tagged`.
    pub(crate) header: [u8; HEADER],
    /// The frame from the Ethernet header on, with its outermost VLAN tag.
    pub(crate) bytes: &'b [u8],
    /// True if the kernel had taken a tag of 4 bytes out of the frame.
    pub(crate) is_tagged: bool,
    /// True if the frame did not fit into its slot.
    pub(crate) is_cut: bool,
}

/// Length of the frames of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// At most [`MOST_SHORT`] bytes.
    Short,
    /// Up to 64 KiB.
    Long,
}

/// Bytes of the longest short frame: more than a full frame of an Ethernet.
pub(super) const MOST_SHORT: usize = SLOT_OF_SHORT - BEFORE_FRAME;

const SLOT_OF_SHORT: usize = 2 << 10;
/// Bytes for a frame of 64 KiB with its headers.
const SLOT_OF_LONG: usize = 66 << 10;
/// Fewest blocks of a ring, and most.
const BLOCKS_OF_SHORT: RangeInclusive<usize> = 8..=32;
const BLOCKS_OF_LONG: RangeInclusive<usize> = 16..=96;

impl Length {
    /// Returns the size of a ring with this number of slots, within its limits.
    pub(super) fn size(self, slots: usize) -> Size {
        let (slot, limits) = match self {
            Self::Short => (SLOT_OF_SHORT, BLOCKS_OF_SHORT),
            Self::Long => (SLOT_OF_LONG, BLOCKS_OF_LONG),
        };
        let blocks = slots.div_ceil(Size { slot, blocks: 1 }.slots());
        Size { slot, blocks: blocks.clamp(*limits.start(), *limits.end()) }
    }
}

impl Rings {
    pub(super) fn new([short, long]: [Ring; 2]) -> Self {
        Self { short, long, taken: Vec::new() }
    }

    /// Returns the numbers of slots for short and for long frames.
    pub(crate) fn slots(&self) -> [usize; 2] {
        [self.short.slots(), self.long.slots()]
    }

    /// Takes at most `most` frames that are there, in the order in which the kernel received them.
    /// The batch must be short against the rings: the kernel drops frames if no slot is free.
    pub(crate) fn batch(&mut self, most: usize) -> Batch<'_> {
        while self.taken.len() < most {
            let Some(length) = first(|length| self.ring(length).stamp()) else { break };
            let taken = match length {
                Length::Short => self.short.take(),
                Length::Long => self.long.take(),
            };
            self.taken.push((length, taken));
        }
        Batch(self)
    }

    /// Returns whether no frame is there.
    pub(crate) fn is_empty(&self) -> bool {
        !self.is_followed_by(0)
    }

    fn is_followed_by(&self, count: usize) -> bool {
        self.short.is_followed_by(count) || self.long.is_followed_by(count)
    }

    fn ring(&self, length: Length) -> &Ring {
        match length {
            Length::Short => &self.short,
            Length::Long => &self.long,
        }
    }
}

/// Returns the ring whose next frame was received first, by a look at the stamps of both.
///
/// The frames of a flow are received one after the other, so those before one that is seen can be
/// seen, too, by a later look at the other ring.
fn first(stamp: impl Fn(Length) -> Option<u64>) -> Option<Length> {
    let long = stamp(Length::Long);
    let Some(short) = stamp(Length::Short) else { return long.map(|_| Length::Long) };
    let long = long.or_else(|| stamp(Length::Long));
    Some(if long.is_some_and(|long| long < short) { Length::Long } else { Length::Short })
}

impl Batch<'_> {
    /// Returns the number of frames.
    pub(crate) fn len(&self) -> usize {
        self.0.taken.len()
    }

    /// Returns whether more than `count` frames are in a ring behind those of the batch.
    pub(crate) fn is_followed_by(&self, count: usize) -> bool {
        self.0.is_followed_by(count)
    }

    /// Returns the numbers of slots for short and for long frames.
    pub(crate) fn slots(&self) -> [usize; 2] {
        self.0.slots()
    }

    /// Returns the frames, in order, without those that this machine has sent.
    pub(crate) fn frames(&self) -> impl Iterator<Item = Received<'_>> {
        let frames = self.0.taken.iter().filter(|(_, taken)| !taken.bytes.is_empty());
        frames.map(|(length, taken)| Received {
            interface: taken.interface,
            stamp: taken.stamp,
            header: taken.header,
            bytes: self.0.ring(*length).bytes(taken.bytes.clone()),
            is_tagged: taken.is_tagged,
            is_cut: taken.is_cut,
        })
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        self.0.taken.clear();
        self.0.short.give_back();
        self.0.long.give_back();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn rings_have_limits() {
        let slots = |length: Length, slots| length.size(slots).slots();
        assert_eq!([0, 240, 241].map(|least| slots(Length::Long, least)), [240, 240, 255]);
        assert_eq!([0, 4096, 4097].map(|least| slots(Length::Short, least)), [4096, 4096, 4608]);
        assert_eq!(slots(Length::Long, 1_000_000), 1440);
        assert_eq!(slots(Length::Short, 1_000_000), 16_384);
        const { assert!(MOST_SHORT >= 1514 + 4 * 4, "a frame of 1500 bytes and its tags fit") };
    }

    /// Returns what `first` finds if these frames come, each before a look.
    fn found(frames: [Option<(Length, u64)>; 3]) -> Option<Length> {
        let (coming, there) = (RefCell::new(frames.into_iter()), RefCell::new(Vec::new()));
        first(|length| {
            there.borrow_mut().extend(coming.borrow_mut().next().flatten());
            let there = there.borrow();
            there.iter().find(|frame| frame.0 == length).map(|frame| frame.1)
        })
    }

    #[test]
    fn the_first_frame_is_found_while_others_come() {
        let (short, long) = (|at| Some((Length::Short, at)), |at| Some((Length::Long, at)));
        assert_eq!(found([None; 3]), None);
        assert_eq!(found([short(1), None, None]), Some(Length::Short));
        assert_eq!(found([long(1), None, None]), Some(Length::Long));
        assert_eq!(found([short(1), long(2), None]), Some(Length::Short));
        assert_eq!(found([short(1), None, long(2)]), Some(Length::Short));
        assert_eq!(found([long(1), short(2), None]), Some(Length::Long));
        // The long one comes after the first look at its ring.
        assert_eq!(found([None, long(1), None]), None);
        assert_eq!(found([None, short(2), long(1)]), Some(Length::Long));
    }
}
