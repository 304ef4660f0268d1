//! Messages, as a client that writes them itself gets them.

use std::time::Duration;

use netns_test::lab::{DnsAnswer, Record, RecordType, Transport};
use netns_test::netns_test;

use crate::client::{Answer, ID, SOON, ask, ask_by_tcp, query, send};
use crate::lookups::net;

#[netns_test]
fn a_long_answer_needs_edns_or_tcp() {
    let (mut net, [client, _, ns]) = net();
    let mut dns = net.dns(ns);
    for number in 0..60 {
        dns = dns.record("big.example", Record::address([10, 9, 0, number]));
    }
    let lab = net.build().unwrap();
    let server = lab.plan().address_of(ns).unwrap();
    let big = |size| query("big.example", RecordType::A, size);
    let by_udp = |size| send(&lab, client, server, &big(size), SOON).unwrap();
    for (size, is_truncated) in [(None, true), (Some(600), true), (Some(1_232), false)] {
        let answer = by_udp(size);
        assert_eq!(answer.is_truncated(), is_truncated, "{size:?}");
        assert_eq!(answer.counts()[0], if is_truncated { 0 } else { 60 });
        assert!(answer.0.len() <= usize::from(size.unwrap_or(512)));
    }
    // Several questions in one connection, one of them larger than any datagram.
    let all = [big(None), query("ns", RecordType::A, None), big(Some(4_096))];
    let answers = ask_by_tcp(&lab, client, server, &all);
    let counts: Vec<u16> = answers.iter().map(|one| one.counts()[0]).collect();
    assert_eq!(counts, [60, 1, 60]);
    assert!(answers.iter().all(|one| one.id() == ID && !one.is_truncated()));
    let queries = lab.dns().queries().unwrap();
    assert_eq!(queries[0].answer, DnsAnswer::Truncated);
    let transports: Vec<_> = queries.iter().map(|one| one.transport).collect();
    assert_eq!(transports[2..], [Transport::Udp, Transport::Tcp, Transport::Tcp, Transport::Tcp]);
}

#[netns_test]
fn what_does_not_exist_has_a_soa() {
    let (mut net, [client, _, ns]) = net();
    net.dns(ns).zone("example").record("www.example", Record::txt("x"));
    let lab = net.build().unwrap();
    let server = lab.plan().address_of(ns).unwrap();
    for (name, of, code) in [
        ("www.example", RecordType::A, 0),
        ("www.example", RecordType(65_400), 0),
        ("no.example", RecordType::A, 3),
        ("out.side", RecordType::AAAA, 3),
    ] {
        let answer = ask(&lab, client, server, name, of);
        assert_eq!((answer.code(), answer.counts()), (code, [0, 1, 0]), "{name} {of}");
        assert!(answer.is_authoritative() && answer.may_recurse());
    }
    let answer = ask(&lab, client, server, "example", RecordType::SOA);
    assert_eq!(answer.counts()[0], 1);
    assert_eq!(ask(&lab, client, server, "example", RecordType(252)).code(), 5);
}

#[netns_test]
fn a_server_that_has_several_addresses_answers_from_the_one_that_was_asked() {
    let (mut net, [client, _, ns]) = net();
    net.node(ns).addr("lo", "192.0.2.53/32").addr("lo", "2001:db8::53/128");
    net.dns(ns);
    let lab = net.build().unwrap();
    for server in ["192.0.2.53", "2001:db8::53", "10.0.0.3"] {
        let answer = ask(&lab, client, server.parse().unwrap(), "web", RecordType::A);
        assert_eq!(answer.counts()[0], 1, "{server}");
    }
    let queries = lab.dns().queries().unwrap();
    assert!(queries.iter().all(|one| one.node.as_deref() == Some("client")), "{queries:?}");
}

#[netns_test]
fn what_is_no_query_gets_an_error_or_nothing() {
    let (mut net, [client, _, ns]) = net();
    net.dns(ns);
    let lab = net.build().unwrap();
    let server = lab.plan().address_of(ns).unwrap();
    let ask = |bytes: &[u8], limit| -> Option<Answer> { send(&lab, client, server, bytes, limit) };
    let good = query("web", RecordType::A, None);
    let changed = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    let code = |bytes: &[u8]| ask(bytes, SOON).unwrap().code();
    assert_eq!(code(&changed(2, 0x28)), 4);
    assert_eq!(code(&changed(5, 9)), 1);
    assert_eq!(code(&good[..14]), 1);
    // A version of EDNS that does not exist: the code has 12 bits.
    let mut bytes = query("web", RecordType::A, Some(1_232));
    let at = bytes.len() - 5;
    bytes[at] = 1;
    let answer = ask(&bytes, SOON).unwrap();
    assert_eq!((answer.code(), answer.counts()), (0, [0, 0, 1]));
    assert_eq!(answer.0[answer.0.len() - 6], 1);
    // An answer is not answered, and the server goes on.
    assert!(ask(&changed(2, 0x81), Duration::from_millis(300)).is_none());
    assert!(ask(&[], Duration::from_millis(100)).is_none());
    assert_eq!(code(&good), 0);
}
