//! Flows and positions, as their definition says.

use std::net::SocketAddr;

use crate::lab::impair::flow::name::FlowId;
use crate::lab::impair::flow::position::{Class, Position, Unit};
use crate::lab::impair::flow::table::{Flows, MOST_FLOWS};
use crate::lab::impair::frame::{
    ACK, FIN, Fragment, Frame, Ip, Neighbour, RST, SYN, Tcp, Transport,
};
use crate::lab::impair::passage::Direction;

const SLOT: u64 = 1448;

/// Returns a packet of the addresses of two ends, with a length of payload. It has no bytes.
fn packet(ends: [&str; 2], protocol: u8, transport: Transport, length: usize) -> Frame<'static> {
    let [source, destination] = ends.map(|end| end.parse().unwrap());
    let ip = Ip {
        source,
        destination,
        protocol,
        transport: 34,
        end: 34,
        ecn: 0,
        is_unfragmentable: true,
        fragment: None,
    };
    Frame {
        bytes: &[],
        ethertype: 0x0800,
        network: 14,
        ip: Some(ip),
        transport,
        payload: 34..34 + length,
        neighbour: None,
    }
}

/// Returns a TCP segment.
fn tcp(ends: [&str; 2], flags: u8, seq: u32, length: usize) -> Frame<'static> {
    let [source, destination] = ends.map(|end| end.parse::<SocketAddr>().unwrap());
    let tcp = Tcp { source: source.port(), destination: destination.port(), seq, ack: 0, flags };
    let [a, b] = [source, destination].map(|end| end.ip().to_string());
    packet([&a, &b], 6, Transport::Tcp(tcp), length)
}

fn udp(ends: [&str; 2]) -> Frame<'static> {
    let [source, destination] = ends.map(|end| end.parse::<SocketAddr>().unwrap());
    let transport = Transport::Udp { source: source.port(), destination: destination.port() };
    let [a, b] = [source, destination].map(|end| end.ip().to_string());
    packet([&a, &b], 17, transport, 10)
}

/// Returns service, role and ordinal of the flow of a packet.
fn id(flows: &mut Flows, frame: &Frame<'_>) -> (u32, u32, u64) {
    let FlowId { service, role, ordinal, .. } = flows.packet(frame, Direction::Forth).id;
    (service, role, ordinal)
}

/// Returns the positions of a packet, each with a verdict.
fn positions(flows: &mut Flows, frame: &Frame<'_>) -> Vec<(Class, u64, u64)> {
    let mut packet = flows.packet(frame, Direction::Forth);
    let mut found = Vec::new();
    packet.positions(0..frame.payload.len(), Unit::Slot(SLOT), &mut found);
    found.iter().for_each(|position| packet.count(position));
    let short = |position: &Position| (position.class, position.number, position.attempt);
    found.iter().map(short).collect()
}

const CLIENT: &str = "10.0.0.1:45678";
const OTHER: &str = "10.0.0.1:45679";
const SERVER: &str = "10.0.0.2:80";

#[test]
fn tcp_flows_are_numbered_by_their_syn() {
    let flows = &mut Flows::default();
    assert_eq!(id(flows, &tcp([CLIENT, SERVER], SYN, 10, 0)), (80, 0, 0));
    assert_eq!(id(flows, &tcp([SERVER, CLIENT], SYN | ACK, 90, 0)), (80, 1, 0));
    assert_eq!(id(flows, &tcp([OTHER, SERVER], SYN, 10, 0)), (80, 0, 1));
    // A repeated SYN is of the same flow, one with another number is of a new one.
    assert_eq!(id(flows, &tcp([CLIENT, SERVER], SYN, 10, 0)), (80, 0, 0));
    assert_eq!(id(flows, &tcp([CLIENT, SERVER], SYN, 11, 0)), (80, 0, 2));
    assert_eq!(id(flows, &tcp([OTHER, SERVER], ACK, 11, 5)), (80, 0, 1));
    // Others to the same port are numbered by themselves: from the server, and to another host.
    assert_eq!(id(flows, &tcp(["10.0.0.2:45678", "10.0.0.1:80"], SYN, 10, 0)), (80, 0, 0));
    assert_eq!(id(flows, &tcp([CLIENT, "10.0.0.3:80"], SYN, 10, 0)), (80, 0, 0));
    // A port that the kernel chose has no name.
    assert_eq!(id(flows, &tcp([CLIENT, "10.0.0.2:34567"], SYN, 10, 0)), (0, 0, 0));
    let name = flows.packet(&tcp([SERVER, CLIENT], ACK, 91, 0), Direction::Back).id.name();
    assert_eq!(name.ends.unwrap().map(|end| end.to_string()), ["10.0.0.2:80", "10.0.0.1:0"]);
}

