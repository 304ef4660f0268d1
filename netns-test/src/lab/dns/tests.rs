//! Answers to questions, without sockets. Pure.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use simple_dns::rdata::RData;
use simple_dns::{Name, Packet, PacketFlag, QCLASS, QTYPE, Question as Asked, RCODE, TYPE};

use crate::lab::dns::answer::{Answer, Code, Question, answer};
use crate::lab::dns::store::{Change, Client, Store};
use crate::lab::dns::wire::{Parsed, Query, parse};
use crate::lab::plan::dns::record;
use crate::lab::topology::dns::record::{Record, RecordType};
use crate::lab::topology::{Topology, Transport};

/// A name server, and two clients of it: positions 0, 1 and 2.
fn net(declare: impl FnOnce(&mut Topology, [crate::NodeId; 3])) -> Topology {
    let mut net = Topology::new();
    let nodes = ["ns", "client", "web.example"].map(|name| net.host(name));
    let switch = net.switch("switch");
    for node in nodes {
        net.link(node, switch);
    }
    declare(&mut net, nodes);
    net
}

fn store(net: &Topology, changes: &[Change]) -> Store {
    let plan = net.plan().unwrap();
    Store::new(&Arc::new(plan.dns.clone()), 0, changes)
}

fn client(at: usize) -> Client {
    Client { node: Some(at), address: IpAddr::from([10, 0, 0, at as u8 + 1]) }
}

fn ask(store: &Store, name: &str, record_type: RecordType) -> Answer {
    let question = Question { name: name.to_owned(), record_type };
    answer(store, &question, client(1))
}

/// Returns the answers as `name TYPE data`.
fn lines(answer: &Answer) -> Vec<String> {
    let line = |one: &crate::lab::dns::answer::Line| {
        format!("{} {} {}", one.name, one.ttl, crate::lab::dns::model::data_text(&one.data))
    };
    answer.answers.iter().map(line).collect()
}

fn query(name: &str, number: u16, size: Option<u16>) -> Vec<u8> {
    let mut packet = Packet::new_query(0xBEEF);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let name = Name::new(name).unwrap();
    let asked = match number {
        255 => QTYPE::ANY,
        number => QTYPE::TYPE(TYPE::from(number)),
    };
    packet.questions.push(Asked::new(name, asked, QCLASS::CLASS(simple_dns::CLASS::IN), false));
    let mut bytes = packet.build_bytes_vec().unwrap();
    if let Some(size) = size {
        bytes[11] += 1;
        bytes.extend([0, 0, 41]);
        bytes.extend(size.to_be_bytes());
        // The flag DO, which is for signatures.
        bytes.extend([0, 0, 0x80, 0, 0, 0]);
    }
    bytes
}

fn parsed(bytes: &[u8]) -> Query {
    match parse(bytes) {
        Parsed::Query(query) => query,
        other => panic!("{other:?}"),
    }
}

#[test]
fn nodes_have_addresses_and_names() {
    let store = store(&net(|net, [ns, ..]| drop(net.dns(ns))), &[]);
    let found = ask(&store, "web.example", RecordType::A);
    assert!(found.is_authoritative && found.code == Code::NoError);
    assert_eq!(lines(&found), ["web.example 60 A 10.0.0.3"]);
    let found = ask(&store, "web.example", RecordType::AAAA);
    assert_eq!(lines(&found), ["web.example 60 AAAA fd6e:6574:6e73::3"]);
    let found = ask(&store, "3.0.0.10.in-addr.arpa", RecordType::PTR);
    assert_eq!(lines(&found), ["3.0.0.10.in-addr.arpa 60 PTR web.example"]);
    // An empty name between others exists.
    let found = ask(&store, "example", RecordType::A);
    assert_eq!((found.code, found.answers.len(), found.authority.len()), (Code::NoError, 0, 1));
    let found = ask(&store, "localhost", RecordType::A);
    assert_eq!(lines(&found), ["localhost 60 A 127.0.0.1"]);
}

