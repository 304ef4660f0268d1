//! Counters of a link, and the list of what it has lost. Pure.

use std::fmt;
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
///
/// `Display` prints `client: TCP 10.0.0.1 to 10.0.0.2:80, flow 0: bytes 0..1448, attempt 0`.
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

impl DirectionStats {
    /// Returns whether packets were dropped: by the loss, a rule or the queue.
    pub(crate) fn has_dropped(&self) -> bool {
        self.lost + self.dropped_by_rule + self.dropped_by_queue > 0
    }
}

/// Writes `received 10, sent 9, lost 1`. Counters that are 0 are left out, except the first two.
impl fmt::Display for DirectionStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            received,
            received_bytes: _,
            sent,
            sent_bytes: _,
            lost,
            dropped_by_rule,
            dropped_by_queue,
            duplicated,
            injected,
            corrupted,
            marked,
            reordered,
            in_transit,
            undeliverable,
            latest,
        } = self;
        write!(f, "received {received}, sent {sent}")?;
        let others = [
            ("lost", lost),
            ("dropped by a rule", dropped_by_rule),
            ("dropped by the queue", dropped_by_queue),
            ("duplicated", duplicated),
            ("injected", injected),
            ("corrupted", corrupted),
            ("marked CE", marked),
            ("reordered", reordered),
            ("in transit", in_transit),
            ("undeliverable", undeliverable),
        ];
        let mut others = others.into_iter().filter(|(_, count)| **count > 0);
        others.try_for_each(|(what, count)| write!(f, ", {what} {count}"))?;
        if latest.is_zero() { Ok(()) } else { write!(f, ", late by at most {latest:?}") }
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, flow, packet } = self;
        if !from.is_empty() {
            write!(f, "{from}: ")?;
        }
        write!(f, "{flow}: {packet}")
    }
}

/// Writes `TCP 10.0.0.1 to 10.0.0.2:80, flow 0`. A port of 0 is left out.
impl fmt::Display for FlowName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { protocol, ends, ordinal } = self;
        match protocol {
            None => f.write_str("no IP packet")?,
            Some(1) => f.write_str("ICMP")?,
            Some(6) => f.write_str("TCP")?,
            Some(17) => f.write_str("UDP")?,
            Some(58) => f.write_str("ICMPv6")?,
            Some(number) => write!(f, "protocol {number}")?,
        }
        let end = |end: &SocketAddr| match end.port() {
            0 => end.ip().to_string(),
            _ => end.to_string(),
        };
        if let Some([source, destination]) = ends {
            write!(f, " {} to {}", end(source), end(destination))?;
        }
        write!(f, ", flow {ordinal}")
    }
}

/// Writes `bytes 0..1448, attempt 0`, `SYN|ACK 0`, `ACK of 1448, repeat 2` or `packet 3`. All
/// numbers begin with 0.
impl fmt::Display for LostPacket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Data { bytes, attempt } => {
                write!(f, "bytes {}..{}, attempt {attempt}", bytes.start, bytes.end)
            }
            Self::Control { flags, nth } => {
                let names = [(2, "SYN"), (1, "FIN"), (4, "RST"), (16, "ACK")];
                let set = names.into_iter().filter(|(bit, _)| flags & bit != 0);
                let set: Vec<&str> = set.map(|(_, name)| name).collect();
                write!(f, "{} {nth}", set.join("|"))
            }
            Self::Ack { acknowledged, repeat } => {
                write!(f, "ACK of {acknowledged}, repeat {repeat}")
            }
            Self::Nth(number) => write!(f, "packet {number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_zero_are_left_out() {
        let mut stats = DirectionStats { received: 10, sent: 6, ..DirectionStats::default() };
        assert!(!stats.has_dropped());
        assert_eq!(stats.to_string(), "received 10, sent 6");
        (stats.lost, stats.dropped_by_queue) = (3, 1);
        stats.latest = Duration::from_millis(2);
        assert!(stats.has_dropped());
        let expected = "received 10, sent 6, lost 3, dropped by the queue 1, late by at most 2ms";
        assert_eq!(stats.to_string(), expected);
    }

    #[test]
    fn a_lost_packet_is_a_line() {
        let ends = |ends: [&str; 2]| Some(ends.map(|end| end.parse().unwrap()));
        let flow = |protocol, ends, ordinal| FlowName { protocol, ends, ordinal };
        let tcp = flow(Some(6), ends(["10.0.0.1:0", "10.0.0.2:80"]), 0);
        let udp = flow(Some(17), ends(["[fd00::1]:53", "[fd00::2]:0"]), 4);
        let data = LostPacket::Data { bytes: 0..1448, attempt: 1 };
        for (flow, packet, expected) in [
            (&tcp, data, "TCP 10.0.0.1 to 10.0.0.2:80, flow 0: bytes 0..1448, attempt 1"),
            (&udp, LostPacket::Nth(3), "UDP [fd00::1]:53 to fd00::2, flow 4: packet 3"),
            (
                &tcp,
                LostPacket::Control { flags: 18, nth: 0 },
                "TCP 10.0.0.1 to 10.0.0.2:80, flow 0: SYN|ACK 0",
            ),
            (
                &flow(None, None, 1),
                LostPacket::Ack { acknowledged: 7, repeat: 2 },
                "no IP packet, flow 1: ACK of 7, repeat 2",
            ),
            (&flow(Some(89), None, 0), LostPacket::Nth(0), "protocol 89, flow 0: packet 0"),
        ] {
            let lost = Lost { from: String::new(), flow: flow.clone(), packet };
            assert_eq!(lost.to_string(), expected);
            let lost = Lost { from: "client".to_owned(), ..lost };
            assert_eq!(lost.to_string(), format!("client: {expected}"));
        }
    }
}
