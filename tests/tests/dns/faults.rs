//! Faults of name servers, live changes of records, and the list of who has asked.

use std::time::{Duration, Instant};

use netns_test::lab::{DnsAnswer, DnsFault, Record, RecordType, Transport};
use netns_test::netns_test;

use crate::client::{ID, SOON, ask, ask_by_tcp, found, query, send};
use crate::lookups::net;

const SHORT: Duration = Duration::from_millis(300);

#[netns_test]
fn each_fault_is_seen_by_a_client_and_ends_with_its_guard() {
    let (mut net, [client, web, ns]) = net();
    net.dns(ns).record("api.example", Record::address([192, 0, 2, 1]));
    let lab = net.build().unwrap();
    let server = lab.plan().address_of(ns).unwrap();
    let bytes = query("api.example", RecordType::A, None);
    let by_udp = |limit| send(&lab, client, server, &bytes, limit);
    let with = |fault: DnsFault, limit| {
        let guard = lab.dns().fault("api.example", fault).unwrap();
        let answer = by_udp(limit);
        assert_eq!(guard.hits(), 1);
        // Other names have no fault.
        assert_eq!(ask(&lab, web, server, "web", RecordType::A).counts()[0], 1);
        answer
    };
    for (fault, code) in
        [(DnsFault::servfail(), 2), (DnsFault::nxdomain(), 3), (DnsFault::refused(), 5)]
    {
        let answer = with(fault, SOON).unwrap();
        assert_eq!((answer.code(), answer.counts()[0], answer.id()), (code, 0, ID));
    }
    assert_eq!(with(DnsFault::nxdomain(), SOON).unwrap().counts(), [0, 1, 0]);
    assert!(with(DnsFault::no_answer(), SHORT).is_none());
    let answer = with(DnsFault::truncated(), SOON).unwrap();
    assert!(answer.is_truncated() && answer.counts()[0] == 0);
    let answer = with(DnsFault::wrong_id(), SOON).unwrap();
    assert_eq!((answer.id(), answer.counts()[0]), (ID.wrapping_add(1), 1));
    let answer = with(DnsFault::lame(), SOON).unwrap();
    assert_eq!((answer.code(), answer.counts()), (0, [0, 1, 0]));
    assert!(!answer.is_authoritative());
    let start = Instant::now();
    let delay = Duration::from_millis(250);
    assert_eq!(with(DnsFault::slow(delay), SOON).unwrap().counts()[0], 1);
    assert!(start.elapsed() >= delay);
    assert_eq!(by_udp(SOON).unwrap().counts()[0], 1);
    let queries = lab.dns().queries().unwrap();
    let faults = queries.iter().filter(|one| one.is_fault).count();
    assert_eq!(faults, 9);
    assert!(queries.iter().any(|one| one.answer == DnsAnswer::Nothing));
}

#[netns_test]
fn a_fault_is_for_a_count_a_type_a_transport_or_a_client() {
    let (mut net, [client, web, ns]) = net();
    net.dns(ns)
        .record("a.example", Record::address([192, 0, 2, 1]))
        .record("b.example", Record::address([192, 0, 2, 2]))
        .fault("b.example", DnsFault::refused().times(1));
    let lab = net.build().unwrap();
    let server = lab.plan().address_of(ns).unwrap();
    let code = |node, name: &str, of| ask(&lab, node, server, name, of).code();
    // Declared, once.
    let codes = [0, 1].map(|_| code(client, "b.example", RecordType::A));
    assert_eq!(codes, [5, 0]);
    let two = lab.dns().fault("*.example", DnsFault::servfail().times(2)).unwrap();
    let codes = [0, 1, 2].map(|_| code(client, "a.example", RecordType::A));
    assert_eq!((codes, two.hits()), ([2, 2, 0], 2));
    let fault = DnsFault::servfail().of_type(RecordType::AAAA).only_for(client);
    let of_type = lab.dns().fault("*", fault).unwrap();
    assert_eq!(code(client, "a.example", RecordType::AAAA), 2);
    assert_eq!(code(client, "a.example", RecordType::A), 0);
    assert_eq!(code(web, "a.example", RecordType::AAAA), 0);
    drop(of_type);
    lab[ns].dns().fault("a.example", DnsFault::refused().over(Transport::Udp)).unwrap().keep();
    assert_eq!(code(client, "a.example", RecordType::A), 5);
    let bytes = query("a.example", RecordType::A, None);
    assert_eq!(ask_by_tcp(&lab, client, server, &[bytes])[0].code(), 0);
    // The C library tries the address of the other family alone, and finds nothing.
    assert!(found(&lab, client, "a.example").is_empty());
    let error = lab.dns().fault("a..b", DnsFault::refused()).unwrap_err().to_string();
    assert!(error.contains("empty label"), "{error}");
    let error = lab[web].dns().queries().unwrap_err().to_string();
    assert!(error.contains("the queries of web: it has no name server"), "{error}");
}

