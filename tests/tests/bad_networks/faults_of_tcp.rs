//! Actions of rules on TCP segments, as an independent reader of both ends sees them, and what TCP
//! makes of them.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::thread;

use netns_test::lab::{Action, Impairment, LinkRule, Packet, ResetTarget};
use netns_test::netns_test;

use crate::net::{Pair, bytes};
use crate::wire::{Counters, ETHERNET, Frame, Segment, Wire, tcp_info};

const PORT: u16 = 80;

/// A connection, of which each frame is seen at both ends.
struct Site {
    pair: Pair,
    near: TcpStream,
    far: TcpStream,
    wires: [Wire; 2],
    /// Counters of both ends before.
    counters: [Counters; 2],
}

impl Site {
    fn new(is_ipv4: bool) -> Self {
        let pair = Pair::with_offloads(Impairment::new(), false);
        let listener = pair.listener(pair.server(is_ipv4, PORT));
        let [near, far] = pair.connection(&listener);
        let nodes = [pair.client, pair.server];
        let wires = nodes.map(|node| Wire::open(&pair.lab, node));
        let counters = nodes.map(|node| Counters::of(&pair.lab, node));
        Self { pair, near, far, wires, counters }
    }

    /// Adds a rule to the third segment with data.
    fn third(&self, action: Action) -> LinkRule {
        let rule = self.pair.lab[self.pair.wan].on(Packet::tcp().data()).from(self.pair.client);
        rule.nth(3).apply(action).unwrap()
    }

    /// Sends bytes to the server. Returns what the program there got, and the frames of the client
    /// and of the server up to the last byte.
    fn transfer(&mut self, sent: &[u8]) -> (Vec<u8>, [Vec<Frame>; 2]) {
        let mut got = vec![0; sent.len()];
        thread::scope(|scope| {
            scope.spawn(|| self.near.write_all(sent).unwrap());
            self.far.read_exact(&mut got).unwrap();
        });
        // A byte that comes after all others.
        self.near.write_all(b"!").unwrap();
        self.far.read_exact(&mut [0]).unwrap();
        let is_last = |frame: &Frame| data(frame).is_some_and(|one| one.payload.ends_with(b"!"));
        let frames = self.wires.each_ref().map(|wire| wire.until(|all| all.iter().any(is_last)));
        (got, frames)
    }

    /// Returns by how much a counter has grown, at the client and at the server.
    fn growth(&self, name: &str) -> [i64; 2] {
        let (pair, before) = (&self.pair, &self.counters);
        let of = |at: usize, node| Counters::of(&pair.lab, node).growth(&before[at], name);
        [of(0, pair.client), of(1, pair.server)]
    }
}

/// Returns a segment with data to the server.
fn data(frame: &Frame) -> Option<Segment> {
    frame.tcp().filter(|one| one.destination == PORT && !one.payload.is_empty())
}

fn all_data(frames: &[Frame]) -> Vec<Segment> {
    frames.iter().filter_map(data).collect()
}

/// Returns how often the segments have this sequence number.
fn count(segments: &[Segment], sequence: u32) -> usize {
    segments.iter().filter(|one| one.sequence == sequence).count()
}

/// Bytes without the one that ends a transfer.
fn content() -> Vec<u8> {
    bytes(20_000).into_iter().map(|byte| byte | 0x80).collect()
}

#[netns_test]
fn a_segment_is_dropped_and_sent_again() {
    let sent = content();
    for is_ipv4 in [true, false] {
        let mut site = Site::new(is_ipv4);
        let rule = site.third(Action::Drop);
        let (got, frames) = site.transfer(&sent);
        assert!(got == sent);
        assert_eq!(rule.hits(), 1);
        let [near, far] = frames.each_ref().map(|all| all_data(all));
        let dropped = near[2].sequence;
        assert!(count(&near, dropped) >= 2);
        assert_eq!(count(&far, dropped), count(&near, dropped) - 1);
        assert!(frames.iter().flatten().filter(|one| data(one).is_some()).all(Frame::is_sound));
        assert!(tcp_info(&site.near).tcpi_total_retrans >= 1);
        assert!(site.growth("Tcp.RetransSegs")[0] >= 1);
    }
}

#[netns_test]
fn a_segment_is_corrupted_and_sent_again() {
    let sent = content();
    for is_ipv4 in [true, false] {
        let mut site = Site::new(is_ipv4);
        let rule = site.third(Action::Corrupt { offset: 100, bits: 0x10 });
        let (got, [near, far]) = site.transfer(&sent);
        assert!(got == sent);
        assert_eq!(rule.hits(), 1);
        let wrong: Vec<&Frame> =
            far.iter().filter(|one| one.tcp().is_some() && !one.is_sound()).collect();
        assert_eq!(wrong.len(), 1);
        let near: Vec<&Frame> = near.iter().filter(|one| data(one).is_some()).collect();
        let mut expected = near[2].bytes.clone();
        let at = expected.len() - data(near[2]).unwrap().payload.len() + 100;
        expected[at] ^= 0x10;
        assert_eq!(wrong[0].bytes, expected);
        assert_eq!(site.growth("Tcp.InCsumErrors"), [0, 1]);
        assert!(tcp_info(&site.near).tcpi_total_retrans >= 1);
    }
}

