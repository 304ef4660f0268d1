//! Each condition of a matcher, against all golden frames.

use std::net::IpAddr;

use crate::lab::impair::frame::samples::{ALL, Sample, bytes};
use crate::lab::impair::frame::{ACK, CWR, FIN, Frame, PSH};
use crate::lab::impair::rule::packet::Packet;
use crate::lab::impair::rule::packet::flags::TcpFlags;
use crate::lab::impair::rule::packet::view::PacketView;

/// Numbers of the golden frames in [`ALL`].
const ARP: usize = 0;
const SYN: usize = 1;
const SYN_ACK_V6: usize = 2;
const TAGGED: usize = 3;
const DOUBLE_TAGGED: usize = 4;
const OPTIONS: usize = 5;
const ECHO: usize = 6;
const FIRST: usize = 7;
const LAST: usize = 8;
const FIRST_V6: usize = 9;
const LAST_V6: usize = 10;
const SOLICITATION: usize = 11;
const ECHO_V6: usize = 12;

/// Checks that exactly these golden frames match.
#[track_caller]
fn check(packet: &Packet, expected: &[usize]) {
    let matches = |number: &usize| {
        let bytes = bytes(ALL[*number]);
        let frame = Frame::parse(&bytes);
        let matches = packet.matches(&PacketView::new(&frame)).unwrap();
        assert!(packet.may_match(&frame) || !matches, "{packet}: {number}");
        matches
    };
    let found: Vec<usize> = (0..ALL.len()).filter(matches).collect();
    assert_eq!(found, expected, "{packet}");
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn protocols_and_families() {
    check(&Packet::any(), &(0..ALL.len()).collect::<Vec<_>>());
    check(&Packet::tcp(), &[SYN, SYN_ACK_V6, TAGGED]);
    check(&Packet::udp(), &[DOUBLE_TAGGED, OPTIONS, FIRST, FIRST_V6]);
    check(&Packet::icmp(), &[ECHO, ECHO_V6]);
    check(&Packet::arp(), &[ARP]);
    check(&Packet::neighbour(), &[ARP, SOLICITATION]);
    check(&Packet::any().ipv4(), &[SYN, TAGGED, OPTIONS, ECHO, FIRST, LAST]);
    let v6 = [SYN_ACK_V6, DOUBLE_TAGGED, FIRST_V6, LAST_V6, SOLICITATION, ECHO_V6];
    check(&Packet::any().ipv6(), &v6);
    check(&Packet::udp().ipv6(), &[DOUBLE_TAGGED, FIRST_V6]);
    check(&Packet::any().fragments(), &[FIRST, LAST, FIRST_V6, LAST_V6]);
    check(&Packet::udp().fragments(), &[FIRST, FIRST_V6]);
    check(&Packet::icmp().icmp_type(8), &[ECHO]);
    check(&Packet::icmp().icmp_type(128), &[ECHO_V6]);
    check(&Packet::any().icmp_type(135), &[SOLICITATION]);
}

#[test]
fn ports_and_addresses() {
    check(&Packet::any().port(80), &[SYN, SYN_ACK_V6, TAGGED]);
    check(&Packet::tcp().source_port(80), &[SYN_ACK_V6]);
    check(&Packet::tcp().destination_port(80), &[SYN, TAGGED]);
    check(&Packet::any().port(40_000).source_port(80), &[SYN_ACK_V6]);
    check(&Packet::any().destination_port(53), &[DOUBLE_TAGGED, OPTIONS]);
    check(&Packet::any().port(81), &[]);
    let from_v4 = [ARP, SYN, TAGGED, OPTIONS, ECHO, FIRST, LAST];
    check(&Packet::any().from(address("10.0.0.1")), &from_v4);
    check(&Packet::any().to(address("10.0.0.2")), &from_v4);
    check(&Packet::any().from(address("10.0.0.2")), &[]);
    check(&Packet::any().from(address("fd00::2")), &[SYN_ACK_V6]);
    check(&Packet::neighbour().to(address("fd00::2")), &[]);
    let both = [address("10.0.0.2"), address("fd00::1")];
    check(&Packet::tcp().to_any(both), &[SYN, SYN_ACK_V6, TAGGED]);
    check(&Packet::tcp().from_any(both), &[]);
    check(&Packet::tcp().to_any([] as [IpAddr; 0]), &[]);
}

#[test]
fn flags() {
    check(&Packet::tcp().syn(), &[SYN]);
    check(&Packet::tcp().syn_ack(), &[SYN_ACK_V6]);
    check(&Packet::tcp().flags(TcpFlags::SYN), &[SYN, SYN_ACK_V6]);
    check(&Packet::tcp().flags(TcpFlags::ACK), &[SYN_ACK_V6, TAGGED]);
    check(&Packet::tcp().without_flags(TcpFlags::ACK), &[SYN]);
    check(&Packet::any().without_flags(TcpFlags::SYN), &[TAGGED]);
    check(&Packet::tcp().flags(TcpFlags::ACK).flags(TcpFlags::PSH), &[TAGGED]);
    check(&Packet::tcp().fin(), &[]);
    check(&Packet::tcp().rst(), &[]);
    check(&Packet::tcp().pure_ack(), &[]);
    let matches = |packet: Packet, flags: u8, payload: &[u8]| {
        let bytes = Sample::tcp(flags, payload).build();
        packet.matches(&PacketView::new(&Frame::parse(&bytes))).unwrap()
    };
    assert!(matches(Packet::tcp().pure_ack(), ACK, b""));
    assert!(!matches(Packet::tcp().pure_ack(), ACK, b"x"));
    assert!(!matches(Packet::tcp().pure_ack(), ACK | FIN, b""));
    assert!(matches(Packet::tcp().fin(), ACK | FIN, b""));
    assert!(matches(Packet::tcp().rst(), 0x04, b""));
}

#[test]
fn sizes_and_content() {
    // Lengths of IP packets: 44 and 45 bytes. Padding and tags do not count.
    check(&Packet::tcp().ipv4().longer_than(43), &[SYN, TAGGED]);
    check(&Packet::tcp().ipv4().longer_than(44), &[TAGGED]);
    check(&Packet::tcp().ipv4().longer_than(45), &[]);
    check(&Packet::icmp().ipv4().longer_than(31), &[ECHO]);
    check(&Packet::icmp().ipv4().longer_than(32), &[]);
    check(&Packet::tcp().ipv4().longer_than(44).longer_than(20), &[TAGGED]);
    check(&Packet::tcp().data(), &[TAGGED]);
    check(&Packet::any().payload_contains(b"hello"), &[TAGGED]);
    check(&Packet::any().payload_contains("o"), &[TAGGED]);
    check(&Packet::any().payload_contains("hello!"), &[]);
    check(&Packet::any().payload_contains("ping"), &[ECHO, ECHO_V6]);
    check(&Packet::udp().payload_contains("q").payload_contains("ry"), &[OPTIONS]);
    check(&Packet::udp().payload_contains("q").payload_contains("x"), &[]);
    check(&Packet::tcp().payload_contains(""), &[SYN, SYN_ACK_V6, TAGGED]);
}

#[test]
fn conditions_see_the_packet_and_may_keep_state() {
    let mut seen = 0;
    let second = Packet::tcp().when(move |_| {
        seen += 1;
        seen == 2
    });
    check(&second, &[SYN_ACK_V6]);
    let exact = Packet::any().when(|packet| {
        packet.ethertype() == 0x0800
            && packet.length() == 45
            && packet.bytes().len() == 63
            && packet.source() == Some(IpAddr::from([10, 0, 0, 1]))
            && packet.destination() == Some(IpAddr::from([10, 0, 0, 2]))
            && packet.protocol() == Some(6)
            && packet.source_port() == Some(40_000)
            && packet.destination_port() == Some(80)
            && packet.tcp_flags() == Some(TcpFlags::PSH | TcpFlags::ACK)
            && packet.tcp_seq() == Some(1001)
            && packet.tcp_ack() == Some(7001)
            && packet.icmp().is_none()
            && packet.payload() == b"hello"
            && !packet.is_fragment()
    });
    check(&exact, &[TAGGED]);
    let fragments = Packet::any().when(|packet| packet.is_fragment() && packet.payload()[0] == 16);
    check(&fragments, &[LAST, LAST_V6]);
    check(&Packet::any().when(|packet| packet.icmp() == Some((135, 0))), &[SOLICITATION]);
}

#[test]
fn a_super_frame_may_match_by_flags_of_one_segment() {
    let bytes = Sample::tcp(ACK | PSH | FIN | CWR, &[0; 5000]).build();
    let frame = Frame::parse(&bytes);
    for packet in [
        Packet::tcp().fin(),
        Packet::tcp().without_flags(TcpFlags::FIN | TcpFlags::PSH),
        Packet::tcp().without_flags(TcpFlags::CWR),
        Packet::tcp().port(80).data().longer_than(6000),
        Packet::any().when(|_| false),
    ] {
        assert!(packet.may_match(&frame), "{packet}");
    }
    for packet in [
        Packet::tcp().syn_ack(),
        Packet::tcp().without_flags(TcpFlags::ACK),
        Packet::tcp().port(81),
        Packet::udp(),
        Packet::tcp().ipv6(),
        Packet::tcp().from(address("10.0.0.9")),
        Packet::any().fragments(),
    ] {
        assert!(!packet.may_match(&frame), "{packet}");
    }
}

#[test]
fn texts_name_all_conditions() {
    let all = Packet::tcp()
        .ipv4()
        .fragments()
        .from(address("10.0.0.1"))
        .to_any([address("10.0.0.2"), address("fd00::2")])
        .syn()
        .port(1)
        .source_port(2)
        .destination_port(3)
        .longer_than(4)
        .data()
        .payload_contains(b"a\"\xff")
        .when(|_| true);
    let text = "TCP, IPv4, fragments, from 10.0.0.1, to 10.0.0.2 or fd00::2, SYN set, ACK not set, \
                port 1, source port 2, destination port 3, longer than 4 bytes, with data, payload \
                contains \"a\\\"\\xff\", by a condition";
    assert_eq!(all.to_string(), text);
    assert_eq!(format!("{:?}", Packet::icmp().icmp_type(8)), "Packet(ICMP, type 8)");
    let flags = TcpFlags::from_bits(0xff).to_string();
    assert_eq!(flags, "FIN|SYN|RST|PSH|ACK|URG|ECE|CWR");
    assert_eq!(TcpFlags::default().to_string(), "none");
}

#[test]
fn matchers_that_match_nothing_are_found() {
    let addresses: [IpAddr; 0] = [];
    for (packet, advice) in [
        (Packet::udp().syn(), "use `Packet::tcp()`"),
        (Packet::tcp().syn().flags(TcpFlags::ACK), "ACK must be set and not set"),
        (Packet::icmp().port(7), "only TCP and UDP have ports"),
        (Packet::tcp().icmp_type(8), "use `Packet::icmp()`"),
        (Packet::any().icmp_type(8).port(8), "ICMP has no ports"),
        (Packet::arp().ipv4(), "ARP is no IP packet"),
        (Packet::any().to_any(addresses), "the list of addresses is empty"),
    ] {
        let mistakes = packet.mistakes();
        assert!(mistakes.len() == 1 && mistakes[0].contains(advice), "{packet}: {mistakes:?}");
        check(&packet, &[]);
    }
    for packet in [Packet::any().syn().port(1), Packet::neighbour().icmp_type(135).ipv6()] {
        assert_eq!(packet.mistakes(), Vec::<String>::new(), "{packet}");
    }
}