#[test]
fn what_is_not_there_has_a_soa_and_says_how() {
    let store = store(
        &net(|net, [ns, ..]| {
            net.dns(ns)
                .zone("example.com")
                .record("www.example.com", Record::address([192, 0, 2, 7]))
                .negative_ttl(Duration::from_secs(9));
        }),
        &[],
    );
    let soa = |answer: &Answer| (answer.authority[0].name.clone(), answer.authority[0].ttl);
    let found = ask(&store, "www.example.com", RecordType::AAAA);
    assert_eq!((found.code, found.answers.len()), (Code::NoError, 0));
    assert_eq!(soa(&found), ("example.com".to_owned(), 9));
    let found = ask(&store, "www.example.com", RecordType(65_400));
    assert_eq!((found.code, soa(&found).1), (Code::NoError, 9));
    let found = ask(&store, "no.example.com", RecordType::A);
    assert_eq!((found.code, found.outside.is_none()), (Code::NxDomain, true));
    assert_eq!(soa(&found), ("example.com".to_owned(), 9));
    let found = ask(&store, "example.org", RecordType::A);
    assert_eq!((found.code, found.outside.as_deref()), (Code::NxDomain, Some("example.org")));
    assert_eq!(soa(&found), (String::new(), 9));
    let found = ask(&store, "example.com", RecordType::NS);
    assert_eq!(lines(&found), ["example.com 60 NS ns.example.com"]);
    assert_eq!(found.additional.len(), 2);
    assert_eq!(ask(&store, "example.com", RecordType(252)).code, Code::Refused);
}

#[test]
fn aliases_are_followed_and_loops_end() {
    let store = store(
        &net(|net, [ns, _, web]| {
            net.dns(ns)
                .record("a.test", Record::cname("b.test").ttl(Duration::from_secs(5)))
                .record("b.test", Record::cname("web.example."))
                .record("loop.test", Record::cname("pool.test"))
                .record("pool.test", Record::cname("loop.test"))
                .record("out.test", Record::cname("no.where"))
                .record("host.test", Record::node(web));
        }),
        &[],
    );
    let found = ask(&store, "a.test", RecordType::A);
    let expected =
        ["a.test 5 CNAME b.test", "b.test 60 CNAME web.example", "web.example 60 A 10.0.0.3"];
    assert_eq!(lines(&found), expected);
    assert_eq!(lines(&ask(&store, "a.test", RecordType::CNAME)), expected[..1]);
    assert_eq!(ask(&store, "loop.test", RecordType::A).answers.len(), 2);
    let found = ask(&store, "out.test", RecordType::A);
    assert_eq!((found.code, found.answers.len()), (Code::NxDomain, 1));
    assert_eq!(lines(&ask(&store, "host.test", RecordType::A)), ["host.test 60 A 10.0.0.3"]);
}

#[test]
fn wildcards_are_those_of_rfc_4592() {
    let store = store(
        &net(|net, [ns, ..]| {
            net.dns(ns)
                .record("*.example.com", Record::address([1, 1, 1, 1]))
                .record("*.example.com", Record::mx(10, "mail.example.com"))
                .record("a.b.example.com", Record::txt("x"));
        }),
        &[],
    );
    let codes = |name: &str, of| {
        let found = ask(&store, name, of);
        (found.code, found.answers.len())
    };
    assert_eq!(codes("x.example.com", RecordType::A), (Code::NoError, 1));
    assert_eq!(codes("x.y.example.com", RecordType::MX), (Code::NoError, 1));
    assert_eq!(codes("x.example.com", RecordType::TXT), (Code::NoError, 0));
    // These names exist, and what is below them has no wildcard.
    assert_eq!(codes("a.b.example.com", RecordType::A), (Code::NoError, 0));
    assert_eq!(codes("b.example.com", RecordType::A), (Code::NoError, 0));
    assert_eq!(codes("x.b.example.com", RecordType::A), (Code::NxDomain, 0));
    let found = ask(&store, "x.example.com", RecordType::A);
    assert_eq!(lines(&found), ["x.example.com 60 A 1.1.1.1"]);
}

