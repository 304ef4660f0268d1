//! Changes of a running lab: addresses, routes and where links end, against `ip` and by packets.

use std::io::{Read as _, Write as _};

use netns_test::lab::WAIT_LIMIT;
use netns_test::{Lab, LinkId, Node, NodeId, netns_test};

use netns_test_tests::{Said as _, stdout_of};

use crate::net::{Mesh, connection, switched, topology};
use crate::oracle::{ip, text};

/// The addresses of an interface, but for the link-local one, as `ip` has them.
pub(crate) fn addresses(host: &Node, interface: &str) -> Vec<String> {
    let link = &ip(host, &["address", "show", "dev", interface])[0];
    let all = link["addr_info"].as_array().unwrap().iter();
    let given = all.filter(|one| text(one, "scope") == "global");
    given.map(|one| format!("{}/{}", text(one, "local"), one["prefixlen"])).collect()
}

/// `10.0.0.0/24 via 10.1.0.1 dev eth0` of the main table.
pub(crate) fn routes(host: &Node, family: &str) -> Vec<String> {
    let all = ip(host, &[family, "route", "show", "table", "main"]);
    let shown = all.iter().filter(|route| text(route, "dev") != "lo").map(|route| {
        let [to, via, dev] = ["dst", "gateway", "dev"].map(|field| text(route, field));
        if via.is_empty() { format!("{to} dev {dev}") } else { format!("{to} via {via} dev {dev}") }
    });
    shown.filter(|route| !route.starts_with("fe80::")).collect()
}

/// Two hosts on a router.
fn pair() -> netns_test::Result<(Lab, [NodeId; 3], [LinkId; 2])> {
    let mut net = topology();
    let (a, router, b) = (net.host("a"), net.router("router"), net.host("b"));
    let links = [net.link(a, router).id(), net.link(router, b).id()];
    Ok((net.build()?, [a, router, b], links))
}

#[netns_test]
fn addresses_come_and_go() -> netns_test::Result<()> {
    let (lab, [a, router, b], [link, _]) = pair()?;
    lab[a].interface("eth0").add_addr("10.9.0.1/24")?;
    lab[a].interface(link).add_addr("2001:db8::1/64")?;
    lab[router]
        .interface(link)
        .add_addr(("10.9.0.2".parse::<std::net::Ipv4Addr>().unwrap(), 24))?;
    lab[router].interface(link).add_addr("2001:db8::2/64")?;
    assert_eq!(
        addresses(&lab[a], "eth0"),
        ["10.0.0.1/24", "10.9.0.1/24", "2001:db8::1/64", "fd6e:6574:6e73::1/64"]
    );
    // At once, both ways.
    for (from, to, address) in [
        (a, router, "10.9.0.2"),
        (a, router, "2001:db8::2"),
        (router, a, "10.9.0.1"),
        (router, a, "2001:db8::1"),
        (b, a, "10.9.0.1"),
        (b, a, "2001:db8::1"),
    ] {
        drop(connection(&lab, from, to, address.parse().unwrap()));
    }
    lab[a].interface(link).remove_addr("10.9.0.1/24")?;
    lab[a].interface("eth0").remove_addr("2001:db8::1/64")?;
    assert_eq!(addresses(&lab[a], "eth0"), ["10.0.0.1/24", "fd6e:6574:6e73::1/64"]);
    // The file of names is as before.
    let known = lab[b].run(|| std::fs::read_to_string("/etc/hosts"))?;
    assert!(!known.contains("10.9.0"), "{known}");
    Ok(())
}

/// The kernel would drop the others of its subnet with the first one.
#[netns_test]
fn the_first_address_of_a_subnet_goes_alone() -> netns_test::Result<()> {
    let (lab, [a, _, b], _) = pair()?;
    lab[a].interface("eth0").add_addr("10.0.0.77/24")?;
    let before = routes(&lab[a], "-4");
    lab[a].interface("eth0").remove_addr("10.0.0.1/24")?;
    assert_eq!(addresses(&lab[a], "eth0"), ["10.0.0.77/24", "fd6e:6574:6e73::1/64"]);
    assert_eq!(routes(&lab[a], "-4"), before);
    drop(connection(&lab, b, a, "10.0.0.77".parse().unwrap()));
    Ok(())
}

