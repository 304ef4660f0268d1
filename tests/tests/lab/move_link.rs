//! Links that are moved: the end that comes to another segment has the addresses and routes of
//! that, and all others find it there.

use std::fs;
use std::io;
use std::net::{IpAddr, TcpListener, TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use netns_test::lab::WAIT_LIMIT;
use netns_test::{Lab, LinkId, Node, NodeId, Topology, netns_test};
use netns_test_tests::Said as _;

use crate::changes::{addresses, routes};
use crate::net::{Mesh, connection, topology};

/// Each of the nodes reaches each other one by its name, over both families.
#[track_caller]
fn all_reach_each_other(lab: &Lab, nodes: &[NodeId]) {
    for &from in nodes {
        for &to in nodes.iter().filter(|to| **to != from) {
            if let Err(error) = lab[from].wait(WAIT_LIMIT).reachable(to) {
                panic!("{} to {}: {error}", lab[from].name(), lab[to].name());
            }
            let name = lab[to].name();
            let known = lab[from].run(|| (name, 80).to_socket_addrs()).unwrap();
            let known: Vec<IpAddr> = known.map(|one| one.ip()).collect();
            assert!(known.iter().any(IpAddr::is_ipv4) && known.iter().any(IpAddr::is_ipv6));
            known.into_iter().for_each(|one| drop(connection(lab, from, to, one)));
        }
    }
}

/// Two switches with a host and a router between them, and a host that roams.
struct Campus {
    net: Topology,
    lab: Lab,
    radio: LinkId,
    /// `one` and `two`.
    switches: [NodeId; 2],
    /// `roamer`, `first` on `one`, `second` on `two`, and the router.
    nodes: [NodeId; 4],
}

fn campus() -> netns_test::Result<Campus> {
    let mut net = topology();
    let (one, two, router) = (net.switch("one"), net.switch("two"), net.router("router"));
    let (roamer, first, second) = (net.host("roamer"), net.host("first"), net.host("second"));
    let radio = net.link(roamer, one).id();
    net.link(first, one);
    net.link(router, one);
    net.link(router, two);
    net.link(second, two);
    let lab = net.build()?;
    Ok(Campus { net, lab, radio, switches: [one, two], nodes: [roamer, first, second, router] })
}

const ON_ONE: [&str; 2] = ["10.0.0.1/24", "fd6e:6574:6e73::1/64"];
const ON_TWO: [&str; 2] = ["10.0.1.254/24", "fd6e:6574:6e73:1::fffe/64"];

#[netns_test]
fn a_moved_host_has_the_addresses_of_its_switch() -> netns_test::Result<()> {
    let Campus { lab, radio, switches: [one, two], nodes, .. } = campus()?;
    let roamer = nodes[0];
    let before = [routes(&lab[roamer], "-4"), routes(&lab[roamer], "-6")];
    for _ in 0..2 {
        assert_eq!(lab.move_link(radio, one, two)?, "roamer");
        assert_eq!(addresses(&lab[roamer], "eth0"), ON_TWO);
        let via = ["default via 10.0.1.1 dev eth0", "default via fd6e:6574:6e73:1::1 dev eth0"];
        for (family, via) in ["-4", "-6"].into_iter().zip(via) {
            let own = routes(&lab[roamer], family);
            assert!(own.len() == 2 && own.contains(&via.to_owned()), "{own:?}");
        }
        all_reach_each_other(&lab, &nodes);
        lab.move_link(radio, two, one)?;
        assert_eq!(addresses(&lab[roamer], "eth0"), ON_ONE);
        assert_eq!([routes(&lab[roamer], "-4"), routes(&lab[roamer], "-6")], before);
        all_reach_each_other(&lab, &nodes);
        Mesh::new(&lab, &nodes).all_pairs_talk();
    }
    Ok(())
}

/// Connections of before are of the old address; a server that listens is found at the new one.
#[netns_test]
fn a_moved_server_is_found_by_its_name() -> netns_test::Result<()> {
    let Campus { lab, radio, switches: [one, two], nodes: [roamer, first, second, _], .. } =
        campus()?;
    let listener = lab[roamer].run(|| TcpListener::bind("[::]:80"))?;
    lab.move_link(radio, one, two)?;
    for client in [first, second] {
        let stream = lab[client].run(|| TcpStream::connect("roamer:80"))?;
        assert_eq!(listener.accept()?.1, stream.local_addr()?);
    }
    Ok(())
}

#[netns_test]
fn addresses_of_a_move_come_back_with_link_and_power() -> netns_test::Result<()> {
    let Campus { lab, radio, switches: [one, two], nodes, .. } = campus()?;
    let roamer = nodes[0];
    lab.move_link(radio, one, two)?;
    lab[radio].down()?;
    lab[radio].up()?;
    assert_eq!(addresses(&lab[roamer], "eth0"), ON_TWO);
    all_reach_each_other(&lab, &nodes);
    for node in [roamer, two, one, nodes[2]] {
        lab.power_off(node)?;
        lab.power_on(node)?;
        assert_eq!(addresses(&lab[roamer], "eth0"), ON_TWO);
        all_reach_each_other(&lab, &nodes);
    }
    // While it is off, too.
    lab.power_off(roamer)?;
    lab.move_link(radio, two, one)?;
    lab.power_on(roamer)?;
    assert_eq!(addresses(&lab[roamer], "eth0"), ON_ONE);
    all_reach_each_other(&lab, &nodes);
    // And while the link is down.
    lab[radio].down()?;
    lab.move_link(radio, one, two)?;
    lab[radio].up()?;
    assert_eq!(addresses(&lab[roamer], "eth0"), ON_TWO);
    all_reach_each_other(&lab, &nodes);
    Ok(())
}

#[netns_test]
fn several_moved_hosts_have_distinct_addresses() -> netns_test::Result<()> {
    let mut net = topology();
    let (one, two) = (net.switch("one"), net.switch("two"));
    let router = net.router("router");
    net.link(router, two);
    let hosts: Vec<_> = (0..5).map(|number| net.host(format!("h{number}"))).collect();
    let links: Vec<_> = hosts.iter().map(|host| net.link(*host, one).id()).collect();
    let lab = net.build()?;
    for link in &links {
        lab.move_link(*link, one, two)?;
    }
    let found = hosts.iter().map(|host| addresses(&lab[*host], "eth0"));
    let mut found: Vec<_> = found.flatten().collect();
    found.sort();
    found.dedup();
    assert_eq!(found.len(), 10, "{found:?}");
    all_reach_each_other(&lab, &[hosts.as_slice(), &[router]].concat());
    // Back in another order, each has its own again.
    for link in links.iter().rev() {
        lab.move_link(*link, two, one)?;
    }
    Mesh::new(&lab, &hosts).all_pairs_talk();
    Ok(())
}

/// The others lead to what is behind it by its new address.
#[netns_test]
fn routes_of_others_follow_a_router_that_moves() -> netns_test::Result<()> {
    let mut net = topology();
    let (one, two) = (net.switch("one"), net.switch("two"));
    let (core, edge) = (net.router("core"), net.router("edge"));
    let [a, b, behind] = ["a", "b", "behind"].map(|name| net.host(name));
    net.link(a, one);
    net.link(core, one);
    let uplink = net.link(edge, one).id();
    net.link(core, two);
    net.link(b, two);
    net.link(edge, behind);
    let lab = net.build()?;
    let nodes = [a, b, behind, core, edge];
    let before: Vec<_> = nodes.iter().map(|node| routes(&lab[*node], "-4")).collect();
    all_reach_each_other(&lab, &nodes);
    lab.move_link(uplink, one, two)?;
    all_reach_each_other(&lab, &nodes);
    let to_behind = "10.0.2.0/24 via 10.0.1.254 dev eth1".to_owned();
    assert!(routes(&lab[core], "-4").contains(&to_behind), "{:?}", routes(&lab[core], "-4"));
    // The router was its neighbour before.
    let of_a = routes(&lab[a], "-4");
    assert!(of_a.iter().all(|route| !route.starts_with("10.0.2.0/24")), "{of_a:?}");
    lab.move_link(uplink, two, one)?;
    all_reach_each_other(&lab, &nodes);
    let after: Vec<_> = nodes.iter().map(|node| routes(&lab[*node], "-4")).collect();
    assert_eq!(after, before);
    Ok(())
}

#[netns_test]
fn an_end_that_comes_to_a_host_has_addresses_of_its_segment() -> netns_test::Result<()> {
    let Campus { lab, radio, switches: [one, _], nodes: [roamer, first, second, router], .. } =
        campus()?;
    // The end of a host, to another host: the segment is that of the switch.
    assert_eq!(lab.move_link(radio, roamer, second)?, "eth1");
    assert_eq!(addresses(&lab[second], "eth1"), ON_ONE);
    assert_eq!(addresses(&lab[second], "eth0")[0], "10.0.1.2/24");
    all_reach_each_other(&lab, &[first, second, router]);
    let names = lab[first].run(|| fs::read_to_string("/etc/hosts"))?;
    assert!(!names.contains("roamer") && names.contains("10.0.0.1\tsecond"), "{names}");
    let back = lab.move_link(radio, second, roamer)?;
    all_reach_each_other(&lab, &[roamer, first, second, router]);
    // And the end of the switch, to a host: the other one keeps its own.
    assert_eq!(lab.move_link(radio, one, second)?, "roamer");
    assert_eq!(addresses(&lab[roamer], &back), ON_ONE);
    assert_eq!(addresses(&lab[second], "roamer"), ["10.0.0.254/24", "fd6e:6574:6e73::fffe/64"]);
    drop(connection(&lab, roamer, second, "10.0.0.254".parse().unwrap()));
    drop(connection(&lab, second, roamer, "fd6e:6574:6e73::1".parse().unwrap()));
    Ok(())
}

#[netns_test]
fn names_and_routes_of_what_is_added_later_know_of_moves() -> netns_test::Result<()> {
    let Campus { mut net, mut lab, radio, switches: [one, two], nodes } = campus()?;
    lab.move_link(radio, one, two)?;
    let (third, edge, late) = (net.host("third"), net.router("edge"), net.host("late"));
    net.link(third, two);
    net.link(edge, one);
    net.link(late, edge);
    lab.extend(&net)?;
    let all = [nodes.as_slice(), &[third, edge, late]].concat();
    all_reach_each_other(&lab, &all);
    assert_eq!(addresses(&lab[nodes[0]], "eth0"), ON_TWO);
    lab.move_link(radio, two, one)?;
    all_reach_each_other(&lab, &all);
    Ok(())
}

/// The segment decides: a family that it has not is gone, and one that it has is there.
#[netns_test]
fn families_are_those_of_the_segment() -> netns_test::Result<()> {
    let mut net = topology();
    let [old, v4, v6, empty] = ["old", "v4", "v6", "empty"].map(|name| net.switch(name));
    let [roamer, a, b, c] = ["roamer", "a", "b", "c"].map(|name| net.host(name));
    let radio = net.link(roamer, old).id();
    net.link(a, old);
    net.link(b, v4).ipv4_only();
    net.link(c, v6).ipv6_only();
    let lab = net.build()?;
    lab[roamer].interface("eth0").add_addr("198.51.100.1/24")?;
    let own = || addresses(&lab[roamer], "eth0");
    lab.move_link(radio, old, v4)?;
    // What was added is not the segment's.
    assert_eq!(own(), ["198.51.100.1/24", "10.0.1.254/24"]);
    drop(connection(&lab, roamer, b, lab.plan().addresses_of(b)[0]));
    lab.move_link(radio, v4, v6)?;
    assert_eq!(own(), ["198.51.100.1/24", "fd6e:6574:6e73:2::fffe/64"]);
    drop(connection(&lab, roamer, c, lab.plan().addresses_of(c)[0]));
    // The switch has no links, and so no subnet.
    lab.move_link(radio, v6, empty)?;
    assert_eq!(own(), ["198.51.100.1/24", "fd6e:6574:6e73:2::fffe/64"]);
    lab.move_link(radio, empty, old)?;
    assert_eq!(own(), ["198.51.100.1/24", ON_ONE[0], ON_ONE[1]]);
    drop(connection(&lab, a, roamer, "10.0.0.1".parse().unwrap()));
    Ok(())
}

/// Secondary addresses of the old subnet, and others that were set, go and are no obstacle.
#[netns_test]
fn addresses_that_were_changed_before_are_no_obstacle() -> netns_test::Result<()> {
    let Campus { lab, radio, switches: [one, two], nodes, .. } = campus()?;
    let roamer = nodes[0];
    lab[roamer].interface("eth0").add_addr("10.0.0.77/24")?;
    lab[roamer].interface("eth0").set_addr("fd6e:6574:6e73::77/64")?;
    lab.move_link(radio, one, two)?;
    assert_eq!(addresses(&lab[roamer], "eth0"), ON_TWO);
    all_reach_each_other(&lab, &nodes);
    // The segment has been renumbered.
    for (node, interface, last) in [(nodes[1], "eth0", 2), (nodes[3], "eth0", 3)] {
        lab[node].interface(interface).set_addr(format!("192.0.2.{last}/24"))?;
    }
    lab.move_link(radio, two, one)?;
    let own = addresses(&lab[roamer], "eth0");
    assert_eq!(own, ["192.0.2.254/24", ON_ONE[1]]);
    drop(connection(&lab, roamer, nodes[1], "192.0.2.2".parse().unwrap()));
    Ok(())
}

#[netns_test]
fn a_move_as_is_changes_no_addresses_and_no_routes() -> netns_test::Result<()> {
    let Campus { lab, radio, switches: [one, two], nodes, .. } = campus()?;
    let state = |host: &Node| {
        let names = host.run(|| fs::read_to_string("/etc/hosts")).unwrap();
        (addresses(host, "eth0"), routes(host, "-4"), routes(host, "-6"), names)
    };
    let all = || nodes.map(|node| state(&lab[node]));
    let before = all();
    lab.move_link_as_is(radio, one, two)?;
    assert_eq!(all(), before);
    let refused = lab[nodes[2]].run(|| TcpStream::connect(("10.0.0.1", 80))).unwrap_err();
    assert_ne!(refused.kind(), io::ErrorKind::ConnectionRefused);
    lab[radio].down()?;
    lab[radio].up()?;
    assert_eq!(all(), before);
    lab.move_link_as_is(radio, two, one)?;
    all_reach_each_other(&lab, &nodes);
    lab.move_link_as_is(radio, one, two)?;
    // A move that sets addresses after one that does not.
    lab.move_link(radio, two, one)?;
    assert_eq!(all(), before);
    all_reach_each_other(&lab, &nodes);
    Ok(())
}

#[netns_test]
fn the_test_itself_moves() -> netns_test::Result<()> {
    let mut net = topology();
    let (one, two, router) = (net.switch("one"), net.switch("two"), net.router("router"));
    let (own, second) = (net.local(), net.host("second"));
    let radio = net.link(own, one).id();
    net.link(router, one);
    net.link(router, two);
    net.link(second, two);
    let before = netns_test_tests::stdout_of("ip", &["route", "show"]);
    let lab = net.build()?;
    lab.move_link(radio, one, two)?;
    assert_eq!(addresses(&lab[own], "eth0"), ON_TWO);
    all_reach_each_other(&lab, &[own, second, router]);
    let listener = TcpListener::bind("10.0.1.254:80")?;
    let stream = lab[second].run(|| TcpStream::connect(listener.local_addr()?))?;
    assert_eq!(listener.accept()?.1, stream.local_addr()?);
    lab.move_link(radio, two, one)?;
    all_reach_each_other(&lab, &[own, second, router]);
    drop(lab);
    assert_eq!(netns_test_tests::stdout_of("ip", &["route", "show"]), before);
    Ok(())
}

#[netns_test]
fn a_partition_holds_for_addresses_of_a_move() -> netns_test::Result<()> {
    let Campus { lab, radio, switches: [one, two], nodes: [roamer, first, second, _], .. } =
        campus()?;
    lab.partition(&[roamer], &[second])?;
    lab.move_link(radio, one, two)?;
    let socket = lab[second].run(|| std::net::UdpSocket::bind("[::]:99"))?;
    let [from, beside] =
        [roamer, first].map(|node| lab[node].run(|| std::net::UdpSocket::bind("[::]:99")).unwrap());
    for address in ["::ffff:10.0.1.2", "fd6e:6574:6e73:1::2"] {
        let target = (address.parse::<std::net::Ipv6Addr>().unwrap(), 99);
        from.send_to(b"lost", target)?;
        beside.send_to(b"heard", target)?;
        let mut buffer = [0; 8];
        let length = socket.recv(&mut buffer)?;
        assert_eq!(&buffer[..length], b"heard");
    }
    lab.heal()?;
    all_reach_each_other(&lab, &[roamer, first, second]);
    Ok(())
}

/// It is known before anything is moved.
#[netns_test]
fn a_segment_without_a_free_address_refuses_the_move() -> netns_test::Result<()> {
    let mut net = topology();
    let (one, two) = (net.switch("one"), net.switch("two"));
    let [roamer, a, b] = ["roamer", "a", "b"].map(|name| net.host(name));
    let radio = net.link(roamer, one).id();
    net.link(a, two).subnet("192.0.2.0/30");
    net.link(b, two);
    let lab = net.build()?;
    let before = addresses(&lab[roamer], "eth0");
    let text = lab.move_link(radio, one, two).unwrap_err().said();
    assert_eq!(text, "move link roamer to one: no address is left in 192.0.2.0/30");
    assert_eq!(addresses(&lab[roamer], "eth0"), before);
    crate::oracle::check(&lab);
    lab.move_link_as_is(radio, one, two)?;
    Ok(())
}

/// The router is on the old path only.
#[netns_test]
fn obstacles_are_those_of_the_new_path() -> netns_test::Result<()> {
    let Campus { lab, radio, switches: [one, two], nodes: [roamer, _, second, router], .. } =
        campus()?;
    lab.move_link(radio, one, two)?;
    lab.power_off(router)?;
    lab[roamer].wait(WAIT_LIMIT).reachable(second)?;
    let last = lab.links().last().unwrap();
    last.down()?;
    let error = lab[roamer].wait(Duration::from_millis(100)).reachable(second).unwrap_err().said();
    let lines = error.lines().filter_map(|line| line.trim().strip_prefix("in the way: "));
    let lines: Vec<&str> = lines.collect();
    assert_eq!(lines.len(), 1, "{error}");
    assert!(lines[0].starts_with("link second to two is down: "), "{error}");
    Ok(())
}
