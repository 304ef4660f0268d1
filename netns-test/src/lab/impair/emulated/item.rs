//! Frames between the stages of a link. Pure.

use std::borrow::Cow;
use std::time::Duration;

use crate::capture::recorder::Part;
use crate::lab::impair::frame::Frame;
use crate::lab::impair::gso;
use crate::lab::impair::offload::Offload;
use crate::lab::impair::passage::Nanos;

/// A frame on its way, which may stand for several packets.
#[derive(Clone, Debug)]
pub(super) struct Item<'a> {
    pub(super) bytes: Cow<'a, [u8]>,
    pub(super) offload: Offload,
    /// Time of its arrival, or of its release.
    pub(super) at: Nanos,
    /// Delay by a rule.
    pub(super) extra: Duration,
    /// The packet in the record of the link; the first one, if it stands for several.
    pub(super) of: Option<Part>,
}

/// Packets and bytes as they would be on a wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) packets: u64,
    pub(super) bytes: u64,
}

impl<'a> Item<'a> {
    /// Makes an item of a finished packet.
    pub(super) fn new(bytes: Cow<'a, [u8]>, at: Nanos) -> Self {
        Self { bytes, offload: Offload::default(), at, extra: Duration::ZERO, of: None }
    }

    /// Returns whether the sender left checksums or segmentation to the device.
    pub(super) fn is_unfinished(&self) -> bool {
        self.offload.checksum.is_some() || self.offload.segmentation.is_some()
    }

    /// Returns the packets that this frame stands for, each finished and by itself.
    pub(super) fn to_wire(&self) -> impl Iterator<Item = Item<'static>> + use<> {
        let wire = gso::to_wire(&Frame::parse(&self.bytes), &self.offload);
        let (at, extra, of) = (self.at, self.extra, self.of);
        wire.into_iter().zip(0..).map(move |(bytes, part)| {
            let of = of.map(|first| Part { part: first.part + part, ..first });
            Item { extra, of, ..Item::new(Cow::Owned(bytes), at) }
        })
    }

    /// Returns the packet in the record of the link of a part of the payload, in bytes.
    pub(super) fn part_at(&self, start: usize) -> Option<Part> {
        let first = self.of?;
        let size = gso::segments(&Frame::parse(&self.bytes), &self.offload).next();
        let size = size.map_or(1, |part| part.len()).max(1);
        let part = u32::try_from(start / size).unwrap_or(u32::MAX);
        Some(Part { part: first.part.saturating_add(part), ..first })
    }

    pub(super) fn into_owned(self) -> Item<'static> {
        Item { bytes: Cow::Owned(self.bytes.into_owned()), ..self }
    }

    pub(super) fn amount(&self) -> Amount {
        Amount::of(&self.bytes, &self.offload)
    }
}

impl Amount {
    /// Returns the amount that a frame stands for.
    pub(super) fn of(bytes: &[u8], offload: &Offload) -> Self {
        let length = bytes.len() as u64;
        if offload.segmentation.is_none() {
            return Self { packets: 1, bytes: length };
        }
        let frame = Frame::parse(bytes);
        let packets = gso::segments(&frame, offload).count() as u64;
        Self { packets, bytes: length + (packets - 1) * frame.payload.start as u64 }
    }
}
