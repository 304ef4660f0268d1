//! Messages that are read and written. Pure.

use simple_dns::rdata::RData;
use simple_dns::{Packet, PacketFlag, RCODE};

use crate::lab::dns::answer::{Code, answer};
use crate::lab::dns::wire::{Parsed, parse};
use crate::lab::topology::Transport;
use crate::lab::topology::dns::record::{Record, RecordType};

use crate::lab::dns::tests::{client, net, parsed, query, store};

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
                assert!(
                    written.len() <= room && Packet::parse(&written).is_ok()
                        || query.question.record_type != RecordType::AAAA
                );
                written
            }
        };
        answered += 1;
        assert!(answer.len() >= 12, "{bytes:?}");
        assert_eq!((&answer[..2], answer[2] & 0x80), (&bytes[..2], 0x80), "{bytes:?}");
    }
    assert!(answered > 50_000);
}