#[netns_test]
fn an_address_takes_the_place_of_others() -> netns_test::Result<()> {
    let (lab, [a, router, b], [link, _]) = pair()?;
    lab[a].interface(link).add_addr("10.9.0.1/24")?;
    let before = [routes(&lab[a], "-4"), routes(&lab[a], "-6")];
    for (address, address_6) in
        [("10.0.0.50/24", "fd6e:6574:6e73::50/64"), ("10.0.0.1/24", "fd6e:6574:6e73::1/64")]
    {
        // Twice: it may be there.
        for _ in 0..2 {
            lab[a].interface(link).set_addr(address)?;
            lab[a].interface(link).set_addr(address_6)?;
            assert_eq!(addresses(&lab[a], "eth0"), [address, address_6]);
        }
        // The gateway is in the subnet as before.
        let kept: Vec<_> = before[0].iter().filter(|one| !one.starts_with("10.9.")).collect();
        assert_eq!(routes(&lab[a], "-4").iter().collect::<Vec<_>>(), kept);
        assert_eq!(routes(&lab[a], "-6"), before[1]);
        for own in [address, address_6] {
            let own = own.split_once('/').unwrap().0.parse().unwrap();
            drop(connection(&lab, b, a, own));
        }
    }
    // And here it is not.
    lab[a].interface(link).set_addr("192.0.2.1/24")?;
    assert_eq!(routes(&lab[a], "-4"), ["192.0.2.0/24 dev eth0"]);
    lab[router].interface(link).set_addr("192.0.2.2/24")?;
    drop(connection(&lab, b, a, lab.plan().addresses_of(a)[1]));
    drop(connection(&lab, router, a, "192.0.2.1".parse().unwrap()));
    Ok(())
}

#[netns_test]
fn routes_come_and_go() -> netns_test::Result<()> {
    let (lab, [a, router, b], _) = pair()?;
    lab[b].interface("lo").add_addr("198.51.100.1/32")?;
    lab[b].interface("lo").add_addr("2001:db8::1/128")?;
    lab[router].add_route("198.51.100.0/24", b)?;
    lab[router].add_route("2001:db8::/32", b)?;
    drop(connection(&lab, a, b, "198.51.100.1".parse().unwrap()));
    drop(connection(&lab, a, b, "2001:db8::1".parse().unwrap()));
    let before = [routes(&lab[a], "-4"), routes(&lab[a], "-6")];
    lab[a].add_route("198.51.100.0/24", "10.0.0.2")?;
    lab[a].add_route("2001:db8::/32", router)?;
    assert!(routes(&lab[a], "-4").contains(&"198.51.100.0/24 via 10.0.0.2 dev eth0".to_owned()));
    // In the place of itself.
    lab[a].add_route("198.51.100.0/24", router)?;
    assert_eq!(routes(&lab[a], "-4").len(), before[0].len() + 1);
    lab[a].remove_route("198.51.100.0/24")?;
    lab[a].remove_route("2001:db8::/32")?;
    assert_eq!([routes(&lab[a], "-4"), routes(&lab[a], "-6")], before);
    // Also those of the plan, and of the kernel.
    lab[a].remove_route("0.0.0.0/0")?;
    lab[a].remove_route("::/0")?;
    assert_eq!(routes(&lab[a], "-4"), ["10.0.0.0/24 dev eth0"]);
    assert_eq!(routes(&lab[a], "-6"), ["fd6e:6574:6e73::/64 dev eth0"]);
    lab[a].add_route("0.0.0.0/0", router)?;
    lab[a].add_route("::/0", router)?;
    assert_eq!([routes(&lab[a], "-4"), routes(&lab[a], "-6")], before);
    lab[a].remove_route("10.0.0.0/24")
}

