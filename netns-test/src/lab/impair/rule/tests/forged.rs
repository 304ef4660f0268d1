//! Forged resets and ICMP errors, with their numbers, addresses, quotes and checksums.

use crate::lab::impair::frame::samples::{self, Sample, bytes, verified};
use crate::lab::impair::frame::{ACK, FIN, Frame, PSH, RST, SYN, Tcp, Transport};
use crate::lab::impair::rule::action::{Action, ResetTarget, Unreachable};
use crate::lab::impair::rule::choice::Which;
use crate::lab::impair::rule::judgement::{Fate, Injected};
use crate::lab::impair::rule::packet::Packet;
use crate::lab::impair::rule::tests::{judge, single};

fn injected(action: &Action, bytes: &[u8]) -> Vec<Injected> {
    let judgement = judge(&mut single(Packet::any(), Which::all(), action.clone()), bytes);
    assert_eq!(judgement.fate, Fate::Drop);
    judgement.injected
}

/// Both families, with and without tags.
fn all(sample: &Sample) -> Vec<Sample> {
    let with = |tags| [sample.clone(), sample.clone().v6()].map(|s| Sample { tags, ..s });
    (0..=2).flat_map(with).collect()
}

/// Checks that a frame goes between the ends of the packet, as an answer or onward.
fn check_way<'a>(sent: &[u8], injected: &'a Injected) -> Frame<'a> {
    let (packet, forged) = (Frame::parse(sent), verified(&injected.bytes));
    let (there, ip) = (packet.ip.unwrap(), forged.ip.unwrap());
    let (ends, stations) = ([there.source, there.destination], [&sent[6..12], &sent[..6]]);
    let way = |swapped: bool| if swapped { [1, 0] } else { [0, 1] };
    let [from, to] = way(injected.is_answer);
    assert_eq!([ip.source, ip.destination], [ends[from], ends[to]]);
    assert_eq!([&injected.bytes[6..12], &injected.bytes[..6]], [stations[from], stations[to]]);
    assert_eq!(injected.bytes[12..forged.network], sent[12..packet.network], "tags");
    assert!(ip.fragment.is_none());
    forged
}

/// The forged segments to the sender and to the receiver.
fn resets(sample: &Sample) -> [Tcp; 2] {
    let sent = sample.build();
    let injected = injected(&Action::Reset(ResetTarget::Both), &sent);
    assert_eq!(injected.iter().map(|one| one.is_answer).collect::<Vec<_>>(), [true, false]);
    let resets: Vec<Tcp> = injected
        .iter()
        .map(|one| {
            let forged = check_way(&sent, one);
            let Transport::Tcp(tcp) = forged.transport else { panic!("{forged:?}") };
            let [from, to] = sample.ports;
            let ports = if one.is_answer { [to, from] } else { [from, to] };
            assert_eq!([tcp.source, tcp.destination], ports);
            assert!(forged.payload.is_empty());
            tcp
        })
        .collect();
    [resets[0], resets[1]]
}

#[test]
fn a_reset_of_an_established_connection_has_the_expected_numbers() {
    for flags in [ACK, ACK | PSH, ACK | FIN] {
        for sample in all(&Sample::tcp(flags, b"hello")) {
            let [to_sender, to_receiver] = resets(&sample);
            // The sender expects the byte that it has acknowledged.
            assert_eq!((to_sender.seq, to_sender.flags), (7001, RST));
            // The receiver expects the byte that the dropped packet begins with.
            let numbers = (to_receiver.seq, to_receiver.ack, to_receiver.flags);
            assert_eq!(numbers, (1001, 7001, RST | ACK));
        }
    }
}

#[test]
fn a_reset_of_a_new_connection_acknowledges_the_syn() {
    for sample in all(&Sample { ack: 0, ..Sample::tcp(SYN, b"") }) {
        let [to_sender, to_receiver] = resets(&sample);
        let numbers = (to_sender.seq, to_sender.ack, to_sender.flags);
        assert_eq!(numbers, (0, 1002, RST | ACK));
        assert_eq!((to_receiver.seq, to_receiver.flags), (1001, RST));
    }
    // Data in the SYN (TCP Fast Open) counts.
    let [to_sender, _] = resets(&Sample { seq: u32::MAX, ..Sample::tcp(SYN, b"data") });
    assert_eq!(to_sender.ack, 4);
    // The receiver of a SYN-ACK is in SYN-SENT: only the acknowledgment counts there.
    let [to_sender, to_receiver] = resets(&Sample::tcp(SYN | ACK, b""));
    assert_eq!((to_sender.seq, to_sender.flags), (7001, RST));
    assert_eq!((to_receiver.ack, to_receiver.flags), (7001, RST | ACK));
}

