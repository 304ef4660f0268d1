//! Each error of a topology with its text; `address_errors` has those of addresses and MTUs.

use crate::lab::tests::example;
use crate::lab::{MacvlanMode, NodeId, Topology, TopologyError};

/// Returns a topology of two hosts.
pub(crate) fn pair() -> (Topology, [NodeId; 2]) {
    let mut net = Topology::new();
    let nodes = ["a", "b"].map(|name| net.host(name));
    (net, nodes)
}

/// Checks that two hosts after `change` have one error, with this text.
#[track_caller]
pub(crate) fn only(expected: &str, change: impl FnOnce(&mut Topology, [NodeId; 2])) {
    let (mut net, nodes) = pair();
    change(&mut net, nodes);
    let found = net.plan().unwrap_err();
    assert_eq!(found.to_string(), format!("1 error in the topology\n  {expected}"));
}

#[test]
fn nodes_and_links_of_other_topologies() {
    let (mut other, [stranger, friend]) = pair();
    let foreign = other.link(stranger, friend).id();
    let node = "a node of another topology; use the ids that this one returned";
    only(&format!("link a to an unknown node: {node}"), |net, [a, _]| {
        net.link(a, stranger);
    });
    only(&format!("node(): {node}"), |net, _| {
        net.node(stranger).sysctl("net.ipv4.ip_forward", 1);
    });
    only(&format!("route of `a` to default: {node}"), |net, [a, _]| {
        net.node(a).default_route(stranger);
    });
    only(&format!("peers of VXLAN 7 of `a`: {node}"), |net, [a, b]| {
        net.link(a, b);
        net.node(a).vxlan(7, [stranger], ());
    });
    let link = "a link of another topology; use the ids that this one returned";
    only(&format!("VLAN interface of `a`: {link}"), |net, [a, _]| {
        net.node(a).vlan(foreign, 10, ());
    });
    only(&format!("`addr` of `a`: {link}"), |net, [a, _]| {
        net.node(a).addr(foreign, "192.0.2.1/24");
    });
}

#[test]
fn invalid_links_and_interfaces() {
    only("link a to a: both ends are one node; link two nodes, or use `dummy`", |net, [a, _]| {
        net.link(a, a);
    });
    only("`b` has no end of link a to c; name one that it has", |net, [a, b]| {
        let c = net.host("c");
        let link = net.link(a, c).id();
        net.node(b).macvlan(link, "mv0", MacvlanMode::Bridge, ());
    });
    only("`a` has no interface `eth7`; name one that it has", |net, [a, _]| {
        net.node(a).addr("eth7", "192.0.2.1/24");
    });
    only(
        "interface `sixteen-bytes-xx` of `a`: it is longer than 15 bytes; give a shorter one",
        |net, [a, b]| {
            net.link(a, b).interfaces("sixteen-bytes-xx", "eth0");
        },
    );
    only("`a` has two interfaces with the name `x0`; rename one", |net, [a, b]| {
        net.link(a, b).interfaces("x0", "x0");
        net.node(a).dummy("x0", ());
    });
    only("`a` has two interfaces with the name `eth0.5`; rename one", |net, [a, b]| {
        let link = net.link(a, b).id();
        net.node(a).vlan(link, 5, ()).vlan(link, 5, ());
    });
    only("`a`: VLAN 4095: an identifier is 1 to 4094; give another", |net, [a, b]| {
        let link = net.link(a, b).id();
        net.node(a).vlan(link, 4095, ());
    });
}

#[test]
fn names() {
    only("the name `` of a node: it is empty; give one", |net, _| {
        net.host("");
    });
    only("two nodes have the name `A`; rename one", |net, _| {
        net.router("A");
    });
    only("two links have the name `x`; rename one", |net, [a, b]| {
        net.link(a, b).name("x");
        net.link(a, b).name("x");
    });
    only(
        "the name `` of a link: it is empty or has a control character; give another",
        |net, [a, b]| {
            net.link(a, b).name("");
        },
    );
    only(
        "`local` and `here` are both local(): there is one such namespace; remove one",
        |net, _| {
            net.local();
            let here = net.local();
            net.node(here).name("here");
        },
    );
}