/// Link-local addresses are near on every link, whichever it is.
#[netns_test]
fn a_node_is_a_gateway_by_its_address_on_the_link() -> netns_test::Result<()> {
    let (lab, [a, router, b], _) = pair()?;
    lab[b].add_route("2001:db8::/32", router)?;
    lab[b].add_route("198.51.100.0/24", router)?;
    let gateway = "2001:db8::/32 via fd6e:6574:6e73:1::1 dev eth0".to_owned();
    assert!(routes(&lab[b], "-6").contains(&gateway), "{:?}", routes(&lab[b], "-6"));
    for to in ["2001:db9::/32", "192.0.2.0/24"] {
        let message = lab[b].add_route(to, a).unwrap_err().said();
        assert_eq!(
            message,
            format!("add the route to {to} of b: a has no address on a subnet of the node")
        );
    }
    Ok(())
}

/// The gateway of the plan cannot be reached any more.
#[netns_test]
fn a_link_comes_up_with_other_addresses() -> netns_test::Result<()> {
    let (lab, [a, router, b], [link, far]) = pair()?;
    for (node, last) in [(a, 1), (router, 2)] {
        lab[node].interface(link).set_addr(format!("192.0.2.{last}/24"))?;
        lab[node].interface(link).set_addr(format!("2001:db8::{last}/64"))?;
    }
    lab[link].down()?;
    lab[link].up()?;
    drop(connection(&lab, a, router, "192.0.2.2".parse().unwrap()));
    drop(connection(&lab, router, a, "2001:db8::1".parse().unwrap()));
    lab[far].down()?;
    lab[far].up()?;
    lab[b].wait(WAIT_LIMIT).reachable(lab.plan().addresses_of(router)[1])
}

#[netns_test]
fn no_link_makes_a_ring_of_switches() -> netns_test::Result<()> {
    let mut net = topology();
    let [one, two, three] = ["one", "two", "three"].map(|name| net.switch(name));
    let [a, b] = ["a", "b"].map(|name| net.host(name));
    net.link(a, one);
    net.link(b, two);
    net.link(one, two);
    let link = net.link(two, three).id();
    let lab = net.build()?;
    let message = lab.move_link(link, three, one).unwrap_err().said();
    let expected = "move link two to three: frames would circulate between one, two without end; \
        set `stp` on one of them";
    assert_eq!(message, expected);
    crate::oracle::check(&lab);
    // In a row they may be.
    lab.move_link(link, two, one)?;
    Mesh::new(&lab, &[a, b]).all_pairs_talk();
    Ok(())
}

#[netns_test]
fn an_end_that_has_come_to_the_caller_keeps_its_addresses() -> netns_test::Result<()> {
    let mut net = topology();
    let (own, switch, host) = (net.local(), net.switch("switch"), net.host("host"));
    net.link(own, switch);
    let link = net.link(host, switch).id();
    let lab = net.build()?;
    lab.move_link(link, switch, own)?;
    lab[own].interface(link).add_addr("2001:db8::1/64")?;
    lab[host].interface(link).add_addr("2001:db8::2/64")?;
    lab[link].down()?;
    lab[link].up()?;
    drop(connection(&lab, own, host, "2001:db8::2".parse().unwrap()));
    drop(connection(&lab, host, own, "2001:db8::1".parse().unwrap()));
    Ok(())
}

