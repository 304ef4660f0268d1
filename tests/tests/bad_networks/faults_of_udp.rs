//! Actions of rules on datagrams, as an independent reader of both ends sees them.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use netns_test::lab::{Action, Impairment, LinkStats, Packet, Unreachable};
use netns_test::netns_test;

use crate::net::{PATIENCE, Pair};
use crate::wire::{Counters, ETHERNET, Frame, Wire};

/// Bytes of a datagram.
const LENGTH: usize = 100;

/// The datagram that a rule chooses.
const CHOSEN: u8 = 3;

/// Payload of the datagram with this number, from 1.
fn payload(number: u8) -> Vec<u8> {
    (0..LENGTH as u8).map(|at| at ^ (number << 4)).collect()
}

/// Five datagrams have passed, of which an action has changed the third one.
struct Passed {
    pair: Pair,
    /// Frames of datagrams at the client and at the server.
    sent: Vec<Frame>,
    came: Vec<Frame>,
    /// Messages that the program on the server got.
    got: Vec<Vec<u8>>,
    /// Counters of the server, before and after.
    counters: [Counters; 2],
    prefix: &'static str,
    far_wire: Wire,
}

impl Passed {
    /// Waits for `frames` frames of datagrams at the server, and for `messages` messages there.
    fn new(is_ipv4: bool, action: Action, frames: usize, messages: usize) -> Self {
        let ends = Ends::new(is_ipv4);
        let [near_wire, far_wire] = ends.wires();
        let before = Counters::of(&ends.pair.lab, ends.pair.server);
        let rule = ends.rule(action);
        ends.send();
        let sent = datagrams(&near_wire, 5);
        let came = datagrams(&far_wire, frames);
        let mut got = Vec::new();
        while got.len() < messages {
            let mut buffer = [0; 2 * LENGTH];
            let length = ends.far.recv(&mut buffer).unwrap();
            got.push(buffer[..length].to_vec());
        }
        assert_eq!(rule.hits(), 1);
        drop(rule);
        let counters = [before, Counters::of(&ends.pair.lab, ends.pair.server)];
        let prefix = if is_ipv4 { "Udp." } else { "Udp6" };
        Self { pair: ends.pair, sent, came, got, counters, prefix, far_wire }
    }

    /// Returns by how much a counter of UDP on the server has grown.
    fn udp(&self, name: &str) -> i64 {
        self.growth(&format!("{}{name}", self.prefix))
    }

    fn growth(&self, name: &str) -> i64 {
        self.counters[1].growth(&self.counters[0], name)
    }

    fn stats(&self) -> LinkStats {
        self.pair.lab[self.pair.wan].stats().unwrap()
    }

    /// Returns the frame of the chosen datagram at the client.
    fn chosen(&self) -> &Frame {
        &self.sent[usize::from(CHOSEN) - 1]
    }

    /// Checks that the server got the frames of these datagrams, unchanged and in this order.
    #[track_caller]
    fn are(&self, numbers: &[u8]) {
        let bytes = |frame: &Frame| frame.bytes.clone();
        let expected: Vec<Vec<u8>> =
            numbers.iter().map(|number| bytes(&self.sent[usize::from(*number) - 1])).collect();
        assert_eq!(self.came.iter().map(bytes).collect::<Vec<_>>(), expected);
        assert!(self.came.iter().all(Frame::is_sound));
        assert_eq!(self.got, numbers.iter().map(|number| payload(*number)).collect::<Vec<_>>());
        let count = i64::try_from(numbers.len()).unwrap();
        assert_eq!([self.udp("InDatagrams"), self.udp("InErrors")], [count, 0]);
    }
}

/// Sockets of both ends.
struct Ends {
    pair: Pair,
    near: UdpSocket,
    far: UdpSocket,
    to: SocketAddr,
}

impl Ends {
    fn new(is_ipv4: bool) -> Self {
        let pair = Pair::with_offloads(Impairment::new(), false);
        let to = pair.server(is_ipv4, 6000);
        let any: IpAddr = if is_ipv4 { [0; 4].into() } else { [0; 16].into() };
        // Not connected: an ICMP error has no effect on later calls.
        let near = pair.lab[pair.client].run(|| UdpSocket::bind((any, 6001))).unwrap();
        let far = pair.lab[pair.server].run(|| UdpSocket::bind(to)).unwrap();
        far.set_read_timeout(Some(PATIENCE)).unwrap();
        // Both ends learn the other one's Ethernet address.
        near.send_to(b"hello", to).unwrap();
        let (_, from) = far.recv_from(&mut [0; 8]).unwrap();
        far.send_to(b"hello", from).unwrap();
        near.set_read_timeout(Some(PATIENCE)).unwrap();
        near.recv_from(&mut [0; 8]).unwrap();
        Self { pair, near, far, to }
    }

