//! Declarations of name servers that the plan refuses, and what it says of the others.

use std::time::Duration;

use netns_test::Topology;
use netns_test::lab::{DnsFault, DnsSpec, Record, RecordType, TopologyError};

use crate::lookups::net;

/// Returns the text of the only mistake of a server.
fn mistake(declare: impl FnOnce(DnsSpec<'_>) -> DnsSpec<'_>) -> String {
    let (mut net, [_, _, ns]) = net();
    declare(net.dns(ns));
    let errors = net.plan().unwrap_err();
    assert_eq!(errors.as_slice().len(), 1, "{errors}");
    errors.as_slice()[0].to_string()
}

#[test]
fn each_mistake_names_its_record_and_says_what_to_do() {
    let a = || Record::address([192, 0, 2, 1]);
    let long = "a".repeat(64);
    let longest = ["a23456789"; 30].join(".");
    let record = |name: &str, record: Record| {
        let name = name.to_owned();
        mistake(move |dns| dns.record(name, record))
    };
    for (text, part) in [
        (record("a..b", a()), "record of `a..b` at the name server of `ns`: it has an empty label"),
        (record(&long, a()), "a label of it is longer than 63 bytes"),
        (record(&longest, a()), "it is longer than 253 bytes"),
        (record("", a()), "it is empty"),
        (record(".", a()), "the root has no records of its own"),
        (record("a.*", a()), "whole first label only"),
        (record("a b", a()), "white space"),
        (record("a", Record::cname("b..c")), "the name `b..c`: it has an empty label"),
        (record("a", a().ttl(Duration::from_secs(1 << 31))), "from 0 to 2147483647"),
        (record("a", a().ttl(Duration::from_millis(1_500))), "whole seconds"),
        (record("a", Record::txt_strings(["x".repeat(256)])), "a string of 256 bytes"),
        (record("a", Record::txt_strings([""; 0])), "a TXT without a string"),
        (record("a", Record::txt("x".repeat(70_000))), "at most 65000 fit"),
        (record("a", Record::other(RecordType::ANY, [1])), "ANY is no type of data"),
        (record("a", Record::other(RecordType::CNAME, [1])), "use `cname`"),
        (record("a", a().only_for("10.0.0.1/24")), "10.0.0.1/24"),
        (
            mistake(|dns| dns.record("a", a()).record("A.", Record::cname("b"))),
            "a CNAME and another record",
        ),
        (
            mistake(|dns| dns.record("a", Record::cname("c")).record("a", Record::cname("b"))),
            "a CNAME and another record",
        ),
        (mistake(|dns| dns.zone("a").record("a", Record::cname("b"))), "a zone begins there"),
        (mistake(|dns| dns.zone("*.a")), "zone `*.a` of the name server of `ns`"),
        (mistake(|dns| dns.search("a").authoritative_only()), "without a zone"),
        (
            mistake(|dns| dns.zone("a").authoritative_only().record("b", a())),
            "no zone of the server has the name",
        ),
        (mistake(|dns| dns.negative_ttl(Duration::MAX)), "negative_ttl of the name server"),
        (mistake(|dns| dns.fault("*", DnsFault::refused().times(0))), "it applies 0 times"),
        (mistake(|dns| dns.search("a..b")), "search domain `a..b`"),
    ] {
        assert!(text.contains(part), "{text}\nlacks {part}");
    }
}

#[test]
fn nodes_that_cannot_be_servers_are_mistakes() {
    let foreign = Topology::new().host("foreign");
    let (mut net, [_, _, ns]) = net();
    net.dns(foreign);
    net.dns(ns)
        .record("a", Record::node(foreign))
        .record("b", Record::address([1, 1, 1, 1]).only_for(foreign))
        .delegate("c", foreign)
        .used_by([foreign]);
    let errors = net.plan().unwrap_err();
    assert!(errors.as_slice().len() >= 4, "{errors}");
    let (mut net, _) = crate::lookups::net();
    let (switch, lonely) = (net.switch("bridge"), net.host("lonely"));
    net.dns(switch);
    net.dns(lonely);
    let errors = net.plan().unwrap_err();
    assert!(matches!(errors.as_slice()[0], TopologyError::OnSwitch { .. }), "{errors}");
    assert!(errors.as_slice()[1].to_string().contains("the node has no address"), "{errors}");
    let (mut net, nodes) = crate::lookups::net();
    let more = net.host("more");
    net.link(more, nodes[0]);
    for node in nodes.into_iter().chain([more]) {
        net.dns(node).used_by([nodes[0]]);
    }
    let errors = net.plan().unwrap_err();
    assert!(errors.to_string().contains("name servers of `client`: it uses 4"), "{errors}");
}

#[test]
fn topologies_with_the_same_servers_are_equal_and_have_a_text() {
    let declare = || {
        let (mut net, [client, web, ns]) = net();
        net.dns(ns)
            .zone("example.com")
            .record("www.example.com", Record::node(web))
            .record("in.example.com", Record::txt("x").only_for(client))
            .fault("*.example.com", DnsFault::refused().only_for(client));
        (net, ns)
    };
    let ((one, _), (mut two, ns)) = (declare(), declare());
    assert_eq!(one, two);
    assert_eq!(one.plan().unwrap(), two.plan().unwrap());
    two.dns(ns).record("x", Record::txt("y"));
    assert_ne!(one, two);
    assert_ne!(one.plan().unwrap(), two.plan().unwrap());
    let text = one.to_string();
    for line in ["zone example.com", "www.example.com at ns", "addresses of node 1", "REFUSED"] {
        assert!(text.contains(line), "{text}");
    }
}

#[test]
fn each_node_uses_the_servers_that_name_it_or_the_first() {
    let (mut net, [client, web, ns]) = net();
    net.dns(ns);
    net.dns(web).used_by([client]);
    net.dns_everywhere().used_by([]);
    let plan = net.plan().unwrap();
    assert_eq!(plan.resolv_conf(client), "nameserver 10.0.0.2\n");
    assert_eq!(plan.resolv_conf(web), "nameserver 10.0.0.3\n");
    let mut net = Topology::new();
    let (a, b) = (net.host("a.domain"), net.host("b"));
    net.link(a, b);
    net.dns(a);
    net.dns_everywhere();
    let plan = net.plan().unwrap();
    assert_eq!(plan.resolv_conf(a), "nameserver 10.0.0.1\nsearch .\n");
    assert_eq!(plan.resolv_conf(b), "nameserver 10.0.0.1\n");
}
