//! Tests of the obstacles on a path, and near misses. Pure.

use crate::evidence::facts::event::EventKind;
use crate::evidence::facts::link::Packet;
use crate::evidence::facts::network::{Address, AttemptKind, Filter, Rule};
use crate::evidence::facts::topology::{LabIpv6, LabPrefix};
use crate::explain::cause::Certainty::{Certain, Likely};
use crate::explain::sample::{Sample, address, device, end, route};

const TIMED_OUT: &str = "Os { code: 110, kind: TimedOut, message: \"\" }";
const UNREACHABLE: &str = "Os { code: 101, kind: NetworkUnreachable, message: \"\" }";

/// Returns a lab in which a connection of the client to the server was not answered.
fn routed() -> Sample {
    let mut sample = Sample::routed();
    sample.attempt("client", AttemptKind::Syn, "10.0.0.1:41234", "10.0.1.2:80");
    sample.panics(TIMED_OUT)
}

fn pair() -> Sample {
    let mut sample = Sample::pair();
    sample.attempt("client", AttemptKind::Syn, "10.0.0.1:41234", "10.0.0.2:80");
    sample.panics(TIMED_OUT)
}

/// Takes the recorders away, and lets the server listen.
fn unrecorded(mut sample: Sample, local: &str) -> Sample {
    sample.network("client").attempts = None;
    sample.socket("server", 1, local, "");
    sample
}

/// Checks the cause with a recorder, and that it is likely without.
fn check(sample: &Sample, text: &str) {
    sample.says(Certain, text);
    unrecorded(sample.clone(), "0.0.0.0:80").says(Likely, text);
}

#[test]
fn a_path_without_obstacle_is_no_cause() {
    for text in ["route", "down", "forward", "partition", "off", "rp_filter", "address"] {
        routed().does_not_say(text);
        unrecorded(routed(), "0.0.0.0:80").does_not_say(text);
        pair().does_not_say(text);
    }
}

#[test]
fn missing_routes_are_found() {
    let mut there = routed();
    there.network("client").routes.pop();
    check(&there, "client has no route to server (10.0.1.2)");
    let mut back = routed();
    back.network("server").routes.pop();
    check(&back, "server has no route back to client (10.0.0.1)");
    let mut unreachable = Sample::routed();
    unreachable.network("client").routes.pop();
    unreachable.count("client", "Ip.OutNoRoutes", 1);
    let cause = unreachable.panics(UNREACHABLE).says(Likely, "client has no route to server");
    assert!(cause.proof[0].contains("Ip.OutNoRoutes has counted 1"), "{cause:?}");
}

#[test]
fn a_rejecting_route_is_found() {
    let mut sample = routed();
    let mut blackhole = route("10.0.1.0/24", None, 0);
    blackhole.kind = "blackhole".into();
    sample.network("client").routes.push(blackhole);
    check(&sample, "client discards packets to 10.0.1.2 by the route \"blackhole 10.0.1.0/24\"");
}

#[test]
fn forwarding_and_reverse_path_are_found() {
    let mut sample = routed();
    sample.set("router", "net/ipv4/ip_forward", "0");
    check(&sample, "router does not forward: forwarding is off");
    let mut sample = routed();
    sample.set("router", "net/ipv4/conf/eth0/rp_filter", "1");
    sample.does_not_say("rp_filter");
    // The route back is over the other interface.
    sample.network("router").routes.push(route("10.0.0.1/32", None, 3));
    check(&sample, "router drops packets from 10.0.0.1 at eth0: rp_filter");
    sample.set("router", "net/ipv4/conf/eth0/rp_filter", "2");
    sample.does_not_say("rp_filter");
}

#[test]
fn links_that_are_down_are_found() {
    let mut far = routed();
    far.interface("server", "eth0").is_up = false;
    far.interface("router", "eth1").has_carrier = false;
    check(&far, "link wan is down");
    // Their routes go with it.
    let mut near = routed();
    near.interface("client", "eth0").is_up = false;
    near.network("client").routes.clear();
    check(&near, "link lan is down: interface eth0 of client is down");
    // On a link that is not on the path.
    let mut other = routed();
    let mut unused = device("eth9", 9, &[]);
    unused.is_up = false;
    other.network("client").interfaces.push(unused);
    other.does_not_say("down");
}

