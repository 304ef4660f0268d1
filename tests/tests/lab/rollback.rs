//! What is refused half way leaves all as it was, and the caller's network is as it was when the
//! lab has ended.

use std::fs;

use netns_test::{Lab, Node, Topology, netns_test};
use netns_test_tests::{LIMIT, eventually, stdout_of};

use crate::net::{Mesh, star, topology};
use crate::two_hosts;

const RETRIES: &str = "/proc/sys/net/ipv4/tcp_syn_retries";

/// The addresses and routes of the calling thread's network, and a sysctl.
fn state() -> String {
    let asked = [&["address"][..], &["-4", "route"], &["-6", "route"]];
    let message = asked.map(|arguments| stdout_of("ip", arguments)).concat();
    message + &fs::read_to_string(RETRIES).unwrap()
}

fn ip(arguments: &str) {
    stdout_of("ip", &arguments.split(' ').collect::<Vec<_>>());
}

fn of(host: &Node) -> String {
    host.run(state)
}

#[netns_test]
fn an_address_that_is_refused_takes_no_place() -> netns_test::Result<()> {
    let (net, nodes) = star(2);
    let lab = net.build()?;
    let host = &lab[nodes[0]];
    host.interface("eth0").add_addr("10.0.0.77/24")?;
    host.interface("eth0").add_addr("2001:db8::1/64")?;
    let before = of(host);
    for wrong in ["ff02::5/64", "::1/128", "224.0.0.1/24"] {
        let message = host.interface("eth0").set_addr(wrong).unwrap_err().to_string();
        assert!(message.starts_with(&format!("add {wrong} on eth0 of h0: ")), "{message}");
        assert_eq!(of(host), before, "{message}");
    }
    Mesh::new(&lab, &nodes).all_pairs_talk();
    Ok(())
}

/// The way to the gateway is a route, too.
#[netns_test]
fn routes_by_routes_outlive_an_address() -> netns_test::Result<()> {
    let (lab, client, _) = two_hosts();
    lab[client].run(|| {
        ip("route add 192.0.2.1/32 dev eth0");
        ip("route add default via 192.0.2.1");
    });
    lab[client].interface("eth0").set_addr("10.0.0.9/24")?;
    let routes = lab[client].run(|| stdout_of("ip", &["-4", "route"]));
    assert!(routes.contains("default via 192.0.2.1 dev eth0"), "{routes}");
    Ok(())
}

/// The error of an extension that is refused at its last step.
fn refused(lab: &mut Lab, mut net: Topology, more: impl FnOnce(&mut Topology)) -> String {
    let before: Vec<_> = lab.nodes().map(of).collect();
    more(&mut net);
    let message = lab.extend(&net).unwrap_err().to_string();
    let after: Vec<_> = lab.nodes().map(of).collect();
    assert_eq!(after, before, "{message}");
    message
}

#[netns_test]
fn an_extension_that_is_refused_takes_away_nothing_of_others() -> netns_test::Result<()> {
    let (net, nodes) = star(2);
    let mut lab = net.build()?;
    lab[nodes[0]].interface("lo").add_addr("203.0.113.1/32")?;
    lab[nodes[0]].remove_route("0.0.0.0/0")?;
    lab[nodes[1]].add_route("192.0.2.0/24", nodes[2])?;
    let message = refused(&mut lab, net.clone(), |net| {
        net.node(nodes[1]).sysctl("net.ipv4.tcp_syn_retries", 3);
        net.node(nodes[0]).addr("lo", "203.0.113.1/32");
    });
    assert!(message.starts_with("add 203.0.113.1/32 on lo of h0: EEXIST"), "{message}");
    let message = refused(&mut lab, net, |net| {
        net.node(nodes[1]).sysctl("net.ipv4.tcp_syn_retries", 3);
        let new = net.host("new");
        net.link(new, nodes[2]);
        net.node(new).sysctl("net.ipv4.conf.eth0.no_such_thing", 1);
    });
    assert!(message.contains("no_such_thing of new: ENOENT"), "{message}");
    Ok(())
}

#[netns_test]
fn an_interface_name_in_use_is_named_with_the_link() -> netns_test::Result<()> {
    let (mut net, nodes) = star(2);
    let mut lab = net.build()?;
    lab[nodes[0]].run(|| ip("link add eth1 type bridge"));
    net.link(nodes[0], nodes[1]);
    let message = lab.extend(&net).unwrap_err().to_string();
    assert!(message.starts_with("create link h0 to h1: EEXIST"), "{message}");
    assert!(
        message.contains("a node at one of its ends has an interface of that name"),
        "{message}"
    );
    Ok(())
}

/// An interface of the caller's own, with what one has there.
fn own_network() {
    ip("link add own type veth peer name other");
    ip("link set own up");
    ip("link set other up");
    ip("address add 172.20.0.1/24 brd + dev own");
    ip("address add 203.0.113.1/32 dev lo");
    ip("route add default via 172.20.0.254");
    ip("route add 192.0.2.0/24 via 172.20.0.254");
    // Its link-local addresses are there when it carries packets.
    eventually(LIMIT, "two link-local addresses are settled", || {
        let seen = stdout_of("ip", &["-6", "address"]);
        let is_settled = !seen.contains("tentative") && seen.matches("scope link").count() >= 2;
        if is_settled { Ok(()) } else { Err(seen) }
    });
}

#[netns_test]
fn the_callers_routes_come_back() -> netns_test::Result<()> {
    own_network();
    let before = state();
    let mut net = topology();
    let (own, router, far) = (net.local(), net.router("router"), net.host("far"));
    net.link(own, router);
    net.link(router, far);
    net.node(own).route("192.0.2.0/24", router);
    let lab = net.build()?;
    let routes = stdout_of("ip", &["-4", "route"]);
    assert!(routes.contains("default via 10.0.0.2 dev eth0"), "{routes}");
    drop(lab);
    assert_eq!(state(), before);
    Ok(())
}

#[netns_test]
fn what_is_changed_in_the_callers_network_is_taken_back() -> netns_test::Result<()> {
    own_network();
    let before = state();
    let mut net = topology();
    let (own, host) = (net.local(), net.host("host"));
    net.link(own, host);
    let lab = net.build()?;
    let test = &lab[own];
    test.interface("lo").add_addr("198.51.100.1/32")?;
    test.interface("own").add_addr("198.51.100.2/24")?;
    test.interface("own").set_addr("172.20.0.9/24")?;
    test.interface("lo").remove_addr("203.0.113.1/32")?;
    test.add_route("192.0.2.0/24", host)?;
    test.add_route("192.0.2.128/25", "172.20.0.7")?;
    test.remove_route("0.0.0.0/0")?;
    test.sysctl("net.ipv4.tcp_syn_retries", 2)?;
    test.sysctl("net.ipv4.tcp_syn_retries", 3)?;
    assert_ne!(state(), before);
    drop(lab);
    assert_eq!(state(), before);
    Ok(())
}

#[netns_test]
fn a_build_that_is_refused_takes_no_address_of_the_caller() -> netns_test::Result<()> {
    own_network();
    let before = state();
    let mut net = topology();
    let (own, host) = (net.local(), net.host("host"));
    net.link(own, host);
    net.node(own).addr("lo", "203.0.113.1/32");
    let message = net.build().unwrap_err().to_string();
    assert!(message.starts_with("add 203.0.113.1/32 on lo of local: EEXIST"), "{message}");
    assert_eq!(state(), before);
    Ok(())
}
