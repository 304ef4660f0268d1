//! Actions applied to packets. Pure.

use crate::lab::impair::checksum::updated;
use crate::lab::impair::frame::field::{be16, byte, put16};
use crate::lab::impair::frame::{Frame, Transport};
use crate::lab::impair::rule::action::{Action, ResetTarget};
use crate::lab::impair::rule::forge::{icmp, reset};
use crate::lab::impair::rule::judgement::{Fate, Injected, Judgement};

/// Applies an action to a packet as on the wire, to which it [can be](Action::applies) applied.
pub(crate) fn apply(action: &Action, frame: &Frame<'_>) -> Judgement {
    let fate = match *action {
        Action::Pass => Fate::Pass,
        Action::Hold => Fate::Hold,
        Action::Delay(time) => Fate::Delay(time),
        Action::Duplicate(copies) => Fate::Duplicate(copies),
        Action::Corrupt { offset, bits } => Fate::Replace(flipped(frame, offset, bits)),
        Action::Alter { offset, bits } => Fate::Replace(altered(frame, offset, bits)),
        Action::Truncate(length) => {
            let end = frame.network.saturating_add(length).min(frame.bytes.len());
            Fate::Replace(frame.bytes[..end].to_vec())
        }
        Action::Drop | Action::Reset(_) | Action::Unreachable(_) | Action::TooBig { .. } => {
            Fate::Drop
        }
    };
    Judgement { fate, injected: injected(action, frame), by: String::new() }
}

fn injected(action: &Action, frame: &Frame<'_>) -> Vec<Injected> {
    let [answer, onward] = match *action {
        Action::Reset(ResetTarget::Sender) => [reset::to_sender(frame), None],
        Action::Reset(ResetTarget::Receiver) => [None, reset::to_receiver(frame)],
        Action::Reset(ResetTarget::Both) => [reset::to_sender(frame), reset::to_receiver(frame)],
        Action::Unreachable(reason) => [icmp::unreachable(frame, reason), None],
        Action::TooBig { mtu } => [icmp::too_big(frame, mtu), None],
        _ => [None, None],
    };
    let answer = answer.map(|bytes| Injected { bytes, is_answer: true });
    let onward = onward.map(|bytes| Injected { bytes, is_answer: false });
    answer.into_iter().chain(onward).collect()
}

/// The frame with flipped bits in the byte at `offset` of the payload.
fn flipped(frame: &Frame<'_>, offset: usize, bits: u8) -> Vec<u8> {
    let mut bytes = frame.bytes.to_vec();
    let payload = bytes.get_mut(frame.payload.clone()).unwrap_or_default();
    if let Some(byte) = payload.get_mut(offset) {
        *byte ^= bits;
    }
    bytes
}

/// The same, with a checksum that fits. It is updated, not computed: a fragment does not have all
/// the bytes.
fn altered(frame: &Frame<'_>, offset: usize, bits: u8) -> Vec<u8> {
    let mut bytes = flipped(frame, offset, bits);
    let (Some(ip), Some(at)) = (&frame.ip, checksum(frame)) else { return bytes };
    let Some(old) = be16(&bytes, at).filter(|old| *old != 0 || !is_udp(frame)) else {
        // A UDP datagram without checksum.
        return bytes;
    };
    // The 16-bit word of the byte, counted from the transport header; the last may be half.
    let word = ip.transport + ((frame.payload.start + offset - ip.transport) & !1);
    let half = |bytes: &[u8], at: usize| {
        if at < ip.end { byte(bytes, at).unwrap_or(0) } else { 0 }
    };
    let value = |bytes: &[u8]| u16::from_be_bytes([half(bytes, word), half(bytes, word + 1)]);
    let new = updated(old, value(frame.bytes), value(&bytes));
    // A byte of the field itself, in the message of ICMP, has been altered as asked.
    if word != at {
        put16(&mut bytes, at, if new == 0 && is_udp(frame) { 0xffff } else { new });
    }
    bytes
}

fn is_udp(frame: &Frame<'_>) -> bool {
    matches!(frame.transport, Transport::Udp { .. })
}

/// Offset of the transport checksum.
fn checksum(frame: &Frame<'_>) -> Option<usize> {
    let offset = match frame.transport {
        Transport::Tcp(_) => 16,
        Transport::Udp { .. } => 6,
        Transport::Icmp { .. } => 2,
        Transport::Other => return None,
    };
    Some(frame.ip?.transport + offset)
}