#[test]
fn views_replace_what_all_see() {
    let store = store(
        &net(|net, [ns, client, web]| {
            net.dns(ns)
                .record("db", Record::address([1, 1, 1, 1]))
                .record("db", Record::txt("all"))
                .record("db", Record::address([2, 2, 2, 2]).only_for(client))
                .record("in", Record::address([3, 3, 3, 3]).only_for("10.0.0.2/32"))
                .record("alias", Record::cname("db").only_for(web))
                .record("alias", Record::address([4, 4, 4, 4]))
                .record("web.example", Record::address([5, 5, 5, 5]));
        }),
        &[],
    );
    let of = |name: &str, at: usize| {
        let question = Question { name: name.to_owned(), record_type: RecordType::A };
        lines(&answer(&store, &question, client(at)))
    };
    assert_eq!(of("db", 1), ["db 60 A 2.2.2.2"]);
    assert_eq!(of("db", 2), ["db 60 A 1.1.1.1"]);
    assert_eq!(lines(&ask(&store, "db", RecordType::TXT)), ["db 60 TXT \"all\""]);
    assert_eq!(of("in", 1).len(), 1);
    assert!(of("in", 2).is_empty());
    let question = Question { name: "in".to_owned(), record_type: RecordType::A };
    assert_eq!(answer(&store, &question, client(2)).code, Code::NxDomain);
    assert_eq!(of("alias", 2), ["alias 60 CNAME db", "db 60 A 1.1.1.1"]);
    assert_eq!(of("alias", 1), ["alias 60 A 4.4.4.4"]);
    assert_eq!(of("web.example", 1), ["web.example 60 A 5.5.5.5"]);
}

#[test]
fn a_delegated_zone_is_referred_to_its_server() {
    let net = net(|net, [ns, _, web]| {
        net.dns(ns)
            .zone("com")
            .delegate("example.com", web)
            .record("alias.com", Record::cname("www.example.com"));
        net.dns(web)
            .zone("example.com")
            .record("www.example.com", Record::address([192, 0, 2, 7]))
            .authoritative_only();
    });
    let parent = store(&net, &[]);
    let found = ask(&parent, "www.example.com", RecordType::A);
    assert!(!found.is_authoritative && found.answers.is_empty() && found.code == Code::NoError);
    assert_eq!(found.authority[0].name, "example.com");
    let host = "web.example.example.com";
    assert!(found.additional.iter().all(|line| line.name == host) && !found.additional.is_empty());
    let referral = found.referral.unwrap();
    assert_eq!(referral.name, "www.example.com");
    assert_eq!(referral.servers[0], IpAddr::from([10, 0, 0, 3]));
    let found = ask(&parent, "alias.com", RecordType::A);
    assert_eq!((found.answers.len(), found.referral.unwrap().name), (1, "www.example.com".into()));
    let plan = net.plan().unwrap();
    let child = Store::new(&Arc::new(plan.dns.clone()), 1, &[]);
    let found = ask(&child, "www.example.com", RecordType::A);
    assert!(found.is_authoritative && lines(&found) == ["www.example.com 60 A 192.0.2.7"]);
    assert_eq!(lines(&ask(&child, "example.com", RecordType::NS)), [format!("example.com 60 NS {host}")]);
    for name in ["client", "example.org", "com"] {
        assert_eq!(ask(&child, name, RecordType::A).code, Code::Refused, "{name}");
    }
}

