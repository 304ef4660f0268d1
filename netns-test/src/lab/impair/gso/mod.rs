//! Division of frames that stand for several (generic segmentation offload) into wire segments,
//! and completion of checksums. Pure.
//!
//! The results are those of `tcp_gso_segment`, `__udp_gso_segment` and `inet_gso_segment` of the
//! kernel. A frame that cannot be divided here counts as one segment.

mod layout;
#[cfg(test)]
mod tests;

use std::ops::Range;

use crate::lab::impair::checksum::complete;
use crate::lab::impair::frame::Frame;
use crate::lab::impair::frame::field::length16;
use crate::lab::impair::gso::layout::Layout;
use crate::lab::impair::offload::{Offload, PartialChecksum, Segmentation};

/// Returns the payload of each wire segment, in bytes from the start of the frame's payload. A
/// frame without segmentation is one segment.
pub(crate) fn segments(
    frame: &Frame<'_>,
    offload: &Offload,
) -> impl Iterator<Item = Range<usize>> + use<> {
    let layout = Layout::of(frame, offload);
    let length = layout.as_ref().map_or(frame.payload.len(), |layout| layout.payload.len());
    let size = layout.map_or(length, |layout| layout.size).max(1);
    // A frame without payload is a segment, too.
    (0..length.max(1)).step_by(size).map(move |start| start..length.min(start + size))
}

/// Returns a frame with a part of the payload, from the start of a wire segment to the end of one,
/// in bytes as of [`segments`]. It stands for several segments if the part has them. Its checksum
/// is partial.
pub(crate) fn cut(frame: &Frame<'_>, offload: &Offload, part: Range<usize>) -> (Vec<u8>, Offload) {
    let Some(layout) = Layout::of(frame, offload) else {
        return (frame.bytes.to_vec(), *offload);
    };
    let mut bytes = layout.segment(frame.bytes, &part);
    let checksum = Some(layout.uncomplete(&mut bytes));
    let segmentation = offload.segmentation.filter(|_| part.len() > layout.size).map(|of| {
        let has_ecn = of.has_ecn && part.start == 0;
        Segmentation { headers: length16(layout.payload.start), has_ecn, ..of }
    });
    (bytes, Offload { checksum, segmentation, ..*offload })
}

/// Returns the frames that the frame stands for, as they would be on the wire: one for each of
/// [`segments`], with complete checksums.
pub(crate) fn to_wire(frame: &Frame<'_>, offload: &Offload) -> Vec<Vec<u8>> {
    if let Some(layout) = Layout::of(frame, offload) {
        let parts = segments(frame, offload);
        return parts.map(|part| layout.segment(frame.bytes, &part)).collect();
    }
    let mut bytes = frame.bytes.to_vec();
    if let Some(PartialChecksum { start, offset }) = offload.checksum {
        let summed = bytes.get_mut(usize::from(start)..).unwrap_or_default();
        complete(summed, usize::from(offset));
    }
    vec![bytes]
}