#[test]
fn flows_without_a_syn_have_their_service_at_the_lower_port() {
    let flows = &mut Flows::default();
    assert_eq!(id(flows, &tcp([SERVER, CLIENT], ACK, 10, 5)), (80, 1, 0));
    assert_eq!(id(flows, &tcp([OTHER, SERVER], ACK, 10, 5)), (80, 0, 1));
    assert_eq!(id(flows, &tcp(["10.0.0.3:80", CLIENT], SYN | ACK, 10, 0)), (80, 1, 0));
    assert_eq!(id(flows, &udp(["10.0.0.2:53", "10.0.0.1:5353"])), (53, 1, 0));
    assert_eq!(id(flows, &udp(["10.0.0.1:5353", "10.0.0.2:53"])), (53, 0, 0));
    // Equal ports have no roles, and chosen ones have that of the first sender.
    for ends in [["10.0.0.2:7946", "10.0.0.1:7946"], ["10.0.0.1:7946", "10.0.0.2:7946"]] {
        assert_eq!(id(flows, &udp(ends)), (7946, 0, 0));
    }
    assert_eq!(id(flows, &udp(["10.0.0.2:40000", "10.0.0.1:50000"])), (0, 0, 0));
    assert_eq!(id(flows, &udp(["10.0.0.1:50000", "10.0.0.2:40000"])), (0, 1, 0));
}

#[test]
fn packets_without_ports_have_a_service_of_their_own() {
    let flows = &mut Flows::default();
    let hosts = ["10.0.0.1", "10.0.0.2"];
    let echo = |echo| packet(hosts, 1, Transport::Icmp { kind: 8, code: 0, echo: Some(echo) }, 8);
    assert_eq!(id(flows, &echo(1)), (0x800, 0, 0));
    // The identifier of an echo is chosen at random.
    assert_eq!(positions(flows, &echo(1)), [(Class::Other, 0, 0)]);
    assert_eq!(positions(flows, &echo(2)), [(Class::Other, 1, 0)]);
    let mut fragment = udp(["10.0.0.1:5353", "10.0.0.2:53"]);
    let part = Fragment { id: 1, offset: 0, has_more: true };
    fragment.ip = fragment.ip.map(|ip| Ip { fragment: Some(part), ..ip });
    assert_eq!(id(flows, &fragment), (65_536, 0, 0));
    assert_eq!(id(flows, &packet(hosts, 132, Transport::Other, 8)), (0, 0, 0));
    let target = "10.0.0.2".parse().unwrap();
    let arp = Frame {
        ethertype: 0x0806,
        ip: None,
        neighbour: Some(Neighbour { kind: 1, target }),
        ..packet(hosts, 0, Transport::Other, 28)
    };
    let FlowId { ends, service, .. } = flows.packet(&arp, Direction::Forth).id;
    assert_eq!((ends.source.ip().to_string(), ends.destination.ip()), ("::".to_owned(), target));
    assert_eq!((ends.protocol, service), (0x0806, 0x100));
    let other = Frame { ethertype: 0x88cc, neighbour: None, ..arp };
    assert_eq!(flows.packet(&other, Direction::Forth).id.name().protocol, None);
}

