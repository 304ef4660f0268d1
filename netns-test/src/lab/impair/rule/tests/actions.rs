//! Each action on a packet, and packets to which it cannot be applied.

use std::time::Duration;

use crate::lab::impair::frame::samples::{self, Sample, bytes, verified};
use crate::lab::impair::frame::{ACK, PSH};
use crate::lab::impair::rule::action::{Action, ResetTarget, Unreachable};
use crate::lab::impair::rule::choice::Which;
use crate::lab::impair::rule::judgement::Fate;
use crate::lab::impair::rule::packet::Packet;
use crate::lab::impair::rule::tests::{judge, single};

fn fate(action: Action, bytes: &[u8]) -> Fate {
    let judgement = judge(&mut single(Packet::any(), Which::all(), action), bytes);
    assert!(judgement.injected.is_empty());
    judgement.fate
}

fn replaced(action: Action, bytes: &[u8]) -> Vec<u8> {
    match fate(action, bytes) {
        Fate::Replace(bytes) => bytes,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_packet_takes_its_way() {
    let bytes = Sample::tcp(ACK, b"x").build();
    assert_eq!(fate(Action::Pass, &bytes), Fate::Pass);
    assert_eq!(fate(Action::Drop, &bytes), Fate::Drop);
    assert_eq!(fate(Action::Hold, &bytes), Fate::Hold);
    assert_eq!(fate(Action::Duplicate(3), &bytes), Fate::Duplicate(3));
    let time = Duration::from_millis(20);
    assert_eq!(fate(Action::Delay(time), &bytes), Fate::Delay(time));
}

#[test]
fn a_corrupt_byte_is_found_by_its_checksum() {
    for sample in [Sample::tcp(ACK | PSH, b"hello"), Sample::udp(b"hello").v6()] {
        let sent = sample.build();
        let received = replaced(Action::Corrupt { offset: 4, bits: 0x20 }, &sent);
        let at = sent.len() - 1;
        assert_eq!((received[at], &received[..at]), (b'O', &sent[..at]));
        assert!(std::panic::catch_unwind(|| verified(&received).network).is_err());
        let beyond = Action::Corrupt { offset: 5, bits: 0x20 };
        assert_eq!(fate(beyond, &sent), Fate::Pass);
    }
}

#[test]
fn an_altered_byte_has_a_right_checksum() {
    let payload = b"some bytes!";
    for sample in [Sample::tcp(ACK, payload), Sample::udp(payload)] {
        for sample in [sample.clone(), sample.v6()] {
            let sent = sample.build();
            for (offset, bits) in (0..payload.len()).zip([1, 0x80, 0xff].into_iter().cycle()) {
                let received = replaced(Action::Alter { offset, bits }, &sent);
                let mut expected = payload.to_vec();
                expected[offset] ^= bits;
                assert_eq!(received[verified(&received).payload], expected);
            }
            let beyond = Action::Alter { offset: payload.len(), bits: 1 };
            assert_eq!(fate(beyond, &sent), Fate::Pass);
        }
    }
    for golden in [samples::ECHO_V6, samples::SOLICITATION] {
        verified(&replaced(Action::Alter { offset: 9, bits: 3 }, &bytes(golden)));
    }
    // A fragment that is not the first has no checksum that could be corrected.
    let last = bytes(samples::LAST_FRAGMENT);
    assert_eq!(fate(Action::Alter { offset: 0, bits: 1 }, &last), Fate::Pass);
    assert!(matches!(fate(Action::Corrupt { offset: 0, bits: 1 }, &last), Fate::Replace(_)));
}

#[test]
fn an_altered_fragment_fits_the_others() {
    let altered = Action::Alter { offset: 3, bits: 0x55 };
    for (first, last) in [
        (samples::FIRST_FRAGMENT, samples::LAST_FRAGMENT),
        (samples::FIRST_FRAGMENT_V6, samples::LAST_FRAGMENT_V6),
    ] {
        let (first, last) = (replaced(altered.clone(), &bytes(first)), bytes(last));
        // Both behind their IP headers: the UDP datagram.
        let datagram = [&first[first.len() - 24..], &last[last.len() - 16..]].concat();
        let ends: u32 = match first.len() {
            58 => samples::sum(&first[26..34]),
            _ => samples::sum(&first[22..54]),
        };
        let sum = ends + 17 + datagram.len() as u32 + samples::sum(&datagram);
        assert_eq!(samples::fold(sum), 0xffff);
        assert_eq!(datagram[8 + 3], 3 ^ 0x55);
    }
}

#[test]
fn a_datagram_without_checksum_keeps_none() {
    let mut sent = Sample::udp(b"abc").build();
    sent[40..42].fill(0);
    let received = replaced(Action::Alter { offset: 1, bits: 1 }, &sent);
    assert_eq!((&received[40..42], received[43]), (&[0, 0][..], b'c'));
}

#[test]
fn a_truncated_packet_keeps_its_headers() {
    let sent = Sample { tags: 1, ..Sample::udp(&[7; 100]) }.build();
    let received = replaced(Action::Truncate(60), &sent);
    assert_eq!(received, sent[..18 + 60]);
    assert_eq!(replaced(Action::Truncate(0), &sent), sent[..18]);
    assert_eq!(fate(Action::Truncate(128), &sent), Fate::Pass);
    assert_eq!(replaced(Action::Truncate(127), &sent).len(), 18 + 127);
}

#[test]
fn actions_apply_to_their_protocols_only() {
    let udp = Sample::udp(&[0; 100]).build();
    let arp = bytes(samples::ARP);
    for (action, passed) in [
        (Action::Reset(ResetTarget::Both), &udp),
        (Action::Reset(ResetTarget::Both), &Sample::tcp(ACK | 0x04, b"").build()),
        (Action::Unreachable(Unreachable::Port), &arp),
        (Action::TooBig { mtu: 128 }, &udp),
        (Action::TooBig { mtu: 40 }, &arp),
        (Action::Alter { offset: 0, bits: 1 }, &arp),
    ] {
        assert_eq!(fate(action, passed), Fate::Pass);
    }
    let mut fragmentable = Sample::udp(&[0; 100]).build();
    fragmentable[20] = 0;
    assert_eq!(fate(Action::TooBig { mtu: 100 }, &fragmentable), Fate::Pass);
}

#[test]
fn texts_and_mistakes_name_the_action() {
    let texts = [
        (Action::Delay(Duration::from_millis(20)), "delay by 20ms"),
        (Action::Corrupt { offset: 3, bits: 8 }, "corrupt byte 3 by 0x08"),
        (Action::Reset(ResetTarget::Both), "reset both ends"),
        (Action::Unreachable(Unreachable::Host), "answer \"host unreachable\""),
        (Action::TooBig { mtu: 1280 }, "answer \"too big for an MTU of 1280\""),
    ];
    for (action, text) in texts {
        assert_eq!((action.to_string().as_str(), action.mistake()), (text, None));
    }
    let mistakes = [
        Action::Duplicate(0),
        Action::Corrupt { offset: 1, bits: 0 },
        Action::Alter { offset: 1, bits: 0 },
        Action::TooBig { mtu: 67 },
    ];
    mistakes.iter().for_each(|action| assert!(action.mistake().is_some(), "{action}"));
}