#[netns_test]
fn invalid_changes_name_the_node() -> netns_test::Result<()> {
    let (lab, [a, router, b], [_, far]) = pair()?;
    let mut other = topology();
    let (one, two) = (other.host("one"), other.host("two"));
    let strange = other.link(one, two).id();
    let (host, interface) = (&lab[a], lab[a].interface("eth0"));
    let cases = [
        (interface.add_addr("10.9.0.1"), "add an address of a: `10.9.0.1`: no prefix length"),
        (interface.remove_addr("x/1"), "remove an address of a: `x/1`: no IPv4 or IPv6 address"),
        (interface.set_addr(""), "set an address of a: ``: no prefix"),
        (
            host.interface("eth7").add_addr("10.9.0.1/24"),
            "find interface eth7 of a: there is none\n  interfaces: lo, ",
        ),
        (
            host.interface(far).add_addr("10.9.0.1/24"),
            "find the end of link router to b of a: there is none",
        ),
        (
            host.interface(strange).add_addr("10.9.0.1/24"),
            "find the end of a link of another lab of a: ",
        ),
        (interface.add_addr("10.0.0.1/24"), "add 10.0.0.1/24 on eth0 of a: EEXIST"),
        (interface.remove_addr("10.0.0.7/24"), "remove 10.0.0.7/24 on eth0 of a: EADDRNOTAVAIL"),
        (host.add_route("10.9.0.1/24", router), "add a route of a: `10.9.0.1/24`: bits after"),
        (
            host.add_route("10.9.0.0/24", "x"),
            "add the route to 10.9.0.0/24 of a: `x`: no IPv4 or IPv6",
        ),
        (
            host.add_route("10.9.0.0/24", "::1"),
            "add the route to 10.9.0.0/24 of a: the gateway ::1 is",
        ),
        (
            host.add_route("10.9.0.0/24", b),
            "add the route to 10.9.0.0/24 of a: b has no address on a",
        ),
        (
            host.add_route("10.9.0.0/24", one),
            "add the route to 10.9.0.0/24 of a: the gateway is a node",
        ),
        (
            host.add_route("10.9.0.0/24", "10.0.1.2"),
            "add route to 10.9.0.0/24 via 10.0.1.2 of a: ENETUNREACH",
        ),
        (host.remove_route("10.9.0.0/24"), "remove route to 10.9.0.0/24 of a: ESRCH"),
        (lab.move_link(far, a, b).map(drop), "move link router to b: it has no end at a"),
        (lab.move_link(far, router, b).map(drop), "move link router to b: both ends would be at b"),
        (lab.move_link(strange, a, b).map(drop), "move a link of another topology: it is not in"),
        (lab.move_link(far, one, b).map(drop), "move a node of another topology: it is not in"),
        (lab.power_on(a), "power on a: it is on"),
        (lab.power_off(one), "power off a node of another topology: it is not in this lab"),
    ];
    for (result, expected) in cases {
        let text = result.unwrap_err().said();
        assert!(text.starts_with(expected), "{text}\nexpected: {expected}");
    }
    // Nothing has changed.
    crate::oracle::check(&lab);
    Ok(())
}

/// A host with two switches to choose from, each with a server.
#[netns_test]
fn a_host_roams_from_switch_to_switch() -> netns_test::Result<()> {
    let mut net = topology();
    let (one, two, router) = (net.switch("one"), net.switch("two"), net.router("router"));
    let (roamer, first, second) = (net.host("roamer"), net.host("first"), net.host("second"));
    let radio = net.link(roamer, one).id();
    net.link(first, one);
    net.link(router, one);
    net.link(router, two);
    net.link(second, two);
    let lab = net.build()?;
    let mac = |host: &Node| text(&ip(host, &["link", "show", "eth0"])[0], "address").to_owned();
    let before = (mac(&lab[roamer]), addresses(&lab[roamer], "eth0"));
    Mesh::new(&lab, &[roamer, first, second, router]).all_pairs_talk();
    assert_eq!(lab.move_link_as_is(radio, one, two)?, "roamer");
    assert_eq!((mac(&lab[roamer]), addresses(&lab[roamer], "eth0")), before);
    assert!(ip(&lab[one], &["link", "show"]).iter().all(|link| text(link, "ifname") != "roamer"));
    let port = &ip(&lab[two], &["link", "show", "roamer"])[0];
    assert_eq!((text(port, "master"), text(port, "operstate")), ("br0", "UP"));
    // It has the addresses of the other segment still: a new one leads on.
    lab[roamer].interface("eth0").set_addr("10.0.1.77/24")?;
    lab[roamer].interface("eth0").set_addr("fd6e:6574:6e73:1::77/64")?;
    for to in [second, router] {
        let addresses = lab.plan().addresses_of(to).iter().filter(|to| {
            to.to_string().starts_with("10.0.1.") || to.to_string().starts_with("fd6e:6574:6e73:1:")
        });
        let count = addresses.map(|address| drop(connection(&lab, roamer, to, *address))).count();
        assert_eq!(count, 2);
    }
    // And back.
    lab.move_link_as_is(radio, two, one)?;
    lab[roamer].interface("eth0").set_addr("10.0.0.1/24")?;
    lab[roamer].interface("eth0").set_addr("fd6e:6574:6e73::1/64")?;
    lab[roamer].add_route("0.0.0.0/0", router)?;
    lab[roamer].add_route("::/0", router)?;
    Mesh::new(&lab, &[roamer, first, second, router]).all_pairs_talk();
    lab[radio].down()?;
    lab[radio].up()?;
    Mesh::new(&lab, &[roamer, first]).all_pairs_talk();
    Ok(())
}

