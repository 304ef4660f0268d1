//! The probe without a NAT: directly, over a router, and where nothing passes.

use std::time::Duration;

use netns_test::lab::{Filtering, Hairpinning, Nat, NatKind, NodeId, WAIT_LIMIT};
use netns_test::{Lab, Topology, netns_test};
use netns_test_tests::Said as _;

/// Builds `client` - `home` - `a` and `b`.
fn routed() -> (Lab, [NodeId; 3]) {
    let mut net = Topology::new();
    let [client, a, b] = ["client", "a", "b"].map(|name| net.host(name));
    let home = net.router("home");
    for host in [client, a, b] {
        net.link(host, home);
    }
    (net.build().unwrap(), [client, a, b])
}

fn assert_is_open(kind: &NatKind, lab: &Lab, client: NodeId) {
    assert!(!kind.is_translated(), "{kind}");
    assert_eq!(kind.filtering, Filtering::EndpointIndependent, "{kind}");
    assert_eq!(kind.hairpinning, Hairpinning::None, "{kind}");
    assert!(kind.port_preservation, "{kind}");
    assert_eq!(kind.inside, lab[client].ipv4());
    assert_eq!(kind.external, [lab[client].ipv4()]);
    assert_ne!(*kind, Nat::full_cone());
    let address = lab[client].ipv4();
    let text = format!("no NAT, endpoint-independent filtering, address {address}");
    assert_eq!(kind.to_string(), text);
}

#[netns_test]
fn a_router_is_no_nat() {
    let (lab, [client, a, b]) = routed();
    assert_is_open(&lab.nat_kind(client, a, b).unwrap(), &lab, client);
    for nodes in [[client, a, a], [client, client, b], [client, a, client]] {
        let [client, a, b] = nodes;
        let text = lab.nat_kind(client, a, b).unwrap_err().said();
        let start = "find the kind of the NAT of client: a node is given twice";
        assert!(text.starts_with(start), "{text}");
    }
}

#[netns_test]
fn a_switch_is_no_nat() {
    let mut net = Topology::new();
    let switch = net.switch("switch");
    let hosts = ["client", "a", "b"].map(|name| {
        let host = net.host(name);
        net.link(host, switch);
        host
    });
    let (lab, [client, a, b]) = (net.build().unwrap(), hosts);
    assert_is_open(&lab.nat_kind(client, a, b).unwrap(), &lab, client);
}

#[netns_test]
async fn a_probe_is_also_a_future() {
    let (lab, [client, a, b]) = routed();
    let wait = lab[client].wait(Duration::from_secs(60)).nonblocking();
    assert_is_open(&wait.nat_kind(&lab[a], &lab[b]).await.unwrap(), &lab, client);
}

#[netns_test]
fn a_probe_that_nothing_answers_ends_at_its_limit() {
    let (lab, [client, a, b]) = routed();
    lab.partition(&[client], &[b]).unwrap();
    let short = lab[client].wait(Duration::from_millis(300));
    let error = short.nat_kind(&lab[a], &lab[b]).unwrap_err();
    assert!(error.is_timeout());
    let text = error.said();
    let start = "wait for a probe of the NAT of client: no datagram of client to ";
    assert!(text.starts_with(start), "{text}");
    assert!(text.ends_with(" has reached b within 300ms"), "{text}");
}

#[netns_test]
fn a_probe_of_a_node_that_is_off_is_an_error() {
    let (lab, [client, a, b]) = routed();
    lab.power_off(b).unwrap();
    assert!(lab.nat_kind(client, a, b).unwrap_err().is_powered_off());
}

#[netns_test]
fn a_router_without_a_nat_forgets_nothing() {
    let (lab, [client, a, _]) = routed();
    let short = lab[client].wait(Duration::from_millis(700));
    let error = short.udp_mapping_lifetime(&lab[a]).unwrap_err();
    assert!(error.is_timeout());
    let text = error.said();
    let start = "wait for a probe of the NAT of client: unused mappings last longer than ";
    assert!(text.starts_with(start), "{text}");
    assert!(lab[client].wait(WAIT_LIMIT).reachable(a).is_ok());
}
