//! Networks: of the test itself, of nodes, of programs.

use std::net::{TcpListener, UdpSocket};

use netns_test::{NetNs, Topology, netns_test};
use serde_json::Value;

use super::{Evidence, one};

#[netns_test]
#[ignore = "run by another test"]
fn two_hosts() {
    let mut net = Topology::new();
    let (client, server) = (net.host("client"), net.host("server"));
    net.link(client, server);
    let lab = net.build().unwrap();
    let _listener = lab[server].run(|| TcpListener::bind("127.0.0.1:8080").unwrap());
    let udp = lab[client].run(|| UdpSocket::bind("0.0.0.0:4000").unwrap());
    // One without a route: it leaves the lab.
    assert!(udp.send_to(b"a", "192.0.2.1:9").is_err());
    let _program = lab[server].command("sleep").arg("1000").spawn().unwrap();
    let address = (lab[server].ipv4(), 8080);
    let refused = lab[client].run(move || std::net::TcpStream::connect(address));
    refused.unwrap();
}

fn count(network: &Value, name: &str) -> u64 {
    one(&network["counters"], "name", name)["value"].as_u64().unwrap()
}

#[test]
fn nodes_are_shown_by_name() {
    let evidence = Evidence::of("networks::two_hosts");
    let look = evidence.look("panic");
    assert_eq!(evidence.gaps(), "");
    let names: Vec<&Value> =
        look["networks"].as_array().unwrap().iter().map(|one| &one["node"]).collect();
    assert_eq!(names, ["", "client", "server"]);
    let network = |node: &str| one(&look["networks"], "node", node);
    let (client, server) = (network("client"), network("server"));
    assert_eq!(one(&server["sockets"], "local", "127.0.0.1:8080")["state"], "LISTEN");
    assert_eq!(one(&client["sockets"], "local", "0.0.0.0:4000")["protocol"], "udp");
    assert_eq!(count(client, "Ip.OutNoRoutes"), 1);
    assert_eq!(count(client, "Tcp.ActiveOpens"), 1);
    assert_eq!(one(&server["settings"], "name", "net/ipv4/ip_forward")["value"], "0");
    one(&server["settings"], "name", "net/ipv4/conf/eth0/rp_filter");
    one(&server["settings"], "name", "net/ipv6/conf/all/disable_ipv6");
    for node in [client, server] {
        let eth0 = one(&node["interfaces"], "name", "eth0");
        assert_eq!((&eth0["is_up"], &eth0["has_carrier"]), (&true.into(), &true.into()));
        assert!(!eth0["addresses"].as_array().unwrap().is_empty());
        assert!(!node["routes"].as_array().unwrap().is_empty());
        assert!(!node["rules"].as_array().unwrap().is_empty());
        assert!(!node["neighbours"].as_array().unwrap().is_empty());
    }
    let is_sleep = |process: &&Value| process["name"] == "sleep";
    let sleep = look["processes"].as_array().unwrap().iter().find(is_sleep).unwrap();
    assert_eq!(sleep["threads"][0]["network"], server["inode"]);
}

#[netns_test]
#[ignore = "run by another test"]
fn a_local_node() {
    let mut net = Topology::new();
    let (local, peer) = (net.local(), net.host("peer"));
    net.link(local, peer);
    let lab = net.build().unwrap();
    let _listener = lab[local].run(|| TcpListener::bind("127.0.0.1:8080").unwrap());
    let other = NetNs::new().unwrap();
    let _socket = other.run(|| TcpListener::bind("0.0.0.0:8081").unwrap()).unwrap();
    let (ready, wait) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let _inside = other.enter().unwrap();
        ready.send(()).unwrap();
        std::thread::park();
    });
    wait.recv().unwrap();
    panic!("a local node");
}

#[test]
fn the_network_of_the_test_may_be_a_node() {
    let evidence = Evidence::of("networks::a_local_node");
    let look = evidence.look("panic");
    let here = one(&look["networks"], "node", "local");
    assert_eq!(here["is_own"], true);
    assert_eq!(one(&here["sockets"], "state", "LISTEN")["local"], "127.0.0.1:8080");
    one(&one(&look["networks"], "node", "peer")["interfaces"], "name", "eth0");
    let all = look["networks"].as_array().unwrap();
    assert_eq!(all.len(), 3, "{all:#?}");
    assert!(all[2]["node"].as_str().unwrap().starts_with("net:["), "{all:#?}");
    assert_eq!(one(&all[2]["sockets"], "state", "LISTEN")["local"], "0.0.0.0:8081");
}

#[netns_test]
#[ignore = "run by another test"]
fn exits_with_a_lab() {
    let mut net = Topology::new();
    let (a, b) = (net.host("a"), net.host("b"));
    net.link(a, b);
    let lab = net.build().unwrap();
    // Init holds the networks a moment later, and opens sockets of its own there.
    let sockets = || {
        let files = ["raw", "packet"].map(|file| format!("/proc/thread-self/net/{file}"));
        files.map(|file| std::fs::read_to_string(file).unwrap_or_default()).concat().lines().count()
    };
    netns_test_tests::eventually(netns_test_tests::LIMIT, "init holds the networks", || {
        [a, b].iter().all(|node| lab[*node].run(sockets) > 2)
    });
    std::process::exit(3);
}

#[test]
fn nodes_are_shown_after_the_end_of_their_process() {
    let evidence = Evidence::of("networks::exits_with_a_lab");
    let look = evidence.look("end");
    assert_eq!(evidence.gaps(), "");
    for node in ["a", "b"] {
        let eth0 = one(&one(&look["networks"], "node", node)["interfaces"], "name", "eth0");
        assert_eq!(eth0["is_up"], true);
    }
}

/// `NODES` says how many.
#[netns_test]
#[ignore = "run by another test"]
fn many_nodes() {
    let count: usize = std::env::var("NODES").map_or(300, |count| count.parse().unwrap());
    let mut net = Topology::new();
    let switch = net.switch("switch");
    for number in 1..count {
        let host = net.host(format!("h{number}"));
        net.link(host, switch);
    }
    let _lab = net.build().unwrap();
    let start = std::time::Instant::now();
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let start = std::time::Instant::now();
        hook(info);
        println!("the look: {:?}", start.elapsed());
    }));
    panic!("many nodes {:?}", start.elapsed());
}

#[test]
fn three_hundred_nodes_are_all_named() {
    let evidence = Evidence::once("networks::many_nodes");
    let look = evidence.look("panic");
    assert_eq!(look["networks"].as_array().unwrap().len(), 301);
    let own = one(&look["networks"], "node", "");
    assert!(!own["interfaces"].as_array().unwrap().is_empty(), "{}", evidence.gaps());
    println!("{}\n{}", evidence.printed, evidence.gaps());
}
