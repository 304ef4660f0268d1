//! Forged TCP segments with RST (RFC 9293, section 3.10.7). Pure.

use crate::lab::impair::frame::{ACK, FIN, Frame, RST, SYN, TCP, Transport};
use crate::lab::impair::rule::forge::header::{Forged, is_to_one_station};

/// Returns a segment that resets the connection at the sender of a segment.
///
/// The sender expects the sequence number that it has acknowledged. A segment that acknowledges
/// nothing, the first SYN, is answered by one that acknowledges it.
pub(crate) fn to_sender(frame: &Frame<'_>) -> Option<Vec<u8>> {
    let Transport::Tcp(tcp) = frame.transport else { return None };
    let (seq, ack, flags) = if tcp.flags & ACK != 0 {
        (tcp.ack, 0, RST)
    } else {
        let numbers = u32::from(tcp.flags & SYN != 0) + u32::from(tcp.flags & FIN != 0);
        let end = tcp.seq.wrapping_add(frame.payload.len() as u32).wrapping_add(numbers);
        (0, end, RST | ACK)
    };
    segment(frame, true, [tcp.destination, tcp.source], [seq, ack], flags)
}

/// Returns a segment that resets the connection at the receiver of a segment.
///
/// It takes the place of the segment: sequence number and acknowledgment are the same, so that it
/// is accepted in the state SYN-SENT, too, in which only the acknowledgment counts.
pub(crate) fn to_receiver(frame: &Frame<'_>) -> Option<Vec<u8>> {
    let Transport::Tcp(tcp) = frame.transport else { return None };
    let is_ack = tcp.flags & ACK != 0;
    let (ack, flags) = if is_ack { (tcp.ack, RST | ACK) } else { (0, RST) };
    segment(frame, false, [tcp.source, tcp.destination], [tcp.seq, ack], flags)
}

fn segment(
    frame: &Frame<'_>,
    is_answer: bool,
    ports: [u16; 2],
    numbers: [u32; 2],
    flags: u8,
) -> Option<Vec<u8>> {
    let ip = frame.ip.filter(|_| is_to_one_station(frame))?;
    let ends = [ip.source, ip.destination];
    let [from, to] = ends;
    let mut message = Vec::with_capacity(20);
    message.extend(ports.iter().flat_map(|port| port.to_be_bytes()));
    message.extend(numbers.iter().flat_map(|number| number.to_be_bytes()));
    // A header of five words; no window, no urgent pointer.
    message.extend([5 << 4, flags, 0, 0, 0, 0, 0, 0]);
    let ends = if is_answer { [to, from] } else { ends };
    Some(Forged { is_answer, ends, protocol: TCP, message, checksum: 16 }.into_frame(frame))
}