#[test]
fn a_reset_of_one_side_is_one_segment() {
    let sent = Sample::tcp(ACK, b"x").build();
    for (target, is_answer) in [(ResetTarget::Sender, true), (ResetTarget::Receiver, false)] {
        let injected = injected(&Action::Reset(target), &sent);
        assert_eq!(injected.len(), 1);
        assert_eq!(injected[0].is_answer, is_answer);
    }
}

/// The ICMP message of an error: type, code, the four bytes after the checksum, and the quote.
fn error(action: &Action, sent: &[u8]) -> ([u8; 2], u32, Vec<u8>) {
    let injected = injected(action, sent);
    assert_eq!(injected.len(), 1, "{action}");
    assert!(injected[0].is_answer);
    let forged = check_way(sent, &injected[0]);
    let message = &injected[0].bytes[forged.payload];
    let field = u32::from_be_bytes([message[4], message[5], message[6], message[7]]);
    ([message[0], message[1]], field, message[8..].to_vec())
}

#[test]
fn unreachable_has_the_code_of_its_family() {
    for (reason, v4, v6) in [
        (Unreachable::Network, [3, 0], [1, 0]),
        (Unreachable::Host, [3, 1], [1, 3]),
        (Unreachable::Port, [3, 3], [1, 4]),
        (Unreachable::Prohibited, [3, 13], [1, 1]),
    ] {
        for sample in all(&Sample::udp(b"hello")) {
            let sent = sample.build();
            let expected = if sample.is_v4 { v4 } else { v6 };
            let quote = sent[Frame::parse(&sent).network..].to_vec();
            assert_eq!(error(&Action::Unreachable(reason), &sent), (expected, 0, quote));
        }
    }
}

#[test]
fn too_big_has_the_mtu_and_a_quote_of_the_right_length() {
    for sample in all(&Sample::tcp(ACK, &[3; 1440])) {
        let sent = sample.build();
        let (kind, field, quote) = error(&Action::TooBig { mtu: 1400 }, &sent);
        // RFC 1812: 576 bytes in all. RFC 4443: 1280 bytes in all.
        let (expected, before, total) =
            if sample.is_v4 { ([3, 4], 28, 576) } else { ([2, 0], 48, 1280) };
        assert_eq!((kind, field, before + quote.len()), (expected, 1400, total));
        assert!(sent[Frame::parse(&sent).network..].starts_with(&quote));
    }
    // The field has 16 bits in IPv4.
    let sent = Sample::udp(&[0; 100]).build();
    assert_eq!(error(&Action::TooBig { mtu: 68 }, &sent).1, 68);
}

#[test]
fn padding_is_not_quoted() {
    let echo = bytes(samples::ECHO);
    let (_, _, quote) = error(&Action::Unreachable(Unreachable::Host), &echo);
    assert_eq!(quote, echo[14..46]);
}

#[test]
fn what_must_not_be_answered_is_dropped_without_an_answer() {
    let action = Action::Unreachable(Unreachable::Host);
    let echo = bytes(samples::ECHO);
    let changed = |bytes: &[u8], at: usize, value: &[u8]| {
        let mut bytes = bytes.to_vec();
        bytes[at..at + value.len()].copy_from_slice(value);
        bytes
    };
    let echo_v6 = bytes(samples::ECHO_V6);
    let silent = [
        bytes(samples::LAST_FRAGMENT),
        bytes(samples::LAST_FRAGMENT_V6),
        bytes(samples::SOLICITATION),     // to a group, on the link, too
        changed(&echo, 34, &[3, 1]),      // destination unreachable
        changed(&echo, 34, &[11, 0]),     // time exceeded
        changed(&echo_v6, 54, &[1, 0]),   // destination unreachable
        changed(&echo_v6, 54, &[137, 0]), // redirect
        changed(&echo, 30, &[224, 0, 0, 1]),
        changed(&echo, 30, &[255; 4]),
        changed(&echo, 26, &[0; 4]),
        changed(&echo, 0, &[0xff; 6]),
        changed(&echo_v6, 38, &[0xff, 2]),
    ];
    for sent in &silent {
        assert_eq!(injected(&action, sent), [], "{sent:x?}");
    }
    for sent in [echo, echo_v6, bytes(samples::FIRST_FRAGMENT), bytes(samples::FIRST_FRAGMENT_V6)] {
        assert_eq!(injected(&action, &sent).len(), 1, "{sent:x?}");
    }
}