#[test]
fn a_partition_and_a_node_that_is_off_are_found() {
    let mut sample = pair();
    let (selector, action) = ("from 10.0.0.1".to_owned(), "blackhole".to_owned());
    let rule = Rule { is_ipv4: true, priority: 0, selector, action };
    sample.network("server").rules.push(rule);
    check(&sample, "client and server are separated by a partition");
    let mut off = pair();
    off.look().networks.retain(|network| network.node != "server");
    off.network("client").interfaces.retain(|one| one.name == "lo");
    off.network("client").routes.clear();
    off.says(Certain, "server is powered off");
    off.network("client").attempts = None;
    off.says(Likely, "server is powered off");
}

#[test]
fn an_address_that_no_node_has_is_found() {
    let mut sample = Sample::pair();
    sample.attempt("client", AttemptKind::Syn, "10.0.0.1:41234", "10.0.0.9:80");
    let sample = sample.panics("Os { code: 113, kind: HostUnreachable, message: \"\" }");
    sample.says(Certain, "no node on eth0 of client has the address 10.0.0.9");
    let mut moved = pair();
    let own = &mut moved.interface("server", "eth0").addresses[0];
    own.address = address("10.0.0.7");
    moved.says(Certain, "no node on eth0 of client has the address 10.0.0.2");
}

#[test]
fn of_two_attempts_the_last_is_judged() {
    let mut sample = pair();
    sample.interface("server", "eth0").is_up = false;
    sample.attempt("client", AttemptKind::Syn, "10.0.0.1:41235", "10.0.0.1:81");
    let attempts = sample.network("client").attempts.as_mut().unwrap();
    attempts[1].at = Some(std::time::Duration::from_millis(10_850));
    sample.does_not_say("link lan is down");
}

#[test]
fn an_attempt_that_is_not_recorded_may_be_the_one() {
    let mut sample = pair();
    sample.interface("server", "eth0").is_up = false;
    sample.count("client", "Tcp.ActiveOpens", 1);
    sample.says(Certain, "link lan is down");
    sample.count("client", "Tcp.ActiveOpens", 2);
    let opens = &mut sample.network("client").counters;
    opens.remove(0);
    sample.says(Likely, "link lan is down");
    // The other one was accepted.
    sample.count("server", "Tcp.PassiveOpens", 1);
    sample.says(Certain, "link lan is down");
    // A network without a recorder.
    sample.count("", "Tcp.ActiveOpens", 1);
    sample.says(Likely, "link lan is down");
}

#[test]
fn a_limit_of_any_other_operation_is_not_about_the_connection() {
    let mut sample = Sample::pair();
    sample.attempt("client", AttemptKind::Syn, "10.0.0.1:41234", "10.0.0.2:80");
    sample.interface("server", "eth0").is_up = false;
    sample.panics("deadline has elapsed").says(Likely, "link lan is down");
}

#[test]
fn a_partition_that_was_healed_before_the_failure_is_found() {
    let healed = |sample: &mut Sample, sides: &str, at: u64| {
        let on = sample.event(EventKind::Partition, "", 10_100, sides);
        *on = on.clone().with("state", "on");
        let off = sample.event(EventKind::Partition, "", at, "healed");
        *off = off.clone().with("state", "off");
    };
    let mut sample = pair();
    healed(&mut sample, "client | server", 10_800);
    let cause =
        sample.says(Likely, "client and server were separated by a partition until 0.100 s");
    assert_eq!(cause.events.len(), 2);
    // It was between other nodes, or the path is cut now, or it has ended after the failure.
    let mut other = pair();
    healed(&mut other, "client | router", 10_800);
    other.does_not_say("partition");
    sample.interface("server", "eth0").is_up = false;
    sample.does_not_say("partition");
    let mut late = pair();
    healed(&mut late, "client | server", 10_950);
    late.does_not_say("were separated");
}

