//! Every mistake, and the words for it.

use super::example;
use crate::lab::{MacvlanMode, Mistake, NodeId, Topology};

/// Two hosts.
fn pair() -> (Topology, [NodeId; 2]) {
    let mut net = Topology::new();
    let nodes = ["a", "b"].map(|name| net.host(name));
    (net, nodes)
}

/// Checks that what `change` makes of two hosts is one mistake, with this text.
#[track_caller]
fn only(expected: &str, change: impl FnOnce(&mut Topology, [NodeId; 2])) {
    let (mut net, nodes) = pair();
    change(&mut net, nodes);
    let found = net.plan().unwrap_err();
    assert_eq!(found.to_string(), format!("1 mistake in the topology\n  {expected}"));
}

#[test]
fn nodes_and_links_of_other_topologies() {
    let (mut other, [stranger, friend]) = pair();
    let foreign = other.link(stranger, friend).id();
    let node = "a node of another topology; use the ids that this one gave";
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
    let link = "a link of another topology; use the ids that this one gave";
    only(&format!("VLAN interface of `a`: {link}"), |net, [a, _]| {
        net.node(a).vlan(foreign, 10, ());
    });
    only(&format!("`addr` of `a`: {link}"), |net, [a, _]| {
        net.node(a).addr(foreign, "192.0.2.1/24");
    });
}