#[test]
fn changes_set_add_and_remove() {
    let net = net(|net, [ns, ..]| {
        net.dns(ns)
            .record("www.test", Record::address([1, 1, 1, 1]))
            .record("www.test", Record::txt("kept"));
    });
    let of = |name: &str, record: Record| record::record(name, &record, &net.ids).unwrap();
    let mut changes = vec![Change::Set(of("www.test", Record::address([2, 2, 2, 2])))];
    let a = |changes: &[Change]| lines(&ask(&store(&net, changes), "www.test", RecordType::A));
    assert_eq!(a(&changes), ["www.test 60 A 2.2.2.2"]);
    changes.push(Change::Add(of("www.test", Record::address([3, 3, 3, 3]))));
    assert_eq!(a(&changes).len(), 2);
    changes.push(Change::Remove("www.test".to_owned(), Some(RecordType::A)));
    assert!(a(&changes).is_empty());
    let found = ask(&store(&net, &changes), "www.test", RecordType::TXT);
    assert_eq!(found.answers.len(), 1);
    changes.push(Change::Remove("client".to_owned(), None));
    assert_eq!(ask(&store(&net, &changes), "client", RecordType::A).code, Code::NxDomain);
    changes.push(Change::Set(of("client", Record::address([4, 4, 4, 4]))));
    assert_eq!(lines(&ask(&store(&net, &changes), "client", RecordType::A)), ["client 60 A 4.4.4.4"]);
}

#[test]
fn the_size_of_an_answer_is_what_the_client_takes() {
    let net = net(|net, [ns, ..]| {
        let mut dns = net.dns(ns);
        for number in 0..100 {
            dns = dns.record("big.test", Record::address([10, 9, 0, number]));
        }
        dns.record("mail.test", Record::mx(1, "big.test"));
    });
    let store = store(&net, &[]);
    for (name, number, size, transport, is_truncated, records) in [
        ("big.test", 1, None, Transport::Udp, true, 0),
        ("big.test", 1, Some(512), Transport::Udp, true, 0),
        ("big.test", 1, Some(1_232), Transport::Udp, true, 0),
        ("big.test", 1, Some(4_096), Transport::Udp, false, 100),
        ("big.test", 1, None, Transport::Tcp, false, 100),
        // Additional records are left out first.
        ("mail.test", 15, None, Transport::Udp, false, 1),
        ("mail.test", 15, Some(4_096), Transport::Udp, false, 101),
    ] {
        let query = parsed(&query(name, number, size));
        let found = answer(&store, &query.question, client(1));
        let room = query.room(transport);
        let written = query.write(&found, true, room);
        assert_eq!(written.is_truncated, is_truncated, "{name} {size:?} {transport}");
        assert!(written.bytes.len() <= room);
        let packet = Packet::parse(&written.bytes).unwrap();
        assert_eq!(packet.has_flags(PacketFlag::TRUNCATION), is_truncated);
        assert_eq!(packet.answers.len() + packet.additional_records.len(), records);
        assert_eq!(packet.opt().is_some(), size.is_some());
        assert_eq!(packet.id(), 0xBEEF);
    }
}

#[test]
fn an_answer_has_the_case_of_the_question_and_all_kinds_of_data() {
    let net = net(|net, [ns, ..]| {
        net.dns(ns)
            .record("_sip._udp.test", Record::srv(1, 2, 5060, "web.example"))
            .record("t.test", Record::txt_strings(["a", ""]))
            .record("t.test", Record::other(RecordType(65_400), [1, 2, 3]))
            .record("t.test", Record::other(RecordType(65_401), []))
            .record("t.test", Record::mx(0, "."));
    });
    let store = store(&net, &[]);
    let of = |name: &str, number: u16| {
        let query = parsed(&query(name, number, None));
        query.write(&answer(&store, &query.question, client(1)), true, 512).bytes
    };
    let bytes = of("WEB.eXample", 1);
    let packet = Packet::parse(&bytes).unwrap();
    assert_eq!(packet.questions[0].qname.to_string(), "WEB.eXample");
    assert_eq!(packet.answers[0].name.to_string(), "WEB.eXample");
    // A question, and a record whose name is two bytes.
    assert_eq!(bytes.len(), 12 + 13 + 4 + 2 + 10 + 4);
    let bytes = of("_sip._udp.test", 33);
    let packet = Packet::parse(&bytes).unwrap();
    assert_eq!(packet.additional_records.len(), 2);
    let RData::SRV(srv) = &packet.answers[0].rdata else { panic!() };
    assert_eq!((srv.port, srv.target.to_string()), (5060, "web.example".to_owned()));
    // An unknown type, which the reader of the crate refuses in a question.
    let bytes = of("t.test", 65_400);
    assert_eq!(bytes[6..8], [0, 1]);
    assert!(bytes.ends_with(&[0, 3, 1, 2, 3]));
    assert!(of("t.test", 65_401).ends_with(&[0, 60, 0, 0]));
    let bytes = of("t.test", 255);
    let packet = Packet::parse(&bytes).unwrap();
    assert_eq!((packet.answers.len(), packet.rcode()), (4, RCODE::NoError));
}

