//! Exact faults: rules on packets.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use netns_test::lab::{Action, Impairment, Packet, ResetTarget, Unreachable};
use netns_test::{Topology, netns_test};
use netns_test_tests::Said as _;

use crate::net::{PATIENCE, Pair, bytes};

#[netns_test]
fn the_third_syn_ack_is_lost() {
    for is_ipv4 in [true, false] {
        let pair = Pair::new(Impairment::new());
        let cut = pair.lab[pair.wan].on(Packet::tcp().syn_ack()).nth(3).drop().unwrap();
        let listener = pair.listener(pair.server(is_ipv4, 80));
        for hits in [0, 0, 1, 1] {
            // The third one comes after a retransmission.
            pair.connection(&listener);
            assert_eq!(cut.hits(), hits);
        }
    }
}

#[netns_test]
fn a_rule_ends_with_its_guard() {
    let pair = Pair::new(Impairment::new());
    let to = pair.server(true, 80);
    let listener = pair.listener(to);
    let cut = pair.lab[pair.wan].drop_matching(Packet::tcp().destination_port(80)).unwrap();
    let connect = || TcpStream::connect_timeout(&to, Duration::from_millis(200));
    let refused = pair.lab[pair.client].run(connect).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::TimedOut);
    assert!(cut.hits() >= 1);
    drop(cut);
    pair.connection(&listener);
}