#[netns_test]
fn a_link_that_is_moved_as_is_to_a_host_is_bare() -> netns_test::Result<()> {
    let (lab, [a, router, b], [link, far]) = pair()?;
    let before = ip(&lab[a], &["link", "show", "eth0"])[0].clone();
    // `eth0` is taken there.
    assert_eq!(lab.move_link_as_is(link, a, b)?, "eth1");
    let moved = &ip(&lab[b], &["address", "show", "eth1"])[0];
    assert_eq!((&moved["address"], &moved["mtu"]), (&before["address"], &before["mtu"]));
    assert_eq!(text(moved, "operstate"), "UP");
    assert_eq!(addresses(&lab[b], "eth1"), Vec::<String>::new());
    assert_eq!(
        ip(&lab[a], &["link", "show"]).iter().filter(|one| text(one, "ifname") == "eth0").count(),
        0
    );
    lab[b].interface(link).add_addr("10.0.0.1/24")?;
    drop(connection(&lab, router, b, "10.0.0.1".parse().unwrap()));
    assert_eq!(lab.move_link_as_is(link, b, b)?, "eth1");
    // Down it stays down, and up brings both ends up where they are.
    lab[link].down()?;
    assert_eq!(lab.move_link_as_is(link, b, a)?, "eth1");
    assert_eq!(text(&ip(&lab[a], &["link", "show", "eth1"])[0], "operstate"), "DOWN");
    lab[link].up()?;
    lab[a].interface(link).add_addr("10.0.0.1/24")?;
    drop(connection(&lab, router, a, "10.0.0.1".parse().unwrap()));
    drop(connection(&lab, router, b, lab.plan().addresses_of(b)[0]));
    lab[far].down()?;
    lab[far].up()
}

#[netns_test]
fn the_callers_end_moves_and_comes_back() -> netns_test::Result<()> {
    let mut net = topology();
    let (own, one, two) = (net.local(), net.switch("one"), net.host("two"));
    let link = net.link(own, one).id();
    net.link(one, two);
    let lab = net.build()?;
    Mesh::new(&lab, &[own, two]).all_pairs_talk();
    lab.move_link(link, own, two)?;
    assert!(std::net::TcpStream::connect(("10.0.0.2", 80)).is_err());
    lab.move_link(link, two, own)?;
    Mesh::new(&lab, &[own, two]).all_pairs_talk();
    drop(lab);
    let left = stdout_of("ip", &["-o", "link"]);
    assert_eq!(left.lines().count(), 1, "{left}");
    Ok(())
}

/// A partition is one of nodes, whatever their addresses.
#[netns_test]
fn partitions_hold_for_new_addresses() -> netns_test::Result<()> {
    let (net, nodes) = switched(3);
    let lab = net.build()?;
    let [near, far, third] = nodes[..] else { panic!() };
    lab.partition(&[near], &[far])?;
    for node in [near, far, third] {
        let at = nodes.iter().position(|other| *other == node).unwrap() + 1;
        lab[node].interface("eth0").add_addr(format!("192.0.2.{at}/24"))?;
        lab[node].interface("eth0").add_addr(format!("2001:db8::{at}/64"))?;
    }
    let sockets = nodes.iter().map(|node| lab[*node].run(|| std::net::UdpSocket::bind("[::]:99")));
    let sockets = sockets.collect::<Result<Vec<_>, _>>()?;
    for address in ["::ffff:192.0.2.2", "2001:db8::2"] {
        let target = (address.parse::<std::net::Ipv6Addr>().unwrap(), 99);
        sockets[0].send_to(b"lost", target)?;
        sockets[2].send_to(b"heard", target)?;
        let mut buffer = [0; 8];
        let length = sockets[1].recv(&mut buffer)?;
        assert_eq!(&buffer[..length], b"heard");
    }
    lab.heal()?;
    for address in ["192.0.2.2", "2001:db8::2"] {
        let [mut one, mut other] = connection(&lab, near, far, address.parse().unwrap());
        one.write_all(b"x")?;
        other.read_exact(&mut [0])?;
    }
    Ok(())
}

