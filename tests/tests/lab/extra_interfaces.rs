//! Interfaces that are not the end of a link, where the kernel has them.

use netns_test::lab::{MacvlanMode, PathOutcome};
use netns_test::{Lab, netns_test};
use netns_test_tests::{again, left_out, passes, text};

use crate::net::{connection, topology};
use crate::oracle;

/// Runs the body of that name, if the kernel can make such interfaces.
fn where_there_are(kind: &str, arguments: &str, body: &str) {
    let add = format!("ip link add below type bridge && ip link add {arguments} type {kind}");
    let around = ["-Urn", "sh", "-c"];
    let tried = std::process::Command::new("unshare").args(around).arg(add).output().unwrap();
    if !tried.status.success() {
        return left_out(body, &format!("no {kind}: {}", text(&tried).trim()));
    }
    let (_, module) = module_path!().split_once("::").unwrap();
    passes(&mut again(&[], &["--exact", &format!("{module}::{body}_here")]), 1);
}

/// From each node to each address at which a packet arrives by the plan; so many connections.
fn all_addresses(lab: &Lab) -> usize {
    let plan = lab.plan();
    let ids: Vec<_> = (0..plan.nodes().len()).map(|at| plan.id(at)).collect();
    let mut count = 0;
    for (from, to) in ids.iter().flat_map(|from| ids.iter().map(move |to| (*from, *to))) {
        for address in plan.addresses_of(to) {
            if from != to && plan.path_to(from, *address).end == PathOutcome::Arrived {
                drop(connection(lab, from, to, *address));
                count += 1;
            }
        }
    }
    count
}

#[test]
fn dummies() {
    where_there_are("dummy", "above", "dummies");
}

#[netns_test]
#[ignore = "run by dummies"]
fn dummies_here() -> netns_test::Result<()> {
    let mut net = topology();
    let (a, router, b) = (net.host("a"), net.router("router"), net.host("b"));
    net.link(a, router);
    net.link(router, b);
    net.node(a).dummy("service", ());
    net.node(router).dummy("id", ["192.0.2.1/32", "2001:db8::1/128"]);
    let lab = net.build()?;
    oracle::check(&lab);
    // Two addresses of each family at `a`, two links and one dummy at the router.
    assert_eq!(all_addresses(&lab), 2 * 4 + 2 * 6 + 2 * 2);
    Ok(())
}

#[test]
fn vlans() {
    where_there_are("vlan id 7", "link below name above", "vlans");
}

#[netns_test]
#[ignore = "run by vlans"]
fn vlans_here() -> netns_test::Result<()> {
    let mut net = topology();
    let switch = net.switch("switch");
    let hosts = ["a", "b", "c"].map(|name| net.host(name));
    for host in hosts {
        let link = net.link(host, switch).id();
        net.node(host).vlan(link, 7, ());
    }
    let only = net.link(hosts[0], hosts[1]).id();
    net.node(hosts[0]).vlan(only, 4094, "192.0.2.1/24");
    net.node(hosts[1]).vlan(only, 4094, "192.0.2.2/24");
    net.node(hosts[0]).route("198.51.100.0/24", std::net::Ipv4Addr::new(192, 0, 2, 2));
    let lab = net.build()?;
    oracle::check(&lab);
    // Each pair of the three on the switch and in its VLAN; two of them on the link and in its one.
    assert!(all_addresses(&lab) >= 6 * 4 + 2 * 4, "{}", lab.plan());
    // With its link a VLAN goes down, and comes up.
    lab[only].down()?;
    lab[only].up()?;
    oracle::check(&lab);
    assert!(all_addresses(&lab) >= 6 * 4 + 2 * 4, "{}", lab.plan());
    Ok(())
}

#[test]
fn macvlans() {
    where_there_are("macvlan", "link below name above", "macvlans");
}

#[netns_test]
#[ignore = "run by macvlans"]
fn macvlans_here() -> netns_test::Result<()> {
    let mut net = topology();
    let switch = net.switch("switch");
    let (a, b) = (net.host("a"), net.host("b"));
    let link = net.link(a, switch).id();
    net.link(b, switch);
    net.node(a).macvlan(link, "second", MacvlanMode::Bridge, ());
    net.node(a).macvlan(link, "third", MacvlanMode::Private, ());
    let lab = net.build()?;
    oracle::check(&lab);
    assert_eq!(all_addresses(&lab), 3 * 2 + 2);
    Ok(())
}

#[test]
fn vxlans() {
    where_there_are("vxlan id 7 dstport 4789", "above", "vxlans");
}

#[netns_test]
#[ignore = "run by vxlans"]
fn vxlans_here() -> netns_test::Result<()> {
    let mut net = topology();
    let router = net.router("router");
    let hosts = ["a", "b", "c"].map(|name| net.host(name));
    for host in hosts {
        net.link(host, router);
    }
    for (at, host) in hosts.into_iter().enumerate() {
        let peers = hosts.into_iter().enumerate().filter(|other| other.0 != at);
        net.node(host).vxlan(77, peers.map(|other| other.1), ());
    }
    let lab = net.build()?;
    oracle::check(&lab);
    // Each pair of hosts over the router and in the tunnel, and the router with each.
    assert!(all_addresses(&lab) >= 6 * 4 + 6 * 2, "{}", lab.plan());
    Ok(())
}
