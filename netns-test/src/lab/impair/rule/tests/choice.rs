//! Each choice, with the packets just before and after.

use std::time::Duration;

use crate::lab::impair::frame::samples::Sample;
use crate::lab::impair::frame::{ACK, FIN, Frame, PSH, RST, SYN};
use crate::lab::impair::rule::choice::Which;
use crate::lab::impair::rule::judgement::Fate;
use crate::lab::impair::rule::packet::Packet;
use crate::lab::impair::rule::tests::{dropped, dropping};

/// Segments of a stream, each with its sequence number from the first byte on.
fn data(places: &[u32], length: usize) -> Vec<Vec<u8>> {
    let payload = vec![b'x'; length];
    let segment = |place: &u32| {
        Sample { seq: 1001_u32.wrapping_add(*place), ..Sample::tcp(ACK | PSH, &payload) }.build()
    };
    places.iter().map(segment).collect()
}

/// Checks which of the frames, numbered from 1, are chosen.
#[track_caller]
fn check(which: Which, frames: &[Vec<u8>], expected: &[usize]) {
    let mut rules = dropping(Packet::any(), which);
    let dropped = dropped(&mut rules, frames);
    let found: Vec<usize> = (1..=frames.len()).filter(|&n| dropped[n - 1]).collect();
    assert_eq!(found, expected, "{which}");
}

#[test]
fn packets_are_counted() {
    let frames = data(&[0, 100, 200, 300, 400, 500], 100);
    check(Which::all(), &frames, &[1, 2, 3, 4, 5, 6]);
    check(Which::all().nth(1), &frames, &[1]);
    check(Which::all().nth(3), &frames, &[3]);
    check(Which::all().nth(7), &frames, &[]);
    check(Which::all().every(1), &frames, &[1, 2, 3, 4, 5, 6]);
    check(Which::all().every(2), &frames, &[2, 4, 6]);
    check(Which::all().every(4), &frames, &[4]);
    check(Which::all().first(2), &frames, &[1, 2]);
    check(Which::all().every(2).first(1), &frames, &[1]);
    for none in [Which::all().nth(0), Which::all().every(0), Which::all().first(0)] {
        check(none, &frames, &[]);
        assert!(none.mistake().is_some());
    }
    assert!(Which::all().first_bytes(0).mistake().is_some());
    assert!(Which::all().until(Duration::ZERO).mistake().is_some());
    assert_eq!(Which::all().nth(1).until(Duration::from_nanos(1)).mistake(), None);
}

#[test]
fn retransmissions_count_only_if_asked() {
    // The second and the fourth segment are sent again; the sixth has one new byte.
    let mut frames = data(&[0, 0, 100, 0, 200, 201], 100);
    check(Which::all().nth(3), &frames, &[3]);
    check(Which::all().nth_new(1), &frames, &[1]);
    check(Which::all().nth_new(2), &frames, &[3]);
    check(Which::all().nth_new(3), &frames, &[5]);
    check(Which::all().nth_new(4), &frames, &[6]);
    check(Which::all().nth_new(5), &frames, &[]);
    // FIN alone is new, and its repetition is not.
    let fin = Sample { seq: 1001 + 301, ..Sample::tcp(ACK | FIN, b"") }.build();
    frames.extend([fin.clone(), fin]);
    check(Which::all().nth_new(5), &frames, &[7]);
    check(Which::all().nth_new(6), &frames, &[]);
    // Datagrams are new each time.
    check(Which::all().nth_new(2), &vec![Sample::udp(b"x").build(); 3], &[2]);
}

#[test]
fn a_syn_is_new_by_its_initial_sequence_number() {
    let syn = |seq| Sample { seq, ..Sample::tcp(SYN | ACK, b"") }.build();
    let data = Sample { seq: 8, ..Sample::tcp(ACK, b"late") }.build();
    // A retransmission, then a new connection with the same ports and a lower number.
    let frames = [syn(5000), syn(5000), syn(7), data, syn(7)];
    check(Which::all().nth_new(1), &frames, &[1]);
    check(Which::all().nth_new(2), &frames, &[3]);
    check(Which::all().nth_new(3), &frames, &[4]);
    check(Which::all().nth_new(4), &frames, &[]);
    check(Which::all().nth(2), &frames, &[2]);
}

#[test]
fn an_empty_segment_is_new_by_its_numbers() {
    let ack = |ack, flags| Sample { ack, ..Sample::tcp(flags, b"") }.build();
    let frames = [ack(1, ACK), ack(1, ACK), ack(2, ACK), ack(2, ACK | RST), ack(2, ACK | RST)];
    check(Which::all().nth_new(1), &frames, &[1]);
    check(Which::all().nth_new(2), &frames, &[3]);
    check(Which::all().nth_new(3), &frames, &[4]);
    check(Which::all().nth_new(4), &frames, &[]);
}