#[netns_test]
fn slow_answers_by_tcp_come_in_one_connection() {
    let (mut net, [client, _, ns]) = net();
    net.dns(ns);
    let lab = net.build().unwrap();
    let server = lab.plan().address_of(ns).unwrap();
    let delay = Duration::from_millis(200);
    let _slow = lab.dns().fault("web", DnsFault::slow(delay)).unwrap();
    let start = Instant::now();
    let all = [query("web", RecordType::A, None), query("client", RecordType::AAAA, None)];
    let answers = ask_by_tcp(&lab, client, server, &all);
    assert!(start.elapsed() >= delay);
    // That of the second one, which is not slow, comes first.
    assert_eq!(answers[0].0[13..19], *b"client");
    assert_eq!(answers[1].counts()[0], 1);
}

#[netns_test]
fn records_change_while_the_lab_runs() {
    let (mut net, [client, web, ns]) = net();
    net.dns(ns).record("a.example", Record::address([192, 0, 2, 1]));
    let lab = net.build().unwrap();
    let dns = lab.dns();
    assert!(found(&lab, client, "new.example").is_empty());
    dns.set("new.example", Record::address([192, 0, 2, 9])).unwrap();
    assert_eq!(found(&lab, client, "new.example"), ["192.0.2.9"]);
    dns.set("a.example", Record::address([192, 0, 2, 2])).unwrap();
    assert_eq!(found(&lab, client, "a.example"), ["192.0.2.2"]);
    dns.add("a.example", Record::address([192, 0, 2, 3])).unwrap();
    assert_eq!(found(&lab, client, "a.example").len(), 2);
    dns.set("a.example", Record::address([192, 0, 2, 4]).only_for(web)).unwrap();
    assert_eq!(found(&lab, web, "a.example"), ["192.0.2.4"]);
    dns.remove("a.example").unwrap();
    assert!(found(&lab, client, "a.example").is_empty());
    dns.set("a.example", Record::cname("web")).unwrap();
    assert_eq!(found(&lab, client, "a.example"), found(&lab, client, "web"));
    let error = dns.add("a.example", Record::txt("x")).unwrap_err().to_string();
    assert!(error.contains("CNAME and another record"), "{error}");
    dns.remove_type("web", RecordType::AAAA).unwrap();
    assert!(found(&lab, client, "web").iter().all(|one| one.contains('.')));
    dns.remove("web").unwrap();
    assert!(found(&lab, client, "web").is_empty());
    let error = dns.set("x", Record::node(netns_test::Topology::new().host("y"))).unwrap_err();
    assert!(error.to_string().contains("another topology"), "{error}");
}

#[netns_test]
fn a_query_has_a_text() {
    let (mut net, [client, _, ns]) = net();
    net.dns(ns);
    let lab = net.build().unwrap();
    let server = lab.plan().address_of(ns).unwrap();
    let _fault = lab.dns().fault("api", DnsFault::servfail()).unwrap();
    ask(&lab, client, server, "web", RecordType::A);
    ask(&lab, client, server, "api", RecordType::AAAA);
    let texts: Vec<String> = lab.dns().queries().unwrap().iter().map(ToString::to_string).collect();
    assert!(texts[0].starts_with("client 10.0.0.1:"), "{texts:?}");
    assert!(texts[0].ends_with(" asked ns for web A by udp: A 10.0.0.2"), "{texts:?}");
    assert!(texts[1].ends_with(" asked ns for api AAAA by udp: SERVFAIL (fault)"), "{texts:?}");
}