#[test]
fn routes() {
    only(
        "`a`: route to default via 192.0.2.1: it is on no subnet of the node; give an address \
         that is",
        |net, [a, b]| {
            net.link(a, b);
            net.node(a).default_route("192.0.2.1");
        },
    );
    only(
        "`a`: route to default via 10.0.0.1: it is the node's own address; give that of a \
         neighbour",
        |net, [a, b]| {
            net.link(a, b);
            net.node(a).default_route("10.0.0.1");
        },
    );
    only(
        "`a`: route to 192.0.2.0/24 via fd6e:6574:6e73::2: destination and gateway are of \
         different families; give one of the same",
        |net, [a, b]| {
            net.link(a, b);
            net.node(a).route("192.0.2.0/24", "fd6e:6574:6e73::2");
        },
    );
    only(
        "`a`: route to default via `b`: it has no address on a segment of the node; link the \
         two, or name a node that has",
        |net, [a, b]| {
            net.node(a).default_route(b);
        },
    );
    only(
        "`a`: route to default via link b to c: it does not end at the node; give a link that does",
        |net, [a, b]| {
            let c = net.host("c");
            let link = net.link(b, c).id();
            net.node(a).default_route(link);
        },
    );
    only(
        "`a`: route to fd00::/8 via link `x` (a to b): the node has no address of its family \
         there; add one",
        |net, [a, b]| {
            let link = net.link(a, b).name("x").ipv4_only().id();
            net.node(a).route("fd00::/8", link);
        },
    );
    only("route of `a` to default: `home`: no IPv4 or IPv6 address", |net, [a, _]| {
        net.node(a).default_route("home");
    });
    only("route of `a`: `192.0.2.0`: no prefix length, as in 10.0.0.1/24", |net, [a, b]| {
        net.node(a).route("192.0.2.0", b);
    });
    only("`a` has two routes to 192.0.2.0/24; remove one", |net, [a, b]| {
        net.link(a, b);
        net.node(a).route("192.0.2.0/24", b).route("192.0.2.0/24", "10.0.0.2");
    });
}

#[test]
fn tunnels() {
    let vxlan = |net: &mut Topology, a: NodeId, b: NodeId| {
        net.node(a).vxlan(7, [b], ());
    };
    only(
        "`a`: VXLAN 7: peer `b` has no such VXLAN; give it one, or do not name it",
        |net, [a, b]| {
            net.link(a, b);
            vxlan(net, a, b);
        },
    );
    only(
        "`a`: VXLAN 7: peer `b` cannot be reached from it; link the two, or add a route",
        |net, [a, b]| {
            let (c, d) = (net.host("c"), net.host("d"));
            net.link(a, c);
            net.link(b, d);
            vxlan(net, a, b);
            vxlan(net, b, a);
        },
    );
    only(
        "`b`: VXLAN 7: peer `a` is missing: all nodes of a VXLAN name each other; name it",
        |net, [a, b]| {
            net.link(a, b);
            vxlan(net, a, b);
            net.node(b).vxlan(7, [], ());
        },
    );
    only("`a`: VXLAN 7: peer `a` is the node itself; name others", |net, [a, b]| {
        net.link(a, b);
        vxlan(net, a, a);
    });
    only("`a`: VXLAN 7: peer `a` has no address outside of tunnels; link it", |net, [a, _]| {
        net.node(a).vxlan(7, [], ());
    });
    only(
        "`a`: VXLAN 16777216: an identifier has 24 bits, at most 16777215; give another",
        |net, [a, b]| {
            net.link(a, b);
            net.node(a).vxlan(1 << 24, [], ());
        },
    );
}

#[test]
fn switches() {
    let has_no =
        |what: &str| format!("`s` is a switch, which has no {what}; put it on a host or a router");
    only(&has_no("addresses"), |net, [a, _]| {
        let switch = net.switch("s");
        net.link(switch, a).addrs("192.0.2.1/24", ());
    });
    only(&has_no("addresses"), |net, _| {
        let switch = net.switch("s");
        net.node(switch).addr("br0", "192.0.2.1/24");
    });
    only(&has_no("macvlan interface"), |net, [a, _]| {
        let switch = net.switch("s");
        let link = net.link(switch, a).id();
        net.node(switch).macvlan(link, "mv0", MacvlanMode::Private, ());
    });
    only(&has_no("routes"), |net, [a, _]| {
        let switch = net.switch("s");
        net.node(switch).default_route(a);
    });
    only("`a`: `stp` is for switches; remove it", |net, [a, _]| {
        net.node(a).stp();
    });
}

