//! Errors of addresses, subnets, pools and MTUs with their texts.

use crate::lab::tests::errors::{only, pair};

#[test]
fn static_addresses() {
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
        ("0.0.0.1/0", "an address of `this network` (RFC 1122)"),
        ("224.0.0.1/4", "a multicast address"),
        ("127.0.0.1/8", "a loopback address, which every node has for itself"),
        ("fe80::1/64", "a link-local address, which the kernel assigns"),
        ("0.1.2.3/32", "an address of `this network` (RFC 1122)"),
        ("255.255.255.255/32", "the limited broadcast address (RFC 919)"),
        ("255.255.255.255/31", "the limited broadcast address (RFC 919)"),
        ("::/128", "no address"),
        ("::1/128", "a loopback address, which every node has for itself"),
        ("::2/128", "an IPv4-compatible address, which is deprecated (RFC 4291)"),
        ("::a00:1/120", "an IPv4-compatible address, which is deprecated (RFC 4291)"),
        ("::ffff:10.0.0.1/120", "an IPv4-mapped address, which sockets take for one of IPv4"),
        ("::ffff:10.0.0.1/128", "an IPv4-mapped address, which sockets take for one of IPv4"),
        ("ff02::1/64", "a multicast address"),
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

/// Subnets and pools that overlap a reserved range and have usable addresses too.
#[test]
fn subnets_that_hold_reserved_addresses() {
    let reserved = [
        ("255.255.255.254/31", "255.255.255.255/32, the limited broadcast address (RFC 919)"),
        ("255.255.255.0/24", "255.255.255.255/32, the limited broadcast address (RFC 919)"),
        ("126.0.0.0/7", "127.0.0.0/8, a loopback address, which every node has for itself"),
        ("fe00::/8", "fe80::/10, a link-local address, which the kernel assigns"),
    ];
    for (subnet, why) in reserved {
        only(&format!("link a to b: {subnet} holds {why}; give another subnet"), |net, [a, b]| {
            net.link(a, b).subnet(subnet);
        });
    }
    let ipv4 = [
        ("0.0.0.0/0", "0.0.0.0/32, no address"),
        ("255.255.0.0/16", "255.255.255.255/32, the limited broadcast address (RFC 919)"),
        ("127.1.0.0/16", "127.0.0.0/8, a loopback address, which every node has for itself"),
    ];
    for (pool, why) in ipv4 {
        only(&format!("pools: {pool} holds {why}; give another subnet"), |net, [a, b]| {
            net.pools(pool, "fd00::/48");
            net.link(a, b);
        });
    }
    let mapped = "::ffff:0.0.0.0/96, an IPv4-mapped address, which sockets take for one of IPv4";
    only(
        &format!("pools: ::ffff:10.0.0.0/104 holds {mapped}; give another subnet"),
        |net, [a, b]| {
            net.pools("10.0.0.0/8", "::ffff:10.0.0.0/104");
            net.link(a, b);
        },
    );
    // The pool would assign it to the other end.
    only(
        "`eth0` of `b` (link a to b): 255.255.255.255/31 is the limited broadcast address \
         (RFC 919); give the address of one interface",
        |net, [a, b]| {
            net.link(a, b).addrs("255.255.255.254/31", ());
        },
    );
}

#[test]
fn unusual_subnets_are_accepted() {
    for subnet in [
        "192.0.2.0/24",
        "240.0.0.0/24",
        "255.255.254.0/24",
        "169.254.7.0/24",
        "100.64.0.0/10",
        "2001:db8::/64",
        "64:ff9b::/96",
        "fec0::/64",
    ] {
        let (mut net, [a, b]) = pair();
        net.link(a, b).subnet(subnet);
        assert!(net.plan().is_ok(), "{subnet}: {:?}", net.plan());
    }
}

#[test]
fn subnets() {
    let reserved = [
        ("0.0.0.0/0", "0.0.0.1/0 is an address of `this network` (RFC 1122)"),
        ("127.0.0.0/8", "127.0.0.1/8 is a loopback address, which every node has for itself"),
        ("224.0.0.0/4", "224.0.0.1/4 is a multicast address"),
        ("fe80::/64", "fe80::1/64 is a link-local address, which the kernel assigns"),
        (
            "::ffff:10.0.0.0/120",
            "::ffff:10.0.0.1/120 is an IPv4-mapped address, which sockets take for one of IPv4",
        ),
        ("::/64", "::1/64 is a loopback address, which every node has for itself"),
        ("ff05::/64", "ff05::1/64 is a multicast address"),
    ];
    for (subnet, why) in reserved {
        only(&format!("link a to b: {why}; give the address of one interface"), |net, [a, b]| {
            net.link(a, b).subnet(subnet);
        });
    }
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
            "{place}: {given} is of a family that is disabled on the segment; remove it, or \
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
}

#[test]
fn pools() {
    only(
        "link a to b: no address is left in 192.0.2.0/32 for 2 interfaces; give a larger subnet",
        |net, [a, b]| {
            net.link(a, b).subnet("192.0.2.0/32");
        },
    );
    only(
        "link `x` (a to b): no subnet is left in the pool 192.168.0.0/24; set a larger one with \
         `pools`, or the subnet of the segment",
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
    let kernel = "the kernel accepts no other; set one in this range";
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
        "VXLAN 7: an MTU of 1250 is not in 1280 to 65535: IPv6 needs that much; raise the MTU \
         of the links below",
        |net, [a, b]| {
            net.link(a, b).mtu(1300);
            net.node(a).vxlan(7, [b], ());
            net.node(b).vxlan(7, [a], ());
        },
    );
}