#[test]
fn flows_are_counted_by_themselves() {
    let from = |port| Sample { ports: [port, 80], ..Sample::tcp(ACK, b"x") }.build();
    let frames = [from(1), from(2), from(1), from(2), from(1)];
    check(Which::all().nth(2), &frames, &[2]);
    check(Which::all().nth(2).per_flow(), &frames, &[3, 4]);
    check(Which::all().first(1).per_flow(), &frames, &[1, 2]);
    check(Which::all().every(3).per_flow(), &frames, &[5]);
    let back = Sample { ports: [80, 1], ..Sample::tcp(ACK, b"x") }.build();
    check(Which::all().nth(1).per_flow(), &[from(1), back], &[1, 2]);
    let v6 = Sample::udp(b"x").v6().build();
    check(Which::all().nth(1).per_flow(), &[Sample::udp(b"x").build(), v6.clone(), v6], &[1, 2]);
}

#[test]
fn the_first_bytes_of_a_stream_are_its_own() {
    let syn = Sample { seq: 1000, ..Sample::tcp(SYN, b"") }.build();
    let ack = Sample::tcp(ACK, b"").build();
    // Bytes 0 to 99, 100 to 199, and so on; the first and the third are sent again.
    let frames = [vec![syn, ack], data(&[0, 100, 200, 0, 200, 300], 100)].concat();
    check(Which::all().first_bytes(1), &frames, &[3, 6]);
    check(Which::all().first_bytes(100), &frames, &[3, 6]);
    check(Which::all().first_bytes(101), &frames, &[3, 4, 6]);
    check(Which::all().first_bytes(201), &frames, &[3, 4, 5, 6, 7]);
    // Without a SYN, the stream begins with the first packet. Bytes before it are none of it.
    check(Which::all().first_bytes(50), &data(&[100, 0, 149, 100, 150], 10), &[1, 3, 4]);
    // A new connection with the same ports begins anew.
    let again = Sample { seq: 1300, ..Sample::tcp(SYN, b"") }.build();
    let frames = [data(&[0, 100], 100), vec![again], data(&[300, 400], 100)].concat();
    check(Which::all().first_bytes(100), &frames, &[1, 4]);
    // The SYN begins the stream even if it does not match.
    let mut rules = dropping(Packet::tcp().data(), Which::all().first_bytes(100));
    let syn = Sample { seq: 1000, ..Sample::tcp(SYN, b"") }.build();
    assert!(rules.may_match(&Frame::parse(&syn)));
    let frames = [vec![syn], data(&[100, 0], 100)].concat();
    assert_eq!(dropped(&mut rules, &frames), [false, false, true]);
    let datagrams = vec![Sample::udp(&[0; 40]).build(); 4];
    check(Which::all().first_bytes(81), &datagrams, &[1, 2, 3]);
    check(Which::all().first_bytes(80), &datagrams, &[1, 2]);
}

#[test]
fn a_stream_may_be_longer_than_its_sequence_numbers() {
    let places: Vec<u64> = (0..20).map(|n| n * 0x4000_0000).collect();
    let wrapped: Vec<u32> = places.iter().map(|place| *place as u32).collect();
    check(Which::all().first_bytes(1000), &data(&wrapped, 10), &[1]);
    let until_the_end: Vec<usize> = (1..=10).collect();
    check(Which::all().first_bytes(0x4000_0000 * 10), &data(&wrapped, 10), &until_the_end);
}

#[test]
fn a_rule_ends_in_time() {
    let bytes = Sample::udp(b"x").build();
    let frame = Frame::parse(&bytes);
    let mut rules = dropping(Packet::any(), Which::all().until(Duration::from_nanos(10)));
    assert_eq!(rules.judge(&frame, 9).fate, Fate::Drop);
    assert_eq!(rules.judge(&frame, 10).fate, Fate::Pass);
    let mut rules = dropping(Packet::any(), Which::all().until(Duration::MAX));
    assert_eq!(rules.judge(&frame, u64::MAX - 1).fate, Fate::Drop);
}

#[test]
fn a_choice_that_is_over_needs_no_packets() {
    let bytes = Sample::udp(b"x").build();
    let frame = Frame::parse(&bytes);
    for which in [Which::all().nth(1), Which::all().nth_new(1), Which::all().first(1)] {
        let mut rules = dropping(Packet::any(), which);
        assert!(rules.may_match(&frame));
        rules.judge(&frame, 0);
        assert!(!rules.may_match(&frame), "{which}");
        let mut rules = dropping(Packet::any(), which.per_flow());
        rules.judge(&frame, 0);
        assert!(rules.may_match(&frame), "{which}");
    }
}

#[test]
fn texts_name_the_choice() {
    let texts = [
        (Which::all(), "all packets"),
        (Which::all().nth_new(2), "packet 2 without retransmissions"),
        (Which::all().every(3), "every 3 packets"),
        (Which::all().first(4).per_flow(), "the first 4 packets of each flow"),
        (Which::all().first_bytes(5), "the first 5 bytes of each flow"),
        (Which::all().until(Duration::from_millis(20)), "all packets, for 20ms"),
    ];
    texts.iter().for_each(|(which, text)| assert_eq!(which.to_string(), *text));
}
