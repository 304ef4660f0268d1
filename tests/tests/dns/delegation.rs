//! Zones that other servers have: the C library and a client with messages of its own ask for them.

use netns_test::lab::{DnsAnswer, DnsFault, Record, RecordType};
use netns_test::{Lab, NodeId, Topology, netns_test};

use crate::client::{SOON, ask, found, query, send};

/// A client and its server `top`, which delegates `example.com` to `ns`, and that `sub.example.com`
/// to `deep`. Each is behind a router of its own.
fn net() -> (Topology, [NodeId; 4]) {
    let mut net = Topology::new();
    let nodes = ["client", "top", "ns", "deep"].map(|name| net.host(name));
    let core = net.router("core");
    for node in nodes {
        net.link(node, core);
    }
    let [_, top, ns, deep] = nodes;
    net.dns(top).zone("com").delegate("example.com", ns);
    net.dns(ns)
        .used_by([])
        .authoritative_only()
        .zone("example.com")
        .record("www.example.com", Record::address([192, 0, 2, 1]))
        .record("node.example.com", Record::cname("client"))
        .record("down.example.com", Record::cname("a.sub.example.com"))
        .record("loop.example.com", Record::cname("loop.example.com"))
        .record("txt.example.com", Record::txt("far"))
        .delegate("sub.example.com", deep);
    net.dns(deep)
        .used_by([])
        .authoritative_only()
        .zone("sub.example.com")
        .record("a.sub.example.com", Record::address([192, 0, 2, 2]));
    (net, nodes)
}

fn build() -> (Lab, [NodeId; 4]) {
    let (net, nodes) = net();
    (net.build().unwrap(), nodes)
}

#[netns_test]
fn the_server_of_a_client_asks_the_others() {
    let (lab, [client, top, ns, deep]) = build();
    assert_eq!(found(&lab, client, "www.example.com"), ["192.0.2.1"]);
    assert_eq!(found(&lab, client, "a.sub.example.com"), ["192.0.2.2"]);
    assert_eq!(found(&lab, client, "down.example.com"), ["192.0.2.2"]);
    // An alias that leads back.
    assert_eq!(found(&lab, client, "node.example.com"), found(&lab, client, "client"));
    assert!(found(&lab, client, "no.example.com").is_empty());
    assert!(found(&lab, client, "loop.example.com").is_empty());
    let server = lab.plan().address_of(top).unwrap();
    let answer = ask(&lab, client, server, "txt.example.com", RecordType::TXT);
    assert_eq!((answer.code(), answer.counts()[0]), (0, 1));
    assert!(answer.0.ends_with(b"\x03far") && !answer.is_authoritative());
    let answer = ask(&lab, client, server, "txt.example.com", RecordType(65_400));
    assert_eq!((answer.code(), answer.counts()), (0, [0, 1, 0]));
    // The others were asked by the server, without the wish for recursion.
    for node in [ns, deep] {
        let queries = lab[node].dns().queries().unwrap();
        assert!(!queries.is_empty());
        assert!(queries.iter().all(|one| one.node.as_deref() == Some("top")), "{queries:?}");
    }
    let queries = lab[ns].dns().queries().unwrap();
    assert!(queries.iter().any(|one| one.answer == DnsAnswer::Referral));
}

#[netns_test]
fn a_client_that_asks_itself_gets_referrals_with_glue() {
    let (lab, [client, top, ns, deep]) = build();
    let mut server = lab.plan().address_of(top).unwrap();
    let mut bytes = query("a.sub.example.com", RecordType::A, None);
    // Without RD.
    bytes[2] = 0;
    for next in [ns, deep] {
        let answer = send(&lab, client, server, &bytes, SOON).unwrap();
        assert_eq!((answer.code(), answer.counts()[..2].to_vec()), (0, vec![0, 1]));
        assert!(!answer.is_authoritative() && answer.counts()[2] > 0);
        server = lab.plan().address_of(next).unwrap();
        let std::net::IpAddr::V4(address) = server else { panic!() };
        let octets = address.octets();
        assert!(answer.0.windows(4).any(|part| part == octets), "the glue is the server's");
    }
    let answer = send(&lab, client, server, &bytes, SOON).unwrap();
    assert_eq!((answer.is_authoritative(), answer.counts()[0]), (true, 1));
}

#[netns_test]
fn what_is_wrong_on_the_way_is_wrong_for_the_client() {
    let (lab, [client, top, ns, _]) = build();
    let server = lab.plan().address_of(top).unwrap();
    let code = || ask(&lab, client, server, "www.example.com", RecordType::A).code();
    for fault in [DnsFault::lame(), DnsFault::refused(), DnsFault::servfail()] {
        let _fault = lab[ns].dns().fault("*", fault).unwrap();
        assert_eq!(code(), 2);
    }
    {
        let _fault = lab[ns].dns().fault("*", DnsFault::wrong_id().times(1)).unwrap();
        // The second attempt has the right id.
        assert_eq!(code(), 0);
    }
    lab.power_off(ns).unwrap();
    assert_eq!(code(), 2);
    lab.power_on(ns).unwrap();
    assert_eq!(code(), 0);
    lab[ns].dns().set("www.example.com", Record::address([192, 0, 2, 9])).unwrap();
    assert_eq!(found(&lab, client, "www.example.com"), ["192.0.2.9"]);
    let error = lab[ns].dns().set("a.org", Record::txt("x")).unwrap_err().to_string();
    assert!(error.contains("no zone of the servers has the name"), "{error}");
}