/// The kernel takes the one of IPv4 away, and keeps the one of IPv6.
#[netns_test]
fn a_default_route_by_a_gateway_that_is_far_goes() -> netns_test::Result<()> {
    let (lab, [a, _, _], _) = pair()?;
    let is_default = |family| {
        let all = routes(&lab[a], family);
        all.iter().filter(|route| route.starts_with("default")).count()
    };
    lab[a].interface("eth0").set_addr("10.0.0.7/24")?;
    lab[a].interface("eth0").set_addr("fd6e:6574:6e73::7/64")?;
    assert_eq!(["-4", "-6"].map(is_default), [1, 1]);
    // One that is on the link whatever the address is.
    lab[a].run(|| {
        stdout_of("ip", &["route", "add", "2001:db8:5::/64", "via", "fe80::1", "dev", "eth0"])
    });
    lab[a].interface("eth0").set_addr("192.0.2.7/24")?;
    lab[a].interface("eth0").set_addr("2001:db8::7/64")?;
    assert_eq!(["-4", "-6"].map(is_default), [0, 0]);
    let stays = "2001:db8:5::/64 via fe80::1 dev eth0".to_owned();
    assert!(routes(&lab[a], "-6").contains(&stays), "{:?}", routes(&lab[a], "-6"));
    lab[a].add_route("::/0", "2001:db8::8")?;
    lab[a].interface("eth0").remove_addr("2001:db8::7/64")?;
    assert_eq!(is_default("-6"), 0);
    Ok(())
}

/// Addresses of a node come from the plan, and stay what they are when addresses change.
#[netns_test]
fn planned_addresses_of_a_node() -> netns_test::Result<()> {
    let mut net = topology();
    let (a, router, b) = (net.host("a"), net.router("router"), net.host("b"));
    let lone = net.host("lone");
    let (near, far) = (net.link(a, router).id(), net.link(router, b).id());
    let lab = net.build()?;
    let planned = lab.plan().addresses_of(a);
    assert_eq!(planned, [lab[a].ipv4().into(), lab[a].ipv6().into()] as [std::net::IpAddr; 2]);
    assert_eq!(lab[a].address_on(near), planned[0]);
    let of_router = lab.plan().addresses_of(router);
    let own = [lab[router].address_on(near), lab[router].address_on(far)];
    assert!(own[0] != own[1] && own.iter().all(|one| one.is_ipv4() && of_router.contains(one)));
    let listener = lab[b].run(|| std::net::TcpListener::bind((lab[b].ipv4(), 80)))?;
    lab[a].run(|| std::net::TcpStream::connect((lab[b].ipv4(), 80)))?;
    drop(listener);
    lab[a].interface(near).set_addr("192.0.2.1/24")?;
    assert_eq!(lab[a].address_on(near), planned[0]);
    let fails = |call: &dyn Fn() -> std::net::IpAddr, expected: &str| {
        let call = std::panic::AssertUnwindSafe(call);
        let panic = std::panic::catch_unwind(call).unwrap_err();
        assert_eq!(panic.downcast_ref::<String>().unwrap(), expected);
    };
    fails(&|| lab[lone].ipv4().into(), "node lone: it has no IPv4 address");
    fails(&|| lab[lone].ipv6().into(), "node lone: it has no IPv6 address");
    fails(&|| lab[a].address_on(far), "node a: it has no address on this link");
    Ok(())
}
