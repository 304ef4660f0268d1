//! A TCP sender that sends all data again which has not arrived.

use std::ops::Range;

use crate::lab::impair::emulated::tests::frames::{Kind, Sample, Wire};
use crate::lab::impair::emulated::{EmulatedLink, Sent};
use crate::lab::impair::frame::samples::Random;
use crate::lab::impair::frame::{ACK, FIN, Frame, PSH, SYN};
use crate::lab::impair::gso;
use crate::lab::impair::passage::{Departure, Direction};
use crate::lab::impair::stats::{FlowName, LostPacket};

/// How data is sent; none of it may have an effect on what is lost.
#[derive(Clone, Debug)]
pub(super) struct Style {
    pub(super) is_v4: bool,
    pub(super) ports: [u16; 2],
    pub(super) initial: u32,
    /// Bytes of each write; no segment goes over the end of one.
    pub(super) write: usize,
    /// Most bytes of a frame, which stands for several segments if they are more than a segment.
    pub(super) frame: usize,
    /// Frames after which lost data is sent again.
    pub(super) window: usize,
    /// Source of other packets between those of the transfer.
    pub(super) noise: Option<u64>,
}

/// A loss of the flow, by names that are the same in each run.
pub(super) type Entry = (Direction, FlowName, LostPacket);

/// Bytes of a full segment, for IPv4 and for IPv6, on a link with the MTU 1500.
fn segment(is_v4: bool) -> usize {
    if is_v4 { 1448 } else { 1428 }
}

/// Sends a SYN, `length` bytes, and a FIN over the link, each until it has passed. Returns the
/// losses of the flow, sorted.
pub(super) fn transfer(link: &mut EmulatedLink, style: &Style, length: u64) -> Vec<Entry> {
    let mut sender = Sender { style, noise: style.noise.map(Random), count: 0 };
    let control = |flags, seq| sample(style, flags, seq, 0..0).wire();
    while sender.send(link, &control(SYN, style.initial)).is_empty() {}
    let whole = 0..length;
    let mut missing = sender.send_all(link, std::slice::from_ref(&whole));
    while !missing.is_empty() {
        missing = sender.send_all(link, &missing);
    }
    let end = style.initial.wrapping_add(1).wrapping_add(length as u32);
    while sender.send(link, &control(FIN | ACK, end)).is_empty() {}
    let mut lost: Vec<Entry> = link
        .losses()
        .last
        .iter()
        .map(|(direction, lost)| (*direction, lost.flow.clone(), lost.packet.clone()))
        .filter(|(_, flow, _)| flow.ends.is_some_and(|ends| ends[1].port() == style.ports[1]))
        .collect();
    lost.sort_by_key(|entry| format!("{entry:?}"));
    lost
}

struct Sender<'s> {
    style: &'s Style,
    noise: Option<Random>,
    count: usize,
}

impl Sender<'_> {
    /// Sends ranges of the stream once, or again after a window. Returns what has not arrived.
    fn send_all(&mut self, link: &mut EmulatedLink, ranges: &[Range<u64>]) -> Vec<Range<u64>> {
        let mut missing = Vec::new();
        let mut again = Vec::new();
        for range in ranges {
            let mut at = range.start;
            while at < range.end {
                let write = (at / self.style.write as u64 + 1) * self.style.write as u64;
                let end = range.end.min(write).min(at + self.style.frame as u64);
                again.extend(self.send_data(link, at..end));
                at = end;
                self.count += 1;
                if self.count % self.style.window == 0 {
                    let now = std::mem::take(&mut again);
                    for range in now {
                        missing.extend(self.send_data(link, range));
                    }
                }
            }
        }
        missing.extend(again);
        missing.sort_by_key(|range| range.start);
        missing
    }

    /// Sends a range of the stream. Returns what has not arrived.
    fn send_data(&mut self, link: &mut EmulatedLink, range: Range<u64>) -> Vec<Range<u64>> {
        let first = self.style.initial.wrapping_add(1);
        let seq = first.wrapping_add(range.start as u32);
        let wire = sample(self.style, ACK | PSH, seq, range.clone()).gso(segment(self.style.is_v4));
        let mut at = range.start;
        let mut missing = Vec::new();
        for bytes in self.send(link, &wire) {
            let (start, payload) = data(&bytes, range.start, seq);
            if start > at {
                missing.push(at..start);
            }
            for (index, byte) in payload.iter().enumerate() {
                assert_eq!(*byte, content(start + index as u64));
            }
            at = start + payload.len() as u64;
        }
        if at < range.end {
            missing.push(at..range.end);
        }
        missing
    }

    /// Sends a frame. Returns the frames that leave, after packets of other flows.
    fn send(&mut self, link: &mut EmulatedLink, wire: &Wire) -> Vec<Vec<u8>> {
        if let Some(random) = &mut self.noise {
            for _ in 0..random.below(4) {
                noise(link, random);
            }
        }
        let mut out = Vec::new();
        link.pass(Direction::Forth, wire.at(0), &mut out);
        out.iter().for_each(|departure| link.sent(departure, departure.due, Sent::Ok));
        out.iter().flat_map(wires).collect()
    }
}

/// Returns the packets that a departure stands for.
pub(super) fn wires(departure: &Departure<'_>) -> Vec<Vec<u8>> {
    gso::to_wire(&Frame::parse(&departure.bytes), &departure.offload)
}

fn content(at: u64) -> u8 {
    (at % 251) as u8
}

fn sample(style: &Style, flags: u8, seq: u32, range: Range<u64>) -> Sample {
    let payload = range.map(content).collect();
    Sample { is_v4: style.is_v4, ports: style.ports, ..Sample::tcp(flags, seq, payload) }
}

/// Returns the start in the stream and the payload of a segment whose frame began at `start`.
fn data(bytes: &[u8], start: u64, seq: u32) -> (u64, &[u8]) {
    let frame = Frame::parse(bytes);
    let crate::lab::impair::frame::Transport::Tcp(tcp) = frame.transport else {
        panic!("no TCP: {frame:?}");
    };
    (start + u64::from(tcp.seq.wrapping_sub(seq)), &bytes[frame.payload])
}

/// Passes a packet of another flow.
fn noise(link: &mut EmulatedLink, random: &mut Random) {
    let payload = vec![0; random.below(3000)];
    let ports = [50_000 + random.below(3) as u16, 8000 + random.below(3) as u16];
    let (direction, sample) = match random.below(4) {
        0 => (Direction::Forth, Sample::udp(ports, payload)),
        1 => {
            let kind = Kind::Tcp { seq: 77, ack: 5, flags: ACK };
            (Direction::Back, Sample::udp(ports, payload).answer(kind))
        }
        2 => (Direction::Forth, Sample { ports, ..Sample::tcp(ACK, 3, payload) }),
        _ => (Direction::Forth, Sample { kind: Kind::Echo, ..Sample::udp([0, 0], payload) }),
    };
    let wire = sample.gso(1000);
    let mut out = Vec::new();
    link.pass(direction, wire.at(0), &mut out);
    out.iter().for_each(|departure| link.sent(departure, departure.due, Sent::Ok));
}