#[test]
fn a_link_that_is_up_again_is_found() {
    let mut sample = pair();
    for (at, state) in [(10_100, "down"), (10_800, "up")] {
        let event = sample.event(EventKind::Link, "", at, &format!("lan {state}"));
        *event = event.clone().with("link", "lan").with("state", state);
    }
    sample.says(Likely, "link lan was down until 0.100 s before the failure");
    sample
        .panics("Os { code: 104, kind: ConnectionReset, message: \"\" }")
        .does_not_say("was down");
}

/// A connection from one node that was not answered.
fn unanswered(mut sample: Sample, node: &str, from: &str, to: &str) -> Sample {
    sample.attempt(node, AttemptKind::Syn, from, to);
    sample.panics(TIMED_OUT)
}

#[test]
fn a_way_out_of_a_nat_and_back_has_no_obstacle() {
    let sample = Sample::hidden();
    let sample = unanswered(sample, "client", "10.0.0.1:41234", "10.0.1.2:80");
    assert_eq!(sample.causes(), []);
    let mut cut = sample.clone();
    cut.interface("client", "eth0").is_up = false;
    cut.says(Certain, "link lan is down");
    // Without the NAT the answer has no route.
    let mut routed = sample;
    routed.facts.labs[0].nodes[1].nats.clear();
    routed.says(Certain, "server has no route back to client");
}

#[test]
fn a_port_that_is_forwarded_leads_inside() {
    let mut sample = Sample::hidden();
    sample.socket("client", 1, "0.0.0.0:80", "");
    let sample = unanswered(sample, "server", "10.0.1.2:41234", "10.0.1.254:8080");
    assert_eq!(sample.causes(), []);
    let mut cut = sample.clone();
    cut.interface("client", "eth0").is_up = false;
    cut.says(Certain, "link lan is down");
    let mut other = Sample::hidden();
    other.socket("client", 1, "0.0.0.0:8081", "");
    let other = unanswered(other, "server", "10.0.1.2:41234", "10.0.1.254:8081");
    let cause = other.says(Likely, "router forwards no TCP port 8081");
    assert!(cause.remedy[0].contains("8081, client, 8081"), "{cause:?}");
    // A packet to that port was for the router itself.
    let mut counted = other.clone();
    let comment = "counter packets 1 drop comment \"nat of router on eth1: drop in: no mapping\"";
    counted.network("router").filters.push(Filter {
        table: "inet netns-test".into(),
        text: comment.into(),
        verdict: "drop".into(),
        packets: 1,
        ..Filter::default()
    });
    counted.says(Likely, "router forwards no TCP port 8081");
    let [from, to] = ["10.0.1.2:41234", "10.0.1.254:8081"].map(|text| Some(end(text)));
    let packet = Packet { protocol: "tcp".into(), from, to };
    counted.network("router").dropped.push(packet);
    counted.says(Certain, "router forwards no TCP port 8081");
    counted.does_not_say("the NAT of router drops");
    // The router itself serves that port.
    let mut own = other;
    own.socket("router", 2, "0.0.0.0:8081", "");
    own.does_not_say("forwards no");
}

#[test]
fn an_address_behind_a_nat_is_not_known_outside() {
    let sample = Sample::hidden();
    let sample = unanswered(sample, "server", "10.0.1.2:41234", "10.0.0.1:80");
    sample.says(Certain, "client (10.0.0.1) is behind the NAT of router");
    sample.does_not_say("has no route");
}

#[test]
fn two_homes_may_have_one_subnet() {
    let mut sample = Sample::hidden().hangs();
    sample.interface("server", "eth0").addresses[0].address = address("10.0.0.1");
    sample.does_not_say("both have");
    sample.facts.labs[0].nodes[0].interfaces[0].realm = 0;
    assert!(sample.causes().iter().any(|cause| cause.text.contains("both have")));
}