#[test]
fn messages_that_are_no_queries() {
    let good = query("a.test", 1, None);
    let changed = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    let code = |bytes: &[u8]| match parse(bytes) {
        Parsed::Bad(answer, code) => {
            assert_eq!((&answer[..2], answer[2] & 0x80), (&bytes[..2], 0x80));
            Some(code)
        }
        _ => None,
    };
    assert_eq!(code(&changed(2, 0x28)), Some(Code::NotImp));
    assert_eq!(code(&changed(5, 2)), Some(Code::FormErr));
    assert_eq!(code(&changed(5, 0)), Some(Code::FormErr));
    assert_eq!(code(&changed(12, 0xC0)), Some(Code::FormErr));
    assert_eq!(code(&changed(12, 60)), Some(Code::FormErr));
    assert_eq!(code(&changed(good.len() - 1, 3)), Some(Code::Refused));
    assert_eq!(code(&changed(11, 1)), Some(Code::FormErr));
    assert!(matches!(parse(&changed(2, 0x80)), Parsed::Nothing));
    assert!(matches!(parse(&good[..11]), Parsed::Nothing));
    // The reserved bit means nothing.
    assert_eq!(parsed(&changed(3, 0x40)).question.name, "a.test");
    let dotted = [&good[..12], b"\x03a.b\x00\x00\x01\x00\x01"].concat();
    assert_eq!(parsed(&dotted).question.name, "a\\046b");
}

#[test]
fn any_bytes_are_read_without_a_panic_and_answered_with_their_id() {
    let store = store(
        &net(|net, [ns, ..]| {
            net.dns(ns).record("*.test", Record::cname("a.b.test")).zone("test");
        }),
        &[],
    );
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let good = query("x.test", 28, Some(900));
    let mut answered = 0;
    for round in 0..200_000_u32 {
        let mut bytes = good.clone();
        match round % 3 {
            0 => {
                for _ in 0..=random() % 6 {
                    let at = random() as usize % bytes.len();
                    bytes[at] = random() as u8;
                }
            }
            1 => bytes.truncate(random() as usize % (good.len() + 1)),
            _ => {
                bytes = (0..random() % 80).map(|_| random() as u8).collect();
                if bytes.len() > 6 {
                    bytes[2..6].copy_from_slice(&[1, 0, 0, 1]);
                }
            }
        }
        let answer = match parse(&bytes) {
            Parsed::Nothing => continue,
            Parsed::Bad(answer, _) => answer,
            Parsed::Query(query) => {
                let found = answer(&store, &query.question, client(1));
                let room = query.room(Transport::Udp);
                let written = query.write(&found, true, room).bytes;
                assert!(written.len() <= room && Packet::parse(&written).is_ok() || query.question.record_type != RecordType::AAAA);
                written
            }
        };
        answered += 1;
        assert!(answer.len() >= 12, "{bytes:?}");
        assert_eq!((&answer[..2], answer[2] & 0x80), (&bytes[..2], 0x80), "{bytes:?}");
    }
    assert!(answered > 50_000);
}
