//! Names as programs of a node find them.

use std::collections::BTreeSet;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::Barrier;

use netns_test::lab::{DnsAnswer, Nat, Record, RecordType, Transport};
use netns_test::{Lab, NodeId, Topology, netns_test};

use crate::client::{ask, found, getent};

/// A client, a web server and a name server on one switch.
pub(crate) fn net() -> (Topology, [NodeId; 3]) {
    let mut net = Topology::new();
    let nodes = ["client", "web", "ns"].map(|name| net.host(name));
    let switch = net.switch("switch");
    for node in nodes {
        net.link(node, switch);
    }
    (net, nodes)
}

#[netns_test]
fn nodes_and_records_are_found_by_the_c_library() {
    let (mut net, [client, web, ns]) = net();
    net.dns(ns)
        .record("www.example.com", Record::cname("web"))
        .record("fixed.example.com", Record::address([192, 0, 2, 7]))
        .record("fixed.example.com", Record::address("2001:db8::7".parse::<IpAddr>().unwrap()));
    let lab = net.build().unwrap();
    let web_addresses: Vec<String> =
        lab.plan().addresses_of(web).iter().map(ToString::to_string).collect();
    for name in ["web", "WEB.", "www.example.com", "www.example.com."] {
        let mut all = found(&lab, client, name);
        all.sort();
        all.dedup();
        assert_eq!(all, web_addresses, "{name}");
    }
    let (words, status) = getent(&lab, client, &["ahostsv4", "fixed.example.com"]);
    assert_eq!((words[0].as_str(), status), ("192.0.2.7", 0));
    let (words, _) = getent(&lab, client, &["ahostsv6", "fixed.example.com"]);
    assert_eq!(words[0], "2001:db8::7");
    // Reverse, of a node and of an address that no node has.
    let (words, _) = getent(&lab, client, &["hosts", &web_addresses[0]]);
    assert_eq!(words, [&web_addresses[0], "web"]);
    let (words, status) = getent(&lab, client, &["hosts", "192.0.2.9"]);
    assert_eq!((words.len(), status), (0, 2));
    assert!(found(&lab, client, "no.example.com").is_empty());
    let queries = lab.dns().queries().unwrap();
    assert!(queries.iter().all(|one| one.node.as_deref() == Some("client") && one.server == "ns"));
    let last = queries.iter().rfind(|one| one.name == "no.example.com").unwrap();
    assert_eq!((&last.answer, last.transport), (&DnsAnswer::NxDomain, Transport::Udp));
}

#[netns_test]
fn files_of_a_node_name_the_server_and_no_other_node() {
    let (mut net, [client, _, ns]) = net();
    net.dns(ns).search("corp.example").record("app.corp.example", Record::address([1, 2, 3, 4]));
    let lab = net.build().unwrap();
    let read = |path: &str| lab[client].run(|| std::fs::read_to_string(path).unwrap());
    assert_eq!(read("/etc/resolv.conf"), "nameserver 10.0.0.3\nsearch corp.example\n");
    assert_eq!(read("/etc/resolv.conf"), lab.plan().resolv_conf(client));
    let hosts = read("/etc/hosts");
    assert!(hosts.contains("\tclient\n") && !hosts.contains("web"), "{hosts}");
    assert_eq!(found(&lab, client, "app"), ["1.2.3.4"]);
    assert!(!found(&lab, client, "web").is_empty());
}

#[netns_test]
fn without_a_name_server_files_are_as_before() {
    let (net, [client, ..]) = net();
    let lab = net.build().unwrap();
    let read = |path: &str| lab[client].run(|| std::fs::read_to_string(path).unwrap());
    assert_eq!(read("/etc/resolv.conf"), "# This network has no name server.\n");
    assert!(read("/etc/hosts").contains("\tweb\n"));
    let error = lab.dns().queries().unwrap_err().to_string();
    assert!(error.contains("no name server") && error.contains("Topology::dns"), "{error}");
}

#[netns_test]
fn a_server_on_all_nodes_needs_no_link() {
    let mut net = Topology::new();
    let (alone, web) = (net.host("alone"), net.host("web"));
    let other = net.host("other");
    net.link(web, other);
    net.node(alone).addr("lo", "192.0.2.1/32");
    net.dns_everywhere().record("www.example.com", Record::node(web));
    let lab = net.build().unwrap();
    assert_eq!(found(&lab, alone, "www.example.com"), found(&lab, other, "web"));
    assert_eq!(found(&lab, web, "alone"), ["192.0.2.1"; 1]);
    let queries = lab.dns().queries().unwrap();
    assert!(queries.iter().any(|one| one.node.as_deref() == Some("alone")));
    let answer = ask(&lab, alone, [127, 0, 0, 53].into(), "web", RecordType::A);
    assert_eq!((answer.code(), answer.counts()[0]), (0, 1));
}

#[netns_test]
fn an_ipv6_only_node_asks_by_ipv6() {
    let mut net = Topology::new();
    let (client, ns) = (net.host("client"), net.host("ns"));
    net.link(client, ns).ipv6_only();
    net.dns(ns).record("six.example", Record::address("2001:db8::6".parse::<IpAddr>().unwrap()));
    let lab = net.build().unwrap();
    assert_eq!(lab.plan().resolv_conf(client), "nameserver fd6e:6574:6e73::2\n");
    assert_eq!(found(&lab, client, "six.example"), ["2001:db8::6"]);
}