    fn wires(&self) -> [Wire; 2] {
        [self.pair.client, self.pair.server].map(|node| Wire::open(&self.pair.lab, node))
    }

    fn rule(&self, action: Action) -> netns_test::lab::LinkRule {
        let rule = self.pair.lab[self.pair.wan].on(Packet::udp().destination_port(6000));
        rule.from(self.pair.client).nth(u64::from(CHOSEN)).apply(action).unwrap()
    }

    /// Sends five datagrams, and one to another port after them.
    fn send(&self) {
        for number in 1..=5 {
            self.near.send_to(&payload(number), self.to).unwrap();
        }
        self.near.send_to(b"end", (self.to.ip(), 6999)).unwrap();
    }
}

/// Returns the frames that an end saw of the five datagrams, when it has seen the last one and so
/// many.
fn datagrams(wire: &Wire, count: usize) -> Vec<Frame> {
    let is_one = |frame: &Frame| {
        // A truncated one is no whole packet.
        frame.udp().map_or(frame.packet().is_none(), |(port, _)| port == 6000)
    };
    let is_last = |frame: &Frame| frame.udp().is_some_and(|(port, _)| port == 6999);
    let all = wire.until(|all| {
        all.iter().any(is_last) && all.iter().filter(|one| is_one(one)).count() >= count
    });
    all.into_iter().filter(is_one).collect()
}

#[netns_test]
fn a_datagram_is_dropped() {
    for is_ipv4 in [true, false] {
        let passed = Passed::new(is_ipv4, Action::Drop, 4, 4);
        passed.are(&[1, 2, 4, 5]);
        assert_eq!(passed.stats().from[0].dropped_by_rule, 1);
    }
}

#[netns_test]
fn a_datagram_is_passed() {
    for is_ipv4 in [true, false] {
        Passed::new(is_ipv4, Action::Pass, 5, 5).are(&[1, 2, 3, 4, 5]);
    }
}

#[netns_test]
fn a_datagram_is_duplicated() {
    for is_ipv4 in [true, false] {
        let passed = Passed::new(is_ipv4, Action::Duplicate(2), 7, 7);
        passed.are(&[1, 2, 3, 3, 3, 4, 5]);
        assert_eq!(passed.stats().from[0].duplicated, 2);
    }
}

#[netns_test]
fn a_datagram_is_delayed() {
    let delay = Duration::from_millis(100);
    for is_ipv4 in [true, false] {
        let passed = Passed::new(is_ipv4, Action::Delay(delay), 5, 5);
        let is_chosen = |frame: &&Frame| frame.bytes == passed.chosen().bytes;
        let [arrival] = passed.came.iter().filter(is_chosen).collect::<Vec<_>>()[..] else {
            panic!("{:?}", passed.came)
        };
        // Both by the clock of the same kernel.
        let took = arrival.at - passed.chosen().at;
        assert!(took >= delay, "{took:?}");
        let others: Vec<&[u8]> =
            passed.came.iter().filter(|one| !is_chosen(one)).map(|one| &one.bytes[..]).collect();
        let expected = [0, 1, 3, 4].map(|at: usize| &passed.sent[at].bytes[..]);
        assert_eq!(others, expected);
    }
}

#[netns_test]
fn a_datagram_is_held() {
    for is_ipv4 in [true, false] {
        let passed = Passed::new(is_ipv4, Action::Hold, 4, 4);
        passed.are(&[1, 2, 4, 5]);
        assert_eq!(passed.stats().from[0].in_transit, 1);
        passed.pair.lab[passed.pair.wan].release().unwrap();
        let later = passed.far_wire.until(|all| all.iter().any(|one| one.udp().is_some()));
        assert_eq!(later.last().unwrap().bytes, passed.chosen().bytes);
    }
}

#[netns_test]
fn a_byte_is_corrupted() {
    for is_ipv4 in [true, false] {
        let action = Action::Corrupt { offset: 10, bits: 0x41 };
        let passed = Passed::new(is_ipv4, action, 5, 4);
        let mut expected = passed.chosen().bytes.clone();
        let at = expected.len() - LENGTH + 10;
        expected[at] ^= 0x41;
        assert_eq!(passed.came[2].bytes, expected);
        let sound: Vec<bool> = passed.came.iter().map(Frame::is_sound).collect();
        assert_eq!(sound, [true, true, false, true, true]);
        assert_eq!(passed.got, [1, 2, 4, 5].map(payload));
        // The receiver counts it, and the program gets nothing of it.
        let counted = ["InDatagrams", "InErrors", "InCsumErrors"].map(|name| passed.udp(name));
        assert_eq!(counted, [4, 1, 1]);
        assert_eq!(passed.stats().from[0].corrupted, 1);
    }
}

