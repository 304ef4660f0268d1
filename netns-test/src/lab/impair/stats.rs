//! Counters of a link, and the list of what it has lost. Pure.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

/// Counters of one direction of a link. Packets are counted as they would be on a wire: a
/// segmentation offload counts as its segments.
///
/// `received + duplicated + injected = sent + undeliverable + lost + dropped_by_rule +
/// dropped_by_queue + in_transit` holds at each moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DirectionStats {
    /// Packets that came in.
    pub received: u64,
    /// Bytes of their frames, without check sequence.
    pub received_bytes: u64,
    /// Packets that were passed on.
    pub sent: u64,
    /// Bytes of their frames.
    pub sent_bytes: u64,
    /// Packets that the loss took.
    pub lost: u64,
    /// Packets that a rule dropped.
    pub dropped_by_rule: u64,
    /// Packets that the full queue dropped.
    pub dropped_by_queue: u64,
    /// Additional copies of packets.
    pub duplicated: u64,
    /// Packets that the link made itself: a forged reset, an ICMP error.
    pub injected: u64,
    /// Packets with a flipped bit, or that a rule has altered or truncated.
    pub corrupted: u64,
    /// Packets that were marked CE (RFC 3168).
    pub marked: u64,
    /// Packets that left before an earlier one.
    pub reordered: u64,
    /// Packets that are held, in the queue, or delayed.
    pub in_transit: u64,
    /// Packets that could not be sent, since the receiving end is down or gone.
    pub undeliverable: u64,
    /// Longest time that a packet was sent after it was due.
    pub latest: Duration,
}

/// A packet that a link has lost at random.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lost {
    /// Name of the node that sent the packet to the link.
    pub from: String,
    /// Flow of the packet.
    pub flow: FlowName,
    /// Packet within the flow.
    pub packet: LostPacket,
}

/// Flow of a packet, by names that are the same in each run.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct FlowName {
    /// Protocol number (RFC 791); `None` for frames that are no IP packets.
    pub protocol: Option<u8>,
    /// Source and destination. The port is 0 where the protocol has none, and in place of one from
    /// 32,768 on: the kernel chooses these, differently in each run.
    pub ends: Option<[SocketAddr; 2]>,
    /// Number of the flow among those between the same ends to the same service, from 0.
    pub ordinal: u64,
}

/// Identity of a lost packet within its flow.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LostPacket {
    /// TCP data: a slot of the stream, or a segment (`LossUnit`), and the attempt at it, from 0.
    ///
    /// The segment that has the first byte of the slot was lost. A segment can have several lost
    /// slots, which are listed apart: so there can be more of them than
    /// [`DirectionStats::lost`] counts.
    Data {
        /// Bytes of the slot or the segment, from the start of the stream.
        bytes: Range<u64>,
        /// Earlier verdicts on these bytes.
        attempt: u32,
    },
    /// TCP segment with SYN, FIN or RST: its flags and the number of such segments before it.
    Control {
        /// SYN, FIN and RST, and ACK beside SYN (RFC 9293).
        flags: u8,
        /// Segments with these flags before it.
        nth: u64,
    },
    /// TCP segment without data and such flags: an acknowledgement.
    Ack {
        /// Acknowledged bytes of the other stream.
        acknowledged: u64,
        /// Earlier acknowledgements of the same number.
        repeat: u64,
    },
    /// A packet of another protocol, by its number in the flow, from 0.
    Nth(u64),
}
