//! What a server knows. Pure.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::lab::dns::answer::{Answer, Code, Question, answer};
use crate::lab::dns::store::{Change, Store};
use crate::lab::plan::dns::record;
use crate::lab::topology::dns::record::{Record, RecordType};

use crate::lab::dns::tests::{ask, client, lines, net, store};

#[test]
fn nodes_have_addresses_and_names() {
    let store = store(
        &net(|net, [ns, ..]| {
            net.dns(ns);
        }),
        &[],
    );
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
    assert_eq!(
        lines(&ask(&child, "example.com", RecordType::NS)),
        [format!("example.com 60 NS {host}")]
    );
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
    assert_eq!(
        lines(&ask(&store(&net, &changes), "client", RecordType::A)),
        ["client 60 A 4.4.4.4"]
    );
}