#[netns_test]
fn a_byte_is_altered() {
    for is_ipv4 in [true, false] {
        let passed = Passed::new(is_ipv4, Action::Alter { offset: 10, bits: 0x41 }, 5, 5);
        let mut expected = payload(CHOSEN);
        expected[10] ^= 0x41;
        assert_eq!(passed.came[2].udp(), Some((6000, &expected[..])));
        assert!(passed.came.iter().all(Frame::is_sound));
        assert_eq!(passed.got, [payload(1), payload(2), expected, payload(4), payload(5)]);
        assert_eq!([passed.udp("InDatagrams"), passed.udp("InErrors")], [5, 0]);
        assert_eq!(passed.stats().from[0].corrupted, 1);
    }
}

#[netns_test]
fn a_datagram_is_truncated() {
    for is_ipv4 in [true, false] {
        let passed = Passed::new(is_ipv4, Action::Truncate(70), 5, 4);
        // The headers are those of the whole packet.
        assert_eq!(passed.came[2].bytes, passed.chosen().bytes[..ETHERNET + 70]);
        assert_eq!(passed.got, [1, 2, 4, 5].map(payload));
        let name = if is_ipv4 { "IpExt.InTruncatedPkts" } else { "Ip6InTruncatedPkts" };
        assert_eq!([passed.udp("InDatagrams"), passed.growth(name)], [4, 1]);
    }
}

/// Types and codes of RFC 792, RFC 1812 and RFC 4443.
#[netns_test]
fn a_datagram_is_answered_by_an_icmp_error() {
    for (reason, ipv4, ipv6) in [
        (Unreachable::Network, (3, 0), (1, 0)),
        (Unreachable::Host, (3, 1), (1, 3)),
        (Unreachable::Port, (3, 3), (1, 4)),
        (Unreachable::Prohibited, (3, 13), (1, 1)),
    ] {
        for (is_ipv4, expected) in [(true, ipv4), (false, ipv6)] {
            let ends = Ends::new(is_ipv4);
            let (lab, client, server) = (&ends.pair.lab, ends.pair.client, ends.pair.server);
            let [near_wire, far_wire] = ends.wires();
            let before = [client, server].map(|node| Counters::of(lab, node));
            let rule = ends.rule(Action::Unreachable(reason));
            // Without the one to another port, which the kernel answers, too.
            for number in 1..=5 {
                ends.near.send_to(&payload(number), ends.to).unwrap();
            }
            let is_error = |one: &Frame| one.icmp().is_some_and(|icmp| icmp.kind == expected.0);
            let sent = |one: &Frame| one.udp().is_some_and(|(port, _)| port == 6000);
            let all = near_wire.until(|all| {
                all.iter().any(is_error) && all.iter().filter(|one| sent(one)).count() == 5
            });
            let answer = all.iter().find(|one| is_error(one)).unwrap();
            let icmp = answer.icmp().unwrap();
            assert_eq!((icmp.kind, icmp.code, icmp.number), (expected.0, expected.1, 0));
            assert!(answer.is_sound());
            assert_eq!(answer.source(), ends.to.ip().to_string());
            // It quotes the packet from its IP header on.
            let chosen = all.iter().filter(|one| sent(one)).nth(usize::from(CHOSEN) - 1).unwrap();
            assert!(icmp.quote.len() >= 28);
            assert_eq!(icmp.quote, chosen.bytes[ETHERNET..][..icmp.quote.len()]);
            let came = far_wire.until(|all| all.iter().filter(|one| sent(one)).count() == 4);
            let came: Vec<_> = came.iter().filter_map(Frame::udp).map(|(_, got)| got).collect();
            assert_eq!(came, [1, 2, 4, 5].map(payload));
            // The client's kernel accepts it, and the server's has sent none.
            let names = if is_ipv4 {
                ["Icmp.InDestUnreachs", "Icmp.OutDestUnreachs"]
            } else {
                ["Icmp6InDestUnreachs", "Icmp6OutDestUnreachs"]
            };
            let [near, far] = [client, server].map(|node| Counters::of(lab, node));
            assert_eq!(near.growth(&before[0], names[0]), 1);
            assert_eq!(far.growth(&before[1], names[1]), 0);
            assert_eq!(rule.hits(), 1);
        }
    }
}