#[test]
fn links_and_interfaces_that_cannot_be() {
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
fn addresses_by_hand() {
    only(
        "`eth0` of `a` (link a to b): `10.0.0.300/24`: no IPv4 or IPv6 address before the `/`",
        |net, [a, b]| {
            net.link(a, b).addrs("10.0.0.300/24", ());
        },
    );
    only(
        "192.0.2.1 is the address of `eth0` of `a` (link `x` (a to b)) and of `eth0` of `b` \
         (link `x` (a to b)); change one",
        |net, [a, b]| {
            net.link(a, b).name("x").addrs("192.0.2.1/24", "192.0.2.1/24");
        },
    );
    only(
        "`eth0` of `b` (link a to b): 192.0.3.1/24 is not in the segment's subnet 192.0.2.0/24; \
         give one that is",
        |net, [a, b]| {
            net.link(a, b).addrs("192.0.2.1/24", "192.0.3.1/24");
        },
    );
    only(
        "`eth0` of `b` (link a to b): 192.0.2.9/28 is in the segment's subnet 192.0.2.0/24 with \
         another prefix length; write /24",
        |net, [a, b]| {
            net.link(a, b).addrs("192.0.2.1/24", "192.0.2.9/28");
        },
    );
    let reserved = [
        ("192.0.2.0/24", "the address of the network"),
        ("192.0.2.255/24", "the broadcast address of the subnet"),
        ("2001:db8::/64", "the address of all routers of the subnet"),
        ("0.0.0.0/32", "no address"),
        ("224.0.0.1/4", "a multicast address"),
        ("127.0.0.1/8", "a loopback address, which every node has for itself"),
        ("fe80::1/64", "a link-local address, which the kernel hands out"),
    ];
    for (given, why) in reserved {
        let place = "`eth0` of `a` (link a to b)";
        only(
            &format!("{place}: {given} is {why}; give the address of one interface"),
            |net, [a, b]| {
                net.link(a, b).addrs(given, ());
            },
        );
    }
}

#[test]
fn subnets() {
    only(
        "192.0.2.0/24 (link a to b) and 192.0.2.128/25 (link `x` (a to b)) overlap; give one \
         another subnet",
        |net, [a, b]| {
            net.link(a, b).subnet("192.0.2.0/24");
            net.link(a, b).name("x").subnet("192.0.2.128/25");
        },
    );
    only(
        "link a to b: two IPv4 subnets, 192.0.2.0/24 and 192.0.3.0/24; a segment has one: remove \
         the other",
        |net, [a, b]| {
            net.link(a, b).subnet("192.0.2.0/24").subnet("192.0.3.0/24");
        },
    );
    only(
        "subnet of link a to b: `192.0.2.1/24`: bits after the prefix are set; the subnet is \
         192.0.2.0/24",
        |net, [a, b]| {
            net.link(a, b).subnet("192.0.2.1/24");
        },
    );
    only("link a to b: ipv4_only and ipv6_only on one segment; remove one", |net, [a, b]| {
        net.link(a, b).ipv4_only().ipv6_only();
    });
    for (place, given, is_subnet) in [
        ("link a to b", "2001:db8::/64", true),
        ("`eth0` of `b` (link a to b)", "2001:db8::1/64", false),
    ] {
        let expected = format!(
            "{place}: {given} is of the family that the segment shall not have; remove it, or \
             `ipv4_only` or `ipv6_only`"
        );
        only(&expected, |net, [a, b]| {
            let link = net.link(a, b).ipv4_only();
            if is_subnet {
                link.subnet(given)
            } else {
                link.addrs((), given)
            };
        });
    }
    only(
        "link a to b: no address is left in 192.0.2.0/32 for 2 interfaces; give a larger subnet",
        |net, [a, b]| {
            net.link(a, b).subnet("192.0.2.0/32");
        },
    );
    only(
        "link `x` (a to b): no subnet is left in the pool 192.168.0.0/24; give a larger one with \
         `pools`, or a subnet by hand",
        |net, [a, b]| {
            net.pools("192.168.0.0/24", "fd00::/48");
            net.link(a, b);
            net.link(a, b).name("x");
        },
    );
    only(
        "pools: `10.0.0.1/8`: bits after the prefix are set; the subnet is 10.0.0.0/8",
        |net, _| {
            net.pools("10.0.0.1/8", "fd00::/48");
        },
    );
}

#[test]
fn pools_of_the_wrong_family() {
    let (mut net, _) = pair();
    net.pools("fd00::/48", "10.0.0.0/8");
    let found = net.plan().unwrap_err();
    assert_eq!(
        found.as_slice()[0].to_string(),
        "pools: fd00::/48 is of the other family; give IPv4 first, then IPv6"
    );
    assert_eq!(found.as_slice().len(), 2);
}

#[test]
fn mtus() {
    let out = |mtu, least, why: &str| {
        format!("link a to b: an MTU of {mtu} is not in {least} to 65535: {why}")
    };
    let ipv6 = "IPv6 needs that much; raise it, or make the link `ipv4_only`";
    let kernel = "the kernel takes no other; give one that is";
    for (mtu, least, why) in
        [(1279, 1280, ipv6), (67, 68, kernel), (65536, 68, kernel), (0, 68, kernel)]
    {
        only(&out(mtu, least, why), |net, [a, b]| {
            net.link(a, b).mtu(mtu);
        });
    }
    only(&out(67, 68, kernel), |net, [a, b]| {
        net.link(a, b).mtu(67).ipv4_only();
    });
    only(
        "link a to s has an MTU of 1500, link b to s one of 9000: they are one segment; give \
         both the same, or put a router between",
        |net, [a, b]| {
            let switch = net.switch("s");
            net.link(a, switch).mtu(1500);
            net.link(b, switch).mtu(9000);
        },
    );
    only(
        "VXLAN 7: an MTU of 1250 is not in 1280 to 65535: IPv6 needs that much; raise that of \
         the links below",
        |net, [a, b]| {
            net.link(a, b).mtu(1300);
            net.node(a).vxlan(7, [b], ());
            net.node(b).vxlan(7, [a], ());
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
    only("`a`: VXLAN 7: peer `b` cannot be reached from it; give the two a way", |net, [a, b]| {
        let (c, d) = (net.host("c"), net.host("d"));
        net.link(a, c);
        net.link(b, d);
        vxlan(net, a, b);
        vxlan(net, b, a);
    });
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
        "link u to s closes a loop of switches, in which frames would go round for ever; remove \
         it, or have one of the switches speak `stp`",
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
    super::check_invariants(&plan);
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
    let mistakes = net.plan().unwrap_err();
    let expected = "\
10 mistakes in the topology
  link client to client: both ends are one node; link two nodes, or use `dummy`
  `home`: sysctl `kernel.panic`: only those below `net.` are the node's own; give one of these
  two nodes have the name `Client`; rename one
  interface `a b` of `client`: the kernel does not take white space in it; give another
  `client`: VLAN 0: an identifier is 1 to 4094; give another
  `eth1` of `server` (link server to home): `10.0.0.999/24`: no IPv4 or IPv6 address before the `/`
  `eth3` of `home` (link server to home): 192.0.2.255/24 is the broadcast address of the subnet; \
         give the address of one interface
  link client to client: an MTU of 10 is not in 68 to 65535: the kernel takes no other; give one \
         that is
  link server to home: an MTU of 1000 is not in 1280 to 65535: IPv6 needs that much; raise it, or \
         make the link `ipv4_only`
  `home`: route to default via 203.0.113.1: it is on no subnet of the node; give an address that is";
    assert_eq!(mistakes.to_string(), expected, "\n{mistakes}");
    assert_eq!(format!("{mistakes:?}"), expected);
    let error = crate::Error::from(mistakes.clone());
    assert_eq!(
        error.to_string(),
        expected.replacen("10 mistakes in the topology", "plan topology: 10 mistakes", 1)
    );
    assert!(
        mistakes
            .as_slice()
            .contains(&Mistake::DuplicateName { what: "node", name: "Client".to_owned() })
    );
}
