//! Golden frames, and any bytes at all.

use std::net::IpAddr;

use crate::lab::impair::frame::samples::{self, Random, Sample, bytes};
use crate::lab::impair::frame::{
    Fragment, Frame, ICMP, ICMPV6, Neighbour, SYN, TCP, Tcp, Transport, UDP,
};

const CLIENT: [u16; 2] = [40_000, 80];

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn tcp([source, destination]: [u16; 2], seq: u32, ack: u32, flags: u8) -> Transport {
    Transport::Tcp(Tcp { source, destination, seq, ack, flags })
}

/// Checks EtherType, offset of the network header, transport header and payload.
#[track_caller]
fn check(golden: &str, start: (u16, usize), transport: Transport, payload: &[u8]) -> Vec<u8> {
    let bytes = bytes(golden);
    let frame = Frame::parse(&bytes);
    assert_eq!((frame.ethertype, frame.network), start);
    assert_eq!(frame.transport, transport);
    assert_eq!(&bytes[frame.payload], payload);
    bytes
}

#[test]
fn tcp_and_its_flags_are_parsed() {
    let syn = check(samples::SYN, (0x0800, 14), tcp(CLIENT, 1000, 0, SYN), b"");
    let ip = Frame::parse(&syn).ip.unwrap();
    assert_eq!([ip.source, ip.destination], [address("10.0.0.1"), address("10.0.0.2")]);
    assert_eq!((ip.protocol, ip.transport, ip.end, ip.ecn), (TCP, 34, 58, 0));
    assert!(ip.is_unfragmentable && ip.fragment.is_none());
    let answer = tcp([80, 40_000], 7000, 1001, 0x12);
    let answer = check(samples::SYN_ACK_V6, (0x86dd, 14), answer, b"");
    let ip = Frame::parse(&answer).ip.unwrap();
    assert_eq!([ip.source, ip.destination], [address("fd00::2"), address("fd00::1")]);
    assert_eq!((ip.protocol, ip.transport, ip.end), (TCP, 54, 74));
}

#[test]
fn headers_behind_tags_are_parsed() {
    check(samples::TAGGED, (0x0800, 18), tcp(CLIENT, 1001, 7001, 0x18), b"hello");
    let udp = Transport::Udp { source: 5353, destination: 53 };
    let double = check(samples::DOUBLE_TAGGED, (0x86dd, 22), udp, b"abc");
    assert_eq!(Frame::parse(&double).ip.unwrap().ecn, 2);
    let third = [&double[..12], &[0x81, 0, 0, 1], &double[12..]].concat();
    assert_eq!(Frame::parse(&third).ethertype, 0x8100);
}

#[test]
fn options_and_padding_are_no_payload() {
    let udp = Transport::Udp { source: 5000, destination: 53 };
    let options = check(samples::OPTIONS, (0x0800, 14), udp, b"query");
    assert!(!Frame::parse(&options).ip.unwrap().is_unfragmentable);
    let message = bytes("08006d60abcd0001 70696e67");
    let echo = Transport::Icmp { kind: 8, code: 0, echo: Some(0xabcd) };
    let padded = check(samples::ECHO, (0x0800, 14), echo, &message);
    let ip = Frame::parse(&padded).ip.unwrap();
    assert_eq!((ip.protocol, ip.end, padded.len()), (ICMP, 46, 60));
    let message = bytes("8000fb14abcd0001 70696e67");
    let echo = Transport::Icmp { kind: 128, code: 0, echo: Some(0xabcd) };
    let echo = check(samples::ECHO_V6, (0x86dd, 14), echo, &message);
    assert_eq!(Frame::parse(&echo).ip.unwrap().protocol, ICMPV6);
}

#[test]
fn only_the_first_fragment_has_ports() {
    let (first, last): (Vec<u8>, Vec<u8>) = ((0..16).collect(), (16..32).collect());
    let udp = Transport::Udp { source: 5000, destination: 6000 };
    for (goldens, network, id) in [
        ([samples::FIRST_FRAGMENT, samples::LAST_FRAGMENT], 0x0800, 0x1234),
        ([samples::FIRST_FRAGMENT_V6, samples::LAST_FRAGMENT_V6], 0x86dd, 0xdead_beef),
    ] {
        let frames = [
            check(goldens[0], (network, 14), udp, &first),
            check(goldens[1], (network, 14), Transport::Other, &last),
        ];
        let found = frames.map(|frame| Frame::parse(&frame).ip.unwrap());
        assert_eq!(found.map(|ip| ip.protocol), [UDP; 2]);
        let expected = [(0, true), (24, false)]
            .map(|(offset, has_more)| Some(Fragment { id, offset, has_more }));
        assert_eq!(found.map(|ip| ip.fragment), expected);
    }
}