#[netns_test]
fn behind_a_nat_a_node_sees_what_is_behind_it() {
    let mut net = Topology::new();
    let (laptop, nas, home) = (net.host("laptop"), net.host("nas"), net.router("home"));
    let (ns, peer) = (net.host("ns"), net.host("peer"));
    let (lan, wan) = (net.switch("lan"), net.switch("wan"));
    for node in [laptop, nas, home] {
        net.link(node, lan);
    }
    let outside = net.link(home, wan).id();
    for node in [ns, peer] {
        net.link(node, wan);
    }
    net.nat(home, outside, Nat::home());
    net.forward_port(home, outside, Transport::Tcp, 8443, nas, 443);
    net.dns(ns);
    let lab = net.build().unwrap();
    let inside = lab.plan().address_of(nas).unwrap().to_string();
    let external = lab[home].address_on(outside).to_string();
    let ipv4 = |node, name: &str| {
        let mut all = found(&lab, node, name);
        all.retain(|one| one.contains('.'));
        all
    };
    assert_eq!(ipv4(laptop, "nas"), [inside]);
    assert_eq!(ipv4(peer, "nas"), [external]);
    assert!(ipv4(peer, "laptop").is_empty());
    let queries = lab.dns().queries().unwrap();
    // Behind the NAT it is the router that asks.
    let asked = queries.iter().filter(|one| one.name == "nas" && one.record_type == RecordType::A);
    let nodes: Vec<_> = asked.map(|one| one.node.as_deref().unwrap()).collect();
    assert_eq!(nodes, ["home", "peer"]);
}

#[netns_test]
async fn tokio_finds_names() {
    let (mut net, [client, _, ns]) = net();
    net.dns(ns).record("a.example", Record::address([192, 0, 2, 1]));
    let lab = net.build().unwrap();
    let task = lab[client].spawn(async {
        tokio::net::lookup_host("a.example:80").await.map(Iterator::collect::<Vec<_>>)
    });
    assert_eq!(task.await.unwrap().unwrap(), ["192.0.2.1:80".parse().unwrap()]);
}

#[netns_test]
fn two_hundred_nodes_ask_at_once() {
    const COUNT: usize = 200;
    let mut net = Topology::new();
    let (ns, core) = (net.host("ns"), net.router("core"));
    net.link(ns, core);
    let mut nodes = Vec::new();
    // On one segment, the kernel would drop some of 40 000 ARP requests.
    for site in 0..COUNT / 20 {
        let router = net.router(format!("r{site}"));
        net.link(core, router);
        for at in 0..20 {
            nodes.push(net.host(format!("n{site}-{at}")));
            net.link(nodes[nodes.len() - 1], router);
        }
    }
    net.dns(ns).record("www.example", Record::address([192, 0, 2, 1]));
    let lab = net.build().unwrap();
    let start = Barrier::new(COUNT);
    std::thread::scope(|scope| {
        for node in &nodes {
            let (lab, start) = (&lab, &start);
            scope.spawn(move || {
                lab[*node].run(|| {
                    start.wait();
                    let all = ("www.example", 0).to_socket_addrs().unwrap();
                    assert_eq!(
                        all.map(|one| one.ip().to_string()).collect::<Vec<_>>(),
                        ["192.0.2.1"]
                    );
                });
            });
        }
    });
    let queries = lab.dns().queries().unwrap();
    let asked: BTreeSet<_> = queries.iter().filter_map(|one| one.node.as_deref()).collect();
    assert_eq!(asked.len(), COUNT);
}

/// Each node has its own file: servers by `used_by`, and search domains, differ.
#[netns_test]
fn each_node_has_its_own_resolver() -> netns_test::Result<()> {
    let mut net = Topology::new();
    let [a, b, c, one, two] = ["a", "b", "c", "one", "two"].map(|name| net.host(name));
    let switch = net.switch("switch");
    for node in [a, b, c, one, two] {
        net.link(node, switch);
    }
    net.dns(one).used_by([a]).search("one.example").record("x", Record::address([192, 0, 2, 1]));
    net.dns(two).used_by([b]).search("two.example").record("x", Record::address([192, 0, 2, 2]));
    let mut lab = net.build()?;
    let check = |lab: &Lab, nodes: &[NodeId]| {
        for node in nodes {
            let file = lab[*node].run(|| std::fs::read_to_string("/etc/resolv.conf").unwrap());
            assert_eq!(file, lab.plan().resolv_conf(*node), "{}", lab[*node].name());
        }
    };
    check(&lab, &[a, b, c, one, two]);
    assert_eq!(found(&lab, a, "x"), ["192.0.2.1"]);
    assert_eq!(found(&lab, b, "x"), ["192.0.2.2"]);
    // An unused one gets a server later; what was written on `b` stays.
    lab[b].run(|| std::fs::write("/etc/resolv.conf", "nameserver 192.0.2.9\n")).unwrap();
    let late = net.host("late");
    net.link(late, switch);
    lab.extend(&net)?;
    check(&lab, &[a, c, one, two, late]);
    let kept = lab[b].run(|| std::fs::read_to_string("/etc/resolv.conf").unwrap());
    assert_eq!(kept, "nameserver 192.0.2.9\n");
    lab.power_off(a)?;
    lab.power_on(a)?;
    check(&lab, &[a]);
    Ok(())
}
