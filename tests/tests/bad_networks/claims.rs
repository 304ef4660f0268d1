//! Claims about the packets of a captured link, and its text.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use netns_test::lab::{Impairment, Packet};
use netns_test::netns_test;

use crate::captures::{captured, exchange};
use crate::net::{PATIENCE, Pair};

/// Returns the message of the panic of `claim`.
fn message(claim: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(claim)).unwrap_err();
    *panic.downcast::<String>().unwrap()
}

fn refused(pair: &Pair) {
    let to = pair.server(true, 8080);
    pair.lab[pair.client].run(|| TcpStream::connect(to)).unwrap_err();
}

#[netns_test]
fn true_claims_pass() {
    let pair = captured(Impairment::new());
    let link = &pair.lab[pair.wan];
    refused(&pair);
    let (to, syn) = (Packet::tcp().destination_port(8080), Packet::tcp().syn());
    link.packets(to.clone().syn()).assert_count(1);
    link.packets(to).from(pair.server).assert_none();
    link.packets(syn.clone()).from(pair.client).to(pair.server).delivered().assert_count(1);
    link.packets(syn.clone()).to(pair.client).assert_none();
    link.packets(syn).dropped().assert_none();
    let answer = Packet::tcp().rst().source_port(8080);
    link.packets(answer).wait_for(1, PATIENCE).unwrap();
    assert_eq!(link.packets(Packet::tcp()).count().unwrap(), 2);
}

#[netns_test]
fn a_false_claim_lists_the_nearest_packets() {
    let pair = captured(Impairment::new());
    refused(&pair);
    let packets = pair.lab[pair.wan].packets(Packet::tcp().syn().destination_port(8081));
    let text = message(|| packets.from(pair.client).assert_count(1));
    let expected = "expected 1 of packets (TCP, SYN set, ACK not set, destination port 8081) from \
                    client on link `wan` (client to server), found 0\n  not matching: client:";
    assert!(text.starts_with(expected), "{text}");
    assert!(text.lines().nth(1).unwrap().ends_with("-> server:8080  TCP SYN"), "{text}");
    let text = message(|| pair.lab[pair.wan].packets(Packet::tcp().syn()).assert_none());
    assert!(text.contains("found 1\n  matching: client:"), "{text}");
}

#[netns_test]
fn dropped_packets_are_not_delivered() {
    let pair = captured(Impairment::new());
    let link = &pair.lab[pair.wan];
    let _rule = link.on(Packet::tcp().syn()).nth(1).drop().unwrap();
    refused(&pair);
    let syn = || link.packets(Packet::tcp().syn());
    syn().assert_count(2);
    syn().dropped().assert_count(1);
    syn().delivered().assert_count(1);
}

#[netns_test]
fn a_wait_sees_a_packet_that_comes_later() {
    let pair = captured(Impairment::new());
    let link = &pair.lab[pair.wan];
    let packets = link.packets(Packet::udp().payload_contains(b"awaited"));
    let error = packets.wait_for(1, Duration::from_millis(50)).unwrap_err();
    assert!(error.is_timeout() && error.to_string().contains("expected 1 within"), "{error}");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| packets.wait_for(2, PATIENCE));
        exchange(&pair, &[b"awaited one"]);
        assert!(!waiting.is_finished(), "one packet is not two");
        exchange(&pair, &[b"awaited two"]);
        waiting.join().unwrap().unwrap();
    });
}

#[netns_test]
fn absence_is_not_judged_by_a_record_that_lacks_frames() {
    let pair = captured(Impairment::new());
    let payload = [7; 1400];
    let batch: Vec<&[u8]> = [&payload[..]; 50].into_iter().chain([&b"the end"[..]]).collect();
    (0..40).for_each(|_| exchange(&pair, &batch));
    let link = &pair.lab[pair.wan];
    let absent = link.packets(Packet::udp().payload_contains(b"absent"));
    let text = message(|| absent.assert_none());
    assert!(text.starts_with("cannot judge whether packets (UDP"), "{text}");
    assert!(text.contains("older frames are no longer in the record"), "{text}");
    assert!(absent.count().is_err());
    // What is there refutes a claim, and is enough for a wait.
    let present = link.packets(Packet::udp().payload_contains(b"the end"));
    assert!(message(|| present.assert_none()).starts_with("expected 0 of packets"));
    present.wait_for(1, PATIENCE).unwrap();
    // What the server has sent is not missing.
    absent.clone().from(pair.server).assert_none();
    assert!(link.trace().is_err());
}

#[netns_test]
fn a_claim_needs_a_record_and_an_end() {
    let pair = Pair::new(Impairment::new());
    let text = message(|| pair.lab[pair.wan].packets(Packet::any()).assert_none());
    assert!(text.contains("`.capture()`"), "{text}");
    let pair = captured(Impairment::new());
    let other = captured(Impairment::new());
    let packets = pair.lab[pair.wan].packets(Packet::any()).from(other.client);
    let text = message(|| packets.assert_none());
    assert!(text.contains("a node of another topology is at neither end"), "{text}");
    assert!(message(|| packets.wait_for(0, PATIENCE).unwrap()).contains("at neither end"));
}

#[netns_test]
fn a_panic_of_a_condition_fails_the_claim() {
    let pair = captured(Impairment::new());
    exchange(&pair, &[b"x"]);
    let packet = Packet::udp().when(|_| panic!("the condition's own text"));
    let text = message(|| pair.lab[pair.wan].packets(packet).assert_none());
    assert!(text.contains("a condition has panicked: the condition's own text"), "{text}");
}

#[netns_test]
fn the_trace_is_the_same_in_each_run() {
    let expected = "\
client:p1 -> server:8080  SYN
client:p1 <- server:8080  RST ACK
client:p2 -> server:80  SYN (x2)
client:p2 <- server:80  SYN ACK
client:p2 -> server:80  data 0..5000
client:p2 <- server:80  data 0..2
client:p3 -> server:5000  UDP 5 bytes
";
    for size in [5000, 500] {
        let pair = captured(Impairment::new());
        let link = &pair.lab[pair.wan];
        let rule = link.on(Packet::tcp().syn().destination_port(80)).nth(1).drop().unwrap();
        refused(&pair);
        let listener = pair.listener(pair.server(true, 80));
        let [mut near, mut far] = pair.connection(&listener);
        [7; 5000].chunks(size).for_each(|part| near.write_all(part).unwrap());
        far.read_exact(&mut [0; 5000]).unwrap();
        far.write_all(b"ok").unwrap();
        near.read_exact(&mut [0; 2]).unwrap();
        exchange(&pair, &[b"hello"]);
        assert_eq!(link.trace().unwrap(), expected);
        drop(rule);
    }
}

#[netns_test]
fn an_icmp_error_is_traced() {
    let pair = captured(Impairment::new());
    exchange(&pair, &[b"x"]);
    let raw = pair.lab[pair.client].run(|| UdpSocket::bind("0.0.0.0:0")).unwrap();
    raw.send_to(&[], pair.server(true, 9)).unwrap();
    pair.lab[pair.wan].packets(Packet::icmp()).wait_for(1, PATIENCE).unwrap();
    let text = pair.lab[pair.wan].trace().unwrap();
    assert!(text.contains("server:9  UDP 0 bytes\n"), "{text}");
    assert!(text.contains("server -> client  ICMP type 3 code 3\n"), "{text}");
}