#[test]
fn neighbour_messages_have_a_target() {
    let neighbour = |golden| Frame::parse(&bytes(golden)).neighbour;
    let request = Neighbour { kind: 1, target: address("10.0.0.2") };
    assert_eq!(neighbour(samples::ARP), Some(request));
    let solicitation = Neighbour { kind: 135, target: address("fd00::2") };
    assert_eq!(neighbour(samples::SOLICITATION), Some(solicitation));
    // A router solicitation has no target.
    let mut router = bytes(samples::SOLICITATION);
    router[54] = 133;
    let expected = Neighbour { kind: 133, target: address("ff02::1:ff00:2") };
    assert_eq!(Frame::parse(&router).neighbour, Some(expected));
    assert_eq!(neighbour(samples::ECHO_V6), None);
    let mut other = bytes(samples::ARP);
    other[17] = 1; // a protocol other than IPv4
    assert_eq!(Frame::parse(&other).neighbour, None);
}

#[test]
fn malformed_headers_are_left_out() {
    let changed = |golden: &str, at: usize, value: u8| {
        let mut bytes = bytes(golden);
        bytes[at] = value;
        let frame = Frame::parse(&bytes);
        (frame.ip.is_some(), frame.transport)
    };
    // Version 5; a header of four words; a total length of 45, one more than the frame.
    assert_eq!(changed(samples::SYN, 14, 0x55), (false, Transport::Other));
    assert_eq!(changed(samples::SYN, 14, 0x44), (false, Transport::Other));
    assert_eq!(changed(samples::SYN, 17, 45), (false, Transport::Other));
    assert_eq!(changed(samples::SYN_ACK_V6, 19, 21), (false, Transport::Other));
    // A TCP header of four words, and one beyond the packet; a UDP length of 7.
    assert_eq!(changed(samples::SYN, 46, 0x40), (true, Transport::Other));
    assert_eq!(changed(samples::SYN, 46, 0xf0), (true, Transport::Other));
    assert_eq!(changed(samples::OPTIONS, 43, 7), (true, Transport::Other));
    // A frame of IEEE 802.3 has its length in place of the type.
    assert_eq!(Frame::parse(&[0; 20]).ethertype, 0);
}

#[test]
fn the_golden_checksums_are_right() {
    for golden in [samples::SYN, samples::SYN_ACK_V6, samples::TAGGED, samples::ECHO_V6] {
        samples::verified(&bytes(golden));
    }
    for sample in [Sample::tcp(0x18, b"odd"), Sample::udp(b"even")] {
        samples::verified(&sample.build());
        samples::verified(&Sample { tags: 2, ..sample.v6() }.build());
    }
}

#[test]
fn no_bytes_make_the_parser_fail() {
    let mut random = Random(18);
    let goldens = samples::ALL.map(bytes);
    for golden in &goldens {
        (0..=golden.len()).for_each(|length| check_bounds(&golden[..length]));
    }
    for _ in 0..50_000 {
        let mut frame = goldens[random.below(goldens.len())].clone();
        for _ in 0..=random.below(4) {
            let at = random.below(frame.len());
            frame[at] = random.below(256) as u8;
        }
        frame.truncate(frame.len() - random.below(2) * random.below(frame.len()));
        check_bounds(&frame);
        let length = random.below(120);
        check_bounds(&random.bytes(length));
    }
}

/// Checks that all offsets are within the frame, and in order.
fn check_bounds(bytes: &[u8]) {
    let frame = Frame::parse(bytes);
    assert!(frame.network <= frame.payload.start, "{frame:x?}");
    assert!(frame.payload.start <= frame.payload.end, "{frame:x?}");
    assert!(frame.payload.end <= bytes.len(), "{frame:x?}");
    match frame.ip {
        Some(ip) => {
            assert!(frame.network + 20 <= ip.transport, "{frame:x?}");
            assert!(ip.transport <= frame.payload.start, "{frame:x?}");
            assert!(frame.payload.end <= ip.end && ip.end <= bytes.len(), "{frame:x?}");
        }
        None => assert_eq!(frame.transport, Transport::Other),
    }
}