#[test]
fn loops_of_switches() {
    let ring = |net: &mut Topology| {
        let switches = ["s", "t", "u"].map(|name| net.switch(name));
        for (order, &switch) in switches.iter().enumerate() {
            net.link(switch, switches[(order + 1) % 3]);
        }
        switches
    };
    only(
        "link u to s closes a loop of switches, in which frames would circulate endlessly; remove \
         it, or set `stp` on one of the switches",
        |net, _| {
            ring(net);
        },
    );
    let (mut net, [a, b]) = pair();
    let switches = ring(&mut net);
    net.link(a, switches[0]);
    net.link(b, switches[1]);
    net.node(switches[2]).stp();
    let plan = net.plan().unwrap();
    crate::lab::tests::check_invariants(&plan);
    assert!(plan.can_reach(a, b).both());
}

#[test]
fn sysctls_and_macs() {
    only(
        "`a`: sysctl `net..x`: a part of it is empty (`..`, or a dot at an end); give its name as \
         sysctl(8) does",
        |net, [a, _]| {
            net.node(a).sysctl("net..x", 1);
        },
    );
    only(
        "`a`: sysctl `kernel.hostname`: only those below `net.` are the node's own; give one of \
         these",
        |net, [a, _]| {
            net.node(a).sysctl("kernel.hostname", "x");
        },
    );
    only(
        "02:00:00:00:00:01 is the Ethernet address of `eth0` of `a` and of `eth0` of `b`; change \
         one",
        |net, [a, b]| {
            net.link(a, b).macs("02:00:00:00:00:01", [2, 0, 0, 0, 0, 1]);
        },
    );
    only(
        "`eth0` of `a`: `01:00:00:00:00:01`: a multicast address: clear bit 0 of the first octet",
        |net, [a, b]| {
            net.link(a, b).macs("01:00:00:00:00:01", [2, 0, 0, 0, 0, 1]);
        },
    );
}

#[test]
fn all_at_once() {
    let (mut net, [client, server, home]) = example();
    net.host("Client");
    net.link(client, client).mtu(10);
    net.link(server, home).addrs("10.0.0.999/24", "192.0.2.255/24").mtu(1000);
    net.node(home).sysctl("kernel.panic", 1).default_route("203.0.113.1");
    let lan = net.link(client, home).subnet("192.0.2.0/24").interfaces("a b", "eth0").id();
    net.node(client).vlan(lan, 0, ());
    let errors = net.plan().unwrap_err();
    let expected = "\
10 errors in the topology
  link client to client: both ends are one node; link two nodes, or use `dummy`
  `home`: sysctl `kernel.panic`: only those below `net.` are the node's own; give one of these
  two nodes have the name `Client`; rename one
  interface `a b` of `client`: the kernel accepts no white space in it; give another
  `client`: VLAN 0: an identifier is 1 to 4094; give another
  `eth1` of `server` (link server to home): `10.0.0.999/24`: no IPv4 or IPv6 address before the `/`
  `eth3` of `home` (link server to home): 192.0.2.255/24 is the broadcast address of the subnet; \
         give the address of one interface
  link client to client: an MTU of 10 is not in 68 to 65535: the kernel accepts no other; set \
         one in this range
  link server to home: an MTU of 1000 is not in 1280 to 65535: IPv6 needs that much; raise it, or \
         make the link `ipv4_only`
  `home`: route to default via 203.0.113.1: it is on no subnet of the node; give an address that \
                                                                                                    is";
    assert_eq!(errors.to_string(), expected, "\n{errors}");
    let at = format!("\n  at {}:", file!());
    let shown = format!("{errors:?}");
    assert!(shown.starts_with(&format!("{expected}{at}")), "{shown}");
    let shown = crate::error::Error::from(errors.clone()).to_string();
    let expected = expected.replacen("10 errors in the topology", "plan topology: 10 errors", 1);
    assert!(shown.starts_with(&format!("{expected}{at}")), "{shown}");
    assert!(
        errors
            .as_slice()
            .contains(&TopologyError::DuplicateName { what: "node", name: "Client".to_owned() })
    );
}
