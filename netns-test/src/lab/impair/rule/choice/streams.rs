//! Streams of flows: which TCP segments are first transmissions, and the place of bytes. Pure.

use std::collections::HashMap;

use crate::lab::impair::frame::{FIN, SYN, Tcp};
use crate::lab::impair::rule::choice::flow::Flow;
use crate::lab::impair::rule::packet::view::PacketView;

/// Segments that were sent before, by flow.
#[derive(Debug, Default)]
pub(super) struct Transmissions(HashMap<Flow, Sent>);

#[derive(Debug, Default)]
struct Sent {
    /// Sequence number of the last SYN.
    start: Option<u32>,
    /// Sequence number after all that was sent.
    next: Option<u32>,
    /// The last segment that needs no sequence number.
    empty: Option<Tcp>,
}

impl Transmissions {
    /// Returns whether a packet is a first transmission, and notes it.
    pub(super) fn is_new(&mut self, packet: &PacketView<'_>) -> bool {
        let Some(tcp) = packet.tcp() else { return true };
        let sent = self.0.entry(Flow::of(packet)).or_default();
        let numbers = sequence_numbers(tcp.flags, packet.payload().len());
        let end = tcp.seq.wrapping_add(numbers);
        if tcp.flags & SYN != 0 {
            let is_new = sent.start != Some(tcp.seq);
            if is_new {
                // A connection with the ports of an earlier one.
                *sent = Sent { start: Some(tcp.seq), next: Some(end), empty: None };
            }
            return is_new;
        }
        if numbers == 0 {
            return sent.empty.replace(tcp) != Some(tcp);
        }
        let is_new = sent.next.is_none_or(|next| is_after(end, next));
        if is_new {
            sent.next = Some(end);
        }
        is_new
    }
}

/// The part of each stream that the packets have reached.
#[derive(Debug, Default)]
pub(super) struct Streams(HashMap<Flow, Stream>);

#[derive(Debug)]
struct Stream {
    /// Sequence number of the first byte of TCP.
    first: u32,
    /// Largest place of a packet's end, in bytes from the first one.
    reached: u64,
}

impl Streams {
    /// Notes the start of a stream.
    pub(super) fn begin(&mut self, packet: &PacketView<'_>) {
        if let Some(tcp) = packet.tcp().filter(|tcp| tcp.flags & SYN != 0) {
            let stream = Stream { first: tcp.seq.wrapping_add(1), reached: 0 };
            self.0.insert(Flow::of(packet), stream);
        }
    }

    /// Returns the place of the first byte of a packet in its stream, and notes the packet. A place
    /// before the start is `None`.
    pub(super) fn place(&mut self, packet: &PacketView<'_>) -> Option<u64> {
        let length = packet.payload().len() as u64;
        let seq = packet.tcp().map(|tcp| tcp.seq.wrapping_add(u32::from(tcp.flags & SYN != 0)));
        let new = || Stream { first: seq.unwrap_or(0), reached: 0 };
        let stream = self.0.entry(Flow::of(packet)).or_insert_with(new);
        let place = match seq {
            // Sequence numbers wrap around each 4 GiB: the place is the one nearest to the largest.
            Some(seq) => {
                let near = stream.first.wrapping_add(stream.reached as u32);
                stream.reached.checked_add_signed(i64::from(seq.wrapping_sub(near) as i32))?
            }
            None => stream.reached,
        };
        stream.reached = stream.reached.max(place + length);
        Some(place)
    }
}

/// Sequence numbers that a segment takes (RFC 9293, section 3.4).
fn sequence_numbers(flags: u8, payload: usize) -> u32 {
    payload as u32 + u32::from(flags & SYN != 0) + u32::from(flags & FIN != 0)
}

/// Returns whether the sequence number `a` is after `b`.
fn is_after(a: u32, b: u32) -> bool {
    a.wrapping_sub(b) as i32 > 0
}
