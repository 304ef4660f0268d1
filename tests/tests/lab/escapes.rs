//! Sends for which a host, or a test without a lab, has no route: counted in the report, a failure,
//! or named.

use std::net::UdpSocket;
use std::time::Duration;

use netns_test::netns_test;
use netns_test_tests::{again, fails, passes};

use super::two_hosts;

/// Sends to an address of nowhere, twice.
fn send() {
    for bound in ["0.0.0.0:0", "[::]:0"] {
        let socket = UdpSocket::bind(bound).unwrap();
        let to = if bound.starts_with('[') { "[2001:db8::1]:53" } else { "192.0.2.1:53" };
        drop(socket.send_to(b"x", to));
    }
}

fn fails_with(escape: &str, name: &str) -> String {
    let name = format!("escapes::{name}");
    fails(again(&[], &["--exact", &name]).env("NETNS_TEST_ESCAPE", escape))
}

#[test]
fn a_report_counts_sends_without_a_route() {
    let hint = "2 sends had no route (left the lab?). Name them: NETNS_TEST_ESCAPE=trace";
    for (name, node) in [("sends_on_a_host", "client"), ("sends_without_a_lab", "the test")] {
        let text = fails_with("note", name);
        assert!(text.contains(&format!("  {node}: {hint}")), "{text}");
        let text = fails_with("off", name);
        assert!(text.contains("own message") && !text.contains("had no route"), "{text}");
    }
}

#[test]
fn sends_without_a_route_fail_a_test() {
    let text = fails_with("fail", "sends_on_a_host_and_passes");
    let message = "node client: 2 sends had no route (NETNS_TEST_ESCAPE=fail)";
    assert!(text.contains(message), "{text}");
    let text = fails_with("fail", "sends_without_a_lab_and_passes");
    let message = "the test has passed, but 2 sends had no route in its own network";
    assert!(text.contains(message), "{text}");
    for (escape, name) in [
        ("note", "sends_on_a_host_and_passes"),
        ("note", "sends_without_a_lab_and_passes"),
        ("trace", "sends_on_a_host_and_passes"),
        ("fail", "waits_for_a_host_without_a_route"),
    ] {
        let name = format!("escapes::{name}");
        passes(again(&[], &["--exact", &name]).env("NETNS_TEST_ESCAPE", escape), 1);
    }
}

#[test]
fn a_report_names_where_sends_were_to_go() {
    for (name, node) in [("sends_on_a_host", "client"), ("sends_without_a_lab", "the test")] {
        let text = fails_with("trace", name);
        let start = format!("  {node}: 2 sends had no route: udp ");
        assert!(text.contains(&start), "{text}");
        for to in ["udp 192.0.2.1:53", "udp [2001:db8::1]:53"] {
            assert!(text.contains(to), "{to}: {text}");
        }
    }
}

#[netns_test]
#[ignore = "run by the tests above"]
fn sends_on_a_host() {
    let (lab, client, _) = two_hosts();
    lab[client].run(send);
    panic!("own message");
}

#[netns_test]
#[ignore = "run by the tests above"]
fn sends_without_a_lab() {
    send();
    panic!("own message");
}

#[netns_test]
#[ignore = "run by the tests above"]
fn sends_on_a_host_and_passes() {
    let (lab, client, _) = two_hosts();
    lab[client].run(send);
}

#[netns_test]
#[ignore = "run by the tests above"]
fn sends_without_a_lab_and_passes() {
    send();
}

/// Requests of the library itself do not count.
#[netns_test]
#[ignore = "run by the tests above"]
fn waits_for_a_host_without_a_route() {
    let (lab, client, server) = two_hosts();
    let link = lab.links().next().unwrap();
    link.down().unwrap();
    let wait = lab[client].wait(Duration::from_millis(100));
    wait.reachable(&lab[server]).unwrap_err();
    link.up().unwrap();
    lab[client].wait(netns_test::lab::WAIT_LIMIT).reachable(&lab[server]).unwrap();
}
