//! The usual shapes of networks: what the kernel has of them is what the plan says, and the first
//! packet of each pair of nodes arrives when they have been built.

use netns_test::{NodeId, Topology, netns_test};
use netns_test_tests::stdout_of;

use crate::net::{Mesh, connection, row, star, switched};
use crate::oracle;

/// Builds it, lets everybody talk with everybody at once, and compares with `ip` then.
pub(crate) fn holds((net, nodes): (Topology, Vec<NodeId>)) -> netns_test::Result<()> {
    let lab = net.build()?;
    let sockets = Mesh::new(&lab, &nodes);
    sockets.all_pairs_talk();
    drop(sockets);
    oracle::check(&lab);
    Ok(())
}

#[netns_test]
fn small_topologies() -> netns_test::Result<()> {
    [star(2), star(10), switched(2), switched(10), row(5, true)].into_iter().try_for_each(holds)
}

/// The first thing that is sent is a SYN.
#[netns_test]
fn tcp_connects_at_once() -> netns_test::Result<()> {
    let (net, nodes) = row(5, false);
    for to in [true, false] {
        let lab = net.build()?;
        for (at, &from) in nodes.iter().enumerate() {
            let last = nodes[nodes.len() - 1 - at];
            let addresses = lab.plan().addresses_of(last).iter();
            for address in addresses.filter(|address| address.is_ipv4() == to) {
                drop(connection(&lab, from, last, *address));
            }
        }
    }
    Ok(())
}

#[netns_test]
fn several_links_between_two_nodes() -> netns_test::Result<()> {
    let mut net = Topology::new();
    let (a, b) = (net.host("a"), net.router("b"));
    for number in 0..5 {
        net.link(a, b).name(format!("line{number}"));
    }
    let lab = net.build()?;
    for (from, to) in [(a, b), (b, a)] {
        for address in lab.plan().addresses_of(to) {
            drop(connection(&lab, from, to, *address));
        }
    }
    oracle::check(&lab);
    Ok(())
}

#[netns_test]
fn the_caller_is_a_host() -> netns_test::Result<()> {
    let before = stdout_of("ip", &["-d", "address"]);
    let mut net = Topology::new();
    let (own, router, far) = (net.local(), net.router("router"), net.host("far"));
    net.link(own, router);
    net.link(router, far);
    let lab = net.build()?;
    Mesh::new(&lab, &[own, router, far]).all_pairs_talk();
    oracle::check(&lab);
    drop(lab);
    assert_eq!(stdout_of("ip", &["-d", "address"]), before);
    Ok(())
}

#[netns_test]
fn explicit_settings() -> netns_test::Result<()> {
    let mut net = Topology::new();
    let (a, middle, b) = (net.host("a"), net.router("middle"), net.host("b"));
    net.link(a, middle)
        .mtu(1400)
        .interfaces("left", "to-a")
        .addrs(["192.0.2.1/24", "2001:db8::1/64"], ["192.0.2.2/24", "2001:db8::2/64"]);
    let far = net.link(middle, b);
    let far = far.subnet("198.51.100.0/30").macs("02:00:00:00:00:11", "02:00:00:00:00:12").id();
    net.node(a).default_route("192.0.2.2").route("2001:db8:1::/48", middle);
    net.node(a).addr("left", "192.0.2.77/24").addr("lo", "203.0.113.1/32");
    net.node(b).addr(far, "2001:db8:1::b/64").addr("lo", "2001:db8:2::1/128");
    net.node(middle).route("2001:db8:1::/64", b).sysctl("net.ipv4.conf.to-a.proxy_arp", 1);
    net.node(b).sysctl("net.ipv4.tcp_syn_retries", 2).sysctl("net/ipv4/conf/eth0/arp_ignore", 1);
    let lab = net.build()?;
    oracle::check(&lab);
    let read = |node: NodeId, path: &str| {
        let path = format!("/proc/sys/net/ipv4/{path}");
        lab[node].run(|| std::fs::read_to_string(path)).unwrap()
    };
    assert_eq!(read(middle, "conf/to-a/proxy_arp"), "1\n");
    assert_eq!(read(b, "conf/eth0/arp_ignore"), "1\n");
    assert_eq!(read(b, "tcp_syn_retries"), "2\n");
    let links = oracle::ip(&lab[b], &["link", "show", "eth0"]);
    assert_eq!(oracle::text(&links[0], "address"), "02:00:00:00:00:12");
    for address in lab.plan().addresses_of(b).iter().filter(|to| to.is_ipv4()) {
        drop(connection(&lab, a, b, *address));
    }
    Ok(())
}

/// Interfaces of the caller are as before when the lab is gone.
#[netns_test]
fn the_caller_keeps_its_network() -> netns_test::Result<()> {
    stdout_of("ip", &["link", "add", "own", "type", "bridge"]);
    stdout_of("ip", &["address", "add", "192.0.2.9/24", "dev", "own"]);
    let read = |name: &str| std::fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).unwrap();
    let state = || {
        let all = [&["-d", "address"][..], &["route"], &["-6", "route"], &["rule"]];
        (all.map(|words| stdout_of("ip", words)), read("tcp_syn_retries"))
    };
    let before = state();
    let mut net = Topology::new();
    let (own, far) = (net.local(), net.host("far"));
    let link = net.link(own, far).id();
    net.node(own).addr("lo", "203.0.113.1/32").addr("lo", "2001:db8::1/128");
    net.node(own).sysctl("net.ipv4.tcp_syn_retries", 3);
    for _ in 0..3 {
        let lab = net.build()?;
        Mesh::new(&lab, &[own, far]).all_pairs_talk();
        assert_eq!(read("tcp_syn_retries"), "3\n");
        // IPv6 addresses would not survive that in the network of another owner.
        lab[link].down()?;
        lab[link].up()?;
        Mesh::new(&lab, &[own, far]).all_pairs_talk();
        drop(lab);
        assert_eq!(state(), before);
    }
    Ok(())
}