/// The receiver reports the second copy by a duplicate SACK (RFC 2883).
#[netns_test]
fn a_segment_is_duplicated() {
    let sent = content();
    for is_ipv4 in [true, false] {
        let mut site = Site::new(is_ipv4);
        let rule = site.third(Action::Duplicate(1));
        let (got, [near, far]) = site.transfer(&sent);
        assert!(got == sent);
        assert_eq!(rule.hits(), 1);
        let [near, far] = [all_data(&near), all_data(&far)];
        let doubled = near[2].sequence;
        assert_eq!(count(&far, doubled), count(&near, doubled) + 1);
        assert!(site.growth("TcpExt.TCPDSACKOldSent")[1] >= 1);
    }
}

#[netns_test]
fn a_byte_of_a_stream_is_altered() {
    let sent = content();
    for is_ipv4 in [true, false] {
        let mut site = Site::new(is_ipv4);
        let rule = site.third(Action::Alter { offset: 100, bits: 0x10 });
        let (got, [near, far]) = site.transfer(&sent);
        assert_eq!(rule.hits(), 1);
        let near = all_data(&near);
        let mut expected = sent.clone();
        expected[near[0].payload.len() + near[1].payload.len() + 100] ^= 0x10;
        assert!(got == expected);
        assert!(far.iter().filter(|one| data(one).is_some()).all(Frame::is_sound));
        assert_eq!(site.growth("Tcp.InCsumErrors"), [0, 0]);
    }
}

/// The sequence numbers are those that the ends accept (RFC 5961), and no kernel has sent a RST.
#[netns_test]
fn a_connection_is_reset_by_forged_segments() {
    for target in [ResetTarget::Sender, ResetTarget::Receiver, ResetTarget::Both] {
        for is_ipv4 in [true, false] {
            let mut site = Site::new(is_ipv4);
            let rule = site.pair.lab[site.pair.wan].on(Packet::tcp().payload_contains("bomb"));
            let rule = rule.nth(1).apply(Action::Reset(target)).unwrap();
            site.near.write_all(b"hello").unwrap();
            site.far.read_exact(&mut [0; 5]).unwrap();
            site.near.write_all(b"a bomb").unwrap();
            let is_reset = [target != ResetTarget::Receiver, target != ResetTarget::Sender];
            for (end, _) in
                [&mut site.near, &mut site.far].into_iter().zip(is_reset).filter(|x| x.1)
            {
                assert_eq!(end.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
            }
            assert_eq!(rule.hits(), 1);
            let stats = site.pair.lab[site.pair.wan].stats().unwrap();
            let injected = [stats.from[1].injected, stats.from[0].injected];
            assert_eq!(injected, is_reset.map(u64::from), "{stats}");
            let is_bomb = |one: &Frame| data(one).is_some_and(|one| one.payload == b"a bomb");
            let reset = |one: &Frame| one.tcp().is_some_and(|one| one.is_reset);
            let near = site.wires[0]
                .until(|all| all.iter().any(is_bomb) && (!is_reset[0] || all.iter().any(reset)));
            let bomb = near.iter().find_map(|one| data(one).filter(|_| is_bomb(one))).unwrap();
            if is_reset[0] {
                let forged = near.iter().find(|one| reset(one)).unwrap();
                assert!(forged.is_sound());
                assert_eq!(forged.source(), site.pair.server(is_ipv4, 0).ip().to_string());
                assert_eq!(forged.tcp().unwrap().sequence, bomb.acknowledged);
                assert_eq!(site.growth("Tcp.EstabResets")[0], 1);
            }
            if is_reset[1] {
                let far = site.wires[1].until(|all| all.iter().any(reset));
                assert!(!far.iter().any(is_bomb));
                let forged = far.iter().find(|one| reset(one)).unwrap();
                assert!(forged.is_sound());
                assert_eq!(forged.tcp().unwrap().sequence, bomb.sequence);
                assert_eq!(site.growth("Tcp.EstabResets")[1], 1);
            }
            if target == ResetTarget::Both {
                assert_eq!(site.growth("Tcp.OutRsts"), [0, 0]);
            }
        }
    }
}

/// Type and code of RFC 1191 and RFC 4443; TCP sends shorter segments from then on.
#[netns_test]
fn a_segment_is_answered_by_too_big() {
    let sent = content();
    for (is_ipv4, kind, code, mss) in [(true, 3, 4, 1248), (false, 2, 0, 1228)] {
        let mut site = Site::new(is_ipv4);
        let rule = site.pair.lab[site.pair.wan].on(Packet::any()).from(site.pair.client);
        let rule = rule.apply(Action::TooBig { mtu: 1300 }).unwrap();
        let (got, [near, far]) = site.transfer(&sent);
        assert!(got == sent);
        assert!(rule.hits() >= 1);
        let answer = near.iter().find(|one| one.icmp().is_some_and(|icmp| icmp.kind == kind));
        let answer = answer.unwrap();
        let icmp = answer.icmp().unwrap();
        assert_eq!((icmp.code, icmp.number), (code, 1300));
        assert!(answer.is_sound());
        assert_eq!(answer.source(), site.pair.server(is_ipv4, 0).ip().to_string());
        let is_quoted = |one: &Frame| one.bytes[ETHERNET..].starts_with(&icmp.quote);
        let quoted = near.iter().find(|one| is_quoted(one)).unwrap();
        assert!(quoted.bytes.len() > ETHERNET + 1300 && !far.contains(quoted));
        assert!(far.iter().all(|one| one.bytes.len() <= ETHERNET + 1300));
        let info = tcp_info(&site.near);
        assert_eq!([info.tcpi_pmtu, info.tcpi_snd_mss], [1300, mss]);
        let name = if is_ipv4 { "Icmp.InDestUnreachs" } else { "Icmp6InPktTooBigs" };
        assert!(site.growth(name)[0] >= 1);
    }
}
