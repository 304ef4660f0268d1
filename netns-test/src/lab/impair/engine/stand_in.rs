//! A link that passes everything on, in place of the model until that has landed. Pure.

use std::borrow::Cow;
use std::time::Duration;

use crate::lab::impair::offload::{Offload, PartialChecksum, Segmentation, SegmentationKind};
use crate::lab::impair::passage::{Arrival, Departure, Direction, Nanos};
use crate::lab::impair::stats::DirectionStats;

/// Outcome of a departure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    Ok,
    /// The receiving end is down or gone.
    Undeliverable,
}

#[derive(Debug, Default)]
pub(crate) struct EmulatedLink {
    pub(crate) delays: [Nanos; 2],
    stats: [DirectionStats; 2],
}

impl EmulatedLink {
    pub(crate) fn pass<'a>(
        &mut self,
        direction: Direction,
        arrival: Arrival<'a>,
        out: &mut Vec<Departure<'a>>,
    ) {
        let stats = &mut self.stats[direction.index()];
        (stats.received, stats.in_transit) = (stats.received + 1, stats.in_transit + 1);
        let due = arrival.at + self.delays[direction.index()];
        let (bytes, offload) = (Cow::Borrowed(arrival.bytes), arrival.offload);
        out.push(Departure { direction, due, bytes, offload });
    }

    pub(crate) fn sent(&mut self, departure: &Departure<'_>, at: Nanos, outcome: Sent) {
        let stats = &mut self.stats[departure.direction.index()];
        stats.in_transit -= 1;
        stats.sent += u64::from(outcome == Sent::Ok);
        stats.undeliverable += u64::from(outcome != Sent::Ok);
        stats.latest = stats.latest.max(Duration::from_nanos(at.saturating_sub(departure.due)));
    }

    pub(crate) fn stats(&self) -> [DirectionStats; 2] {
        self.stats.clone()
    }
}

pub(crate) fn decode(header: [u8; 10]) -> Option<Offload> {
    let number = |at: usize| u16::from_ne_bytes([header[at], header[at + 1]]);
    let has_ecn = header[1] & 0x80 != 0;
    let of = |kind| Some(Segmentation { kind, size: number(4), headers: number(2), has_ecn });
    let segmentation = match header[1] & 0x7f {
        0 => None,
        1 => of(SegmentationKind::TcpV4),
        4 => of(SegmentationKind::TcpV6),
        5 => of(SegmentationKind::Udp),
        _ => return None,
    };
    let checksum = PartialChecksum { start: number(6), offset: number(8) };
    let checksum = (header[0] & 1 != 0).then_some(checksum);
    Some(Offload { checksum, segmentation, is_checked: header[0] & 2 != 0 })
}

pub(crate) fn shifted(mut offload: Offload, bytes: u16) -> Offload {
    if let Some(checksum) = &mut offload.checksum {
        checksum.start += bytes;
    }
    if let Some(segmentation) = &mut offload.segmentation {
        segmentation.headers += bytes;
    }
    offload
}

pub(crate) fn encode(offload: &Offload) -> [u8; 10] {
    let mut header = [0; 10];
    header[0] = u8::from(offload.checksum.is_some()) | u8::from(offload.is_checked) << 1;
    header[1] = offload.segmentation.map_or(0, |of| {
        u8::from(of.has_ecn) << 7
            | match of.kind {
                SegmentationKind::TcpV4 => 1,
                SegmentationKind::TcpV6 => 4,
                SegmentationKind::Udp => 5,
            }
    });
    let [start, offset] = offload.checksum.map_or([0; 2], |part| [part.start, part.offset]);
    let [headers, size] = offload.segmentation.map_or([0; 2], |of| [of.headers, of.size]);
    for (field, number) in header[2..].chunks_mut(2).zip([headers, size, start, offset]) {
        field.copy_from_slice(&number.to_ne_bytes());
    }
    header
}