#[netns_test]
fn a_forged_reset_ends_both_ends() {
    for is_ipv4 in [true, false] {
        let pair = Pair::new(Impairment::new());
        let listener = pair.listener(pair.server(is_ipv4, 80));
        let [mut near, mut far] = pair.connection(&listener);
        let rule = pair.lab[pair.wan]
            .on(Packet::tcp().payload_contains("bomb"))
            .apply(Action::Reset(ResetTarget::Both))
            .unwrap();
        let mut buffer = [0; 8];
        near.write_all(b"hello").unwrap();
        far.read_exact(&mut buffer[..5]).unwrap();
        near.write_all(b"a bomb").unwrap();
        assert_eq!(far.read(&mut buffer).unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(near.read(&mut buffer).unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(rule.hits(), 1);
    }
}

#[netns_test]
fn a_datagram_is_answered_by_port_unreachable() {
    for is_ipv4 in [true, false] {
        let pair = Pair::new(Impairment::new());
        let [near, _far] = pair.sockets(is_ipv4);
        near.set_read_timeout(Some(PATIENCE)).unwrap();
        let rule = pair.lab[pair.wan].on(Packet::udp()).from(pair.client).nth(1);
        let rule = rule.apply(Action::Unreachable(Unreachable::Port)).unwrap();
        near.send(b"x").unwrap();
        let refused = near.recv(&mut [0; 8]).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        assert_eq!(rule.hits(), 1);
    }
}

/// Large packets vanish without an answer: the transfer stops, and goes on when the rule is lifted.
#[netns_test]
fn a_black_hole_for_large_packets() {
    for is_ipv4 in [true, false] {
        let pair = Pair::new(Impairment::new());
        let listener = pair.listener(pair.server(is_ipv4, 80));
        let [mut near, mut far] = pair.connection(&listener);
        let hole = pair.lab[pair.wan].drop_matching(Packet::any().longer_than(1400)).unwrap();
        let mut buffer = [0; 8];
        near.write_all(b"small").unwrap();
        far.read_exact(&mut buffer[..5]).unwrap();
        let sent = bytes(20_000);
        near.write_all(&sent).unwrap();
        far.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let mut got = vec![0; sent.len()];
        let mut count = 0;
        // The last segment is small, and is kept back by TCP until the others are there.
        while let Ok(more) = far.read(&mut got[count..]) {
            count += more;
        }
        assert_eq!(count, 0);
        assert!(hole.hits() >= 1);
        drop(hole);
        far.set_read_timeout(Some(PATIENCE)).unwrap();
        far.read_exact(&mut got).unwrap();
        assert_eq!(got, sent);
    }
}

/// A router reports the size that fits, and the transfer goes on with smaller packets.
#[netns_test]
fn a_packet_too_big_is_answered_by_a_smaller_mtu() {
    for is_ipv4 in [true, false] {
        let pair = Pair::new(Impairment::new());
        let listener = pair.listener(pair.server(is_ipv4, 80));
        let [mut near, mut far] = pair.connection(&listener);
        let rule = pair.lab[pair.wan].on(Packet::any()).from(pair.client);
        let rule = rule.apply(Action::TooBig { mtu: 1300 }).unwrap();
        let sent = bytes(50_000);
        let mut got = vec![0; sent.len()];
        std::thread::scope(|scope| {
            let sent = &sent;
            scope.spawn(move || near.write_all(sent).unwrap());
            far.read_exact(&mut got).unwrap();
        });
        assert!(got == sent);
        assert!(rule.hits() >= 1);
    }
}

#[netns_test]
fn a_byte_is_altered_where_the_rule_says() {
    for is_ipv4 in [true, false] {
        let pair = Pair::new(Impairment::new());
        let [near, far] = pair.sockets(is_ipv4);
        let _rule = pair.lab[pair.wan]
            .on(Packet::udp().from(near.local_addr().unwrap().ip()))
            .nth(2)
            .apply(Action::Alter { offset: 1, bits: 0x20 })
            .unwrap();
        for _ in 0..3 {
            near.send(b"abc").unwrap();
        }
        let mut got = Vec::new();
        for _ in 0..3 {
            let mut buffer = [0; 8];
            let length = far.recv(&mut buffer).unwrap();
            got.push(buffer[..length].to_vec());
        }
        assert_eq!(got, [b"abc", b"aBc", b"abc"]);
    }
}

#[netns_test]
#[should_panic = "a condition of link `wan` (client to server) has panicked"]
fn a_condition_that_panics_fails_the_test() {
    let pair = Pair::new(Impairment::new());
    let rule = pair.lab[pair.wan]
        .drop_matching(Packet::udp().when(|packet| packet.payload()[1000] == 0))
        .unwrap();
    let [near, far] = pair.sockets(true);
    near.send(b"abc").unwrap();
    far.recv(&mut [0; 8]).unwrap();
    drop(rule);
}

#[netns_test]
fn mistakes_name_the_link_and_the_fix() {
    let mut net = Topology::new();
    let (client, server, other) = (net.host("client"), net.host("server"), net.host("other"));
    let direct = net.link(client, server).name("direct").id();
    let wan = net.link(client, other).name("wan").impairable().id();
    let lab = net.build().unwrap();
    let message = lab[direct].drop_matching(Packet::any()).unwrap_err().said();
    assert!(message.contains("direct") && message.contains("impairable"), "{message}");
    let message = lab[direct].set_impairment(Impairment::new().loss("1%")).unwrap_err().said();
    assert!(message.contains("direct") && message.contains("impairable"), "{message}");
    let message = lab[wan].on(Packet::any()).from(server).drop().unwrap_err().said();
    assert!(message.contains("`server` is at neither end"), "{message}");
    let message = lab[wan].on(Packet::udp().syn()).drop().unwrap_err().said();
    assert!(message.contains("add a rule to link `wan`"), "{message}");
    let message = lab[wan].set_impairment(Impairment::new().loss("101%")).unwrap_err().said();
    assert!(message.contains("wan") && message.contains("100%"), "{message}");
}

/// A rule that never acts is a mistake, which the report of a failure shows.
#[test]
fn a_failed_test_shows_a_rule_that_never_acted() {
    for test in ["faults::fails_with_an_idle_rule", "faults::hangs_with_an_idle_rule"] {
        let text = crate::must_fail(test);
        let plain = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let cause = "a rule of link `wan` (client to server) has never acted: drop TCP";
        assert!(plain.contains(cause), "{text}");
        // That of UDP has acted.
        assert!(!plain.contains("has never acted: drop UDP"), "{text}");
    }
}

/// Adds a rule that acts, and one that does not.
fn rules(pair: &Pair) -> [netns_test::lab::LinkRule; 2] {
    let rules = [Packet::udp(), Packet::tcp().destination_port(81)];
    let rules = rules.map(|packet| pair.lab[pair.wan].drop_matching(packet).unwrap());
    let [near, _] = pair.sockets(true);
    near.send(b"lost").unwrap();
    netns_test_tests::eventually(PATIENCE, "the rule acts", || rules[0].hits() == 1);
    assert_eq!((rules[0].matched(), rules[1].matched()), (1, 0));
    rules
}

#[netns_test]
#[ignore = "fails; run by a_failed_test_shows_a_rule_that_never_acted"]
fn fails_with_an_idle_rule() {
    let pair = Pair::new(Impairment::new());
    let rules = rules(&pair);
    assert_eq!(rules[1].hits(), 1);
}

#[netns_test(timeout = "1s")]
#[ignore = "hangs; run by a_failed_test_shows_a_rule_that_never_acted"]
fn hangs_with_an_idle_rule() {
    let pair = Pair::new(Impairment::new());
    let _rules = rules(&pair);
    loop {
        std::thread::park();
    }
}