#[test]
fn data_has_the_slots_that_begin_in_it() {
    let flows = &mut Flows::default();
    let initial = u32::MAX - 2000;
    let data = |start: u64, length| {
        let seq = initial.wrapping_add(1).wrapping_add(start as u32);
        tcp([CLIENT, SERVER], ACK, seq, length)
    };
    assert_eq!(positions(flows, &tcp([CLIENT, SERVER], SYN, initial, 0)), [(Class::Control, 2, 0)]);
    assert_eq!(positions(flows, &data(0, 1448)), [(Class::Slot, 0, 0)]);
    assert_eq!(positions(flows, &data(1448, 1)), [(Class::Slot, 1, 0)]);
    assert_eq!(positions(flows, &data(1449, 1447)), []);
    // The numbers wrap around in this one.
    assert_eq!(positions(flows, &data(1449, 1448)), [(Class::Slot, 2, 0)]);
    assert_eq!(
        positions(flows, &data(1448, 3000)),
        [1, 2, 3].map(|slot| (Class::Slot, slot, u64::from(slot < 3)))
    );
    // Beyond 2³² bytes, and back.
    let mut at = 0;
    while at < 5 << 32 {
        at += 1 << 30;
        flows.packet(&data(at, 1000), Direction::Forth);
    }
    let slot = at / SLOT + 1;
    assert_eq!(positions(flows, &data(slot * SLOT, 1)), [(Class::Slot, slot, 0)]);
    assert_eq!(positions(flows, &data((slot - 1) * SLOT, 1)), [(Class::Slot, slot - 1, 0)]);
}

#[test]
fn segments_without_data_have_positions_of_their_own() {
    let flows = &mut Flows::default();
    let numbers = |flags, ack| {
        let mut frame = tcp([CLIENT, SERVER], flags, 11, 0);
        if let Transport::Tcp(tcp) = &mut frame.transport {
            tcp.ack = ack;
        }
        frame
    };
    positions(flows, &tcp([CLIENT, SERVER], SYN, 10, 0));
    let flags = u64::from(SYN | ACK);
    let syn_ack = tcp([SERVER, CLIENT], SYN | ACK, 90, 0);
    assert_eq!(positions(flows, &syn_ack), [(Class::Control, flags, 0)]);
    assert_eq!(positions(flows, &syn_ack), [(Class::Control, flags, 1)]);
    assert_eq!(positions(flows, &numbers(ACK, 91)), [(Class::Ack, 0, 0)]);
    assert_eq!(positions(flows, &numbers(ACK, 191)), [(Class::Ack, 100, 0)]);
    assert_eq!(positions(flows, &numbers(ACK, 191)), [(Class::Ack, 100, 1)]);
    assert_eq!(positions(flows, &numbers(FIN | ACK, 191)), [(Class::Control, 1, 0)]);
    assert_eq!(positions(flows, &numbers(RST | ACK, 191)), [(Class::Control, 4, 0)]);
    // The last data and the end of the stream in one segment.
    let last = tcp([CLIENT, SERVER], FIN | ACK, 11, 100);
    assert_eq!(positions(flows, &last), [(Class::Control, 1, 1), (Class::Slot, 0, 0)]);
}

#[test]
fn a_direction_counts_its_own_verdicts() {
    let flows = &mut Flows::default();
    let data = tcp([CLIENT, SERVER], ACK, 11, 100);
    for direction in Direction::BOTH {
        for attempt in 0..2 {
            let mut packet = flows.packet(&data, direction);
            let mut found = Vec::new();
            packet.positions(0..100, Unit::Slot(SLOT), &mut found);
            assert_eq!(found[0].attempt, attempt);
            packet.count(&found[0]);
        }
    }
}

#[test]
fn old_flows_are_forgotten() {
    let flows = &mut Flows::default();
    let syn = tcp([CLIENT, SERVER], SYN, 10, 0);
    assert_eq!(id(flows, &syn), (80, 0, 0));
    for number in 0..2 * MOST_FLOWS as u32 {
        let end = format!("10.1.{}.{}:{}", number >> 8 & 255, number & 255, 1024 + (number >> 16));
        flows.packet(&udp([&end, "10.0.0.2:53"]), Direction::Forth);
        if number % 1000 == 0 {
            flows.packet(&tcp([OTHER, SERVER], SYN, 10, 0), Direction::Forth);
        }
    }
    assert!(flows.len() <= MOST_FLOWS);
    assert_eq!(id(flows, &tcp([OTHER, SERVER], SYN, 10, 0)), (80, 0, 1));
    // A flow that was not used for long begins anew.
    assert_eq!(id(flows, &syn), (80, 0, 2));
}
