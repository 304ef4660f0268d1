//! Recorded frames as the packets that they stand for on a wire. Pure.

use crate::capture::recorder::{Part, Record, Recorded, WayOfFrame};
use crate::lab::impair::frame::Frame;
use crate::lab::impair::gso;
use crate::lab::impair::offload::Offload;

/// A packet at an end of a link, as on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WirePacket {
    /// End of the link, 0 or 1.
    pub(crate) end: usize,
    /// Time on the monotonic clock, in nanoseconds.
    pub(crate) at: u64,
    pub(crate) way: WayOfFrame,
    pub(crate) bytes: Vec<u8>,
    /// Reason for which it was dropped.
    pub(crate) dropped: Option<String>,
    /// Other things that have happened to it.
    pub(crate) notes: Vec<String>,
}

impl WirePacket {
    /// Returns whether the node at the end has sent it.
    pub(crate) fn is_out(&self) -> bool {
        self.way == WayOfFrame::Out
    }

    /// Returns whether it is a packet of the link's own, or one that the node at the end has sent:
    /// these are the packets of a link, each once.
    pub(crate) fn is_new(&self) -> bool {
        matches!(self.way, WayOfFrame::Out | WayOfFrame::In(None))
    }
}

/// Returns the packets at an end, in the order in which they were recorded.
pub(crate) fn packets(end: usize, record: &Record) -> Vec<WirePacket> {
    record.frames().flat_map(|frame| wire(end, frame)).collect()
}

/// Returns the packets of both ends, by time.
pub(crate) fn of_link(records: &[Record; 2]) -> Vec<WirePacket> {
    let mut all: Vec<(u64, WirePacket)> = Vec::new();
    for (end, record) in records.iter().enumerate() {
        for frame in record.frames() {
            all.extend(wire(end, frame).into_iter().map(|packet| (frame.number, packet)));
        }
    }
    // Stable: the packets of a frame stay in their order.
    all.sort_by_key(|(number, packet)| (packet.at, *number));
    all.into_iter().map(|(_, packet)| packet).collect()
}

fn wire(end: usize, recorded: &Recorded) -> Vec<WirePacket> {
    let offload = Offload::decode(recorded.header).unwrap_or_default();
    let frames = if offload.is_done() {
        vec![recorded.bytes.to_vec()]
    } else {
        gso::to_wire(&Frame::parse(&recorded.bytes), &offload)
    };
    let packet = |(bytes, part): (Vec<u8>, u32)| {
        let marks = || recorded.marks.iter().filter(|mark| mark.part == part);
        let way = match recorded.way {
            WayOfFrame::In(Some(first)) => {
                WayOfFrame::In(Some(Part { part: first.part.saturating_add(part), ..first }))
            }
            way => way,
        };
        let dropped = marks().find(|mark| mark.is_dropped).map(|mark| mark.text.clone());
        let others = marks().filter(|mark| !mark.is_dropped);
        let notes = others.map(|mark| mark.text.clone()).collect();
        WirePacket { end, at: recorded.at, way, bytes, dropped, notes }
    };
    frames.into_iter().zip(0..).map(packet).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::recorder::Recorder;

    /// Returns the next number of a sequence that looks random.
    fn next(state: &mut u64) -> u64 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state
    }

    #[test]
    fn garbage_is_one_packet_or_several_but_no_panic() {
        let mut state = 7;
        for round in 0..20_000 {
            let length = next(&mut state) as usize % if round % 100 == 0 { 65_536 } else { 120 };
            let mut bytes: Vec<u8> = (0..length).map(|_| next(&mut state) as u8).collect();
            let header = std::array::from_fn(|_| next(&mut state) as u8 & 7);
            // Half of them begin as IP packets do.
            if let (Some(start), true) = (bytes.get_mut(12..15), round % 2 == 0) {
                let kinds = [[8, 0, 0x45], [0x86, 0xdd, 0x60], [0x81, 0, 0], [8, 6, 0]];
                start.copy_from_slice(&kinds[round / 2 % 4]);
            }
            let mut recorder = Recorder::new(1);
            let part = recorder.enter(0, 0, header, &bytes);
            recorder.mark(0, part, true, "lost".to_owned());
            let packets = packets(0, recorder.record(0));
            assert!(!packets.is_empty());
            assert_eq!(packets[0].dropped.as_deref(), Some("lost"));
        }
    }
}