/// Returns the lab of [`Sample::hidden`] in IPv6, with a translated prefix.
fn prefixed() -> Sample {
    const CLIENT: &str = "fd01:203:405:1::1";
    const SERVER: &str = "2001:db8:9::2";
    let mut sample = Sample::hidden();
    let lab = &mut sample.facts.labs[0];
    let places = [
        (0, 0, CLIENT, 1),
        (1, 0, "fd01:203:405:1::fe", 1),
        (1, 1, "2001:db8:9::fe", 0),
        (2, 0, SERVER, 0),
    ];
    for (node, interface, own, realm) in places {
        let one = &mut lab.nodes[node].interfaces[interface];
        one.addresses.push(address(own));
        one.realm_of_ipv6 = realm;
    }
    let nat = &mut lab.nodes[1].nats[0];
    nat.ipv6 = LabIpv6::Prefix;
    nat.prefixes = vec![LabPrefix {
        inside: address("fd01:203:405:1::"),
        external: address("2001:db8:1:d550::"),
        length: 64,
    }];
    for (node, name, own, subnet) in [
        ("client", "eth0", CLIENT, "fd01:203:405:1::/64"),
        ("router", "eth0", "fd01:203:405:1::fe", "fd01:203:405:1::/64"),
        ("router", "eth1", "2001:db8:9::fe", "2001:db8:9::/64"),
        ("server", "eth0", SERVER, "2001:db8:9::/64"),
    ] {
        let one = sample.interface(node, name);
        let new = Address { address: address(own), prefix: 64, ..Address::default() };
        one.addresses.push(new);
        let index = one.index;
        sample.network(node).routes.push(route(subnet, None, index));
    }
    let default = route("::/0", Some("fd01:203:405:1::fe"), 2);
    sample.network("client").routes.push(default);
    let back = route("2001:db8:1::/48", Some("2001:db8:9::fe"), 2);
    sample.network("server").routes.push(back);
    sample.set("router", "net/ipv6/conf/all/forwarding", "1");
    sample
}

#[test]
fn a_way_over_a_translated_prefix_has_its_obstacles() {
    let out = ["[fd01:203:405:1::1]:41234", "[2001:db8:9::2]:80"];
    let sample = unanswered(prefixed(), "client", out[0], out[1]);
    assert_eq!(sample.causes(), []);
    let mut cut = sample.clone();
    cut.interface("server", "eth0").is_up = false;
    cut.says(Certain, "link wan is down");
    // The answer goes to the external address.
    let mut lost = sample;
    lost.network("server").routes.retain(|route| route.via.is_none() || route.prefix != 48);
    lost.says(Certain, "server has no route back to 2001:db8:1:d550::1");
}

#[test]
fn an_external_address_of_a_translated_prefix_leads_inside() {
    let to = "[2001:db8:1:d550::1]:80";
    let mut sample = prefixed();
    sample.socket("client", 1, "[::]:80", "");
    let sample = unanswered(sample, "server", "[2001:db8:9::2]:41234", to);
    assert_eq!(sample.causes(), []);
    let mut cut = sample;
    cut.interface("client", "eth0").is_up = false;
    cut.says(Certain, "link lan is down");
    let inside = "[fd01:203:405:1::1]:80";
    let sample = unanswered(prefixed(), "server", "[2001:db8:9::2]:41234", inside);
    let cause = sample.says(Certain, "client (fd01:203:405:1::1) is behind the NAT of router");
    assert!(cause.remedy[0].contains("send to 2001:db8:1:d550::1"), "{cause:?}");
}

#[test]
fn a_source_without_an_external_address_is_an_obstacle() {
    let mut sample = prefixed();
    sample.facts.labs[0].nodes[1].nats[0].prefixes[0].inside = address("fd01:203:405:2::");
    let out = ["[fd01:203:405:1::1]:41234", "[2001:db8:9::2]:80"];
    let sample = unanswered(sample, "client", out[0], out[1]);
    sample.says(Certain, "the NAT of router has no external address for fd01:203:405:1::1");
}

#[test]
fn a_family_in_which_no_send_lacked_a_route_is_no_guess() {
    let mut sample = prefixed();
    sample.socket("client", 1, "[::]:80", "");
    sample.network("server").attempts = None;
    sample.count("server", "Ip6OutNoRoutes", 1);
    let mut v4 = sample.clone();
    let sample = sample.panics(UNREACHABLE);
    sample.says(Likely, "client (fd01:203:405:1::1) is behind the NAT of router");
    sample.does_not_say("10.0.0.1");
    v4.count("server", "Ip.OutNoRoutes", 1);
    assert!(v4.panics(UNREACHABLE).causes()[0].text.contains("client (10.0.0.1) is behind"));
}
