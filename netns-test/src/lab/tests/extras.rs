//! Static names, addresses and routes, and interfaces that are not the end of a link.

use crate::lab::tests::{address, assert_all_reachable, check_invariants, example};
use crate::lab::{InterfaceKind, MacvlanMode, NodeKind, Topology};

fn names(plan: &crate::lab::Plan, node: usize) -> Vec<&str> {
    plan.nodes()[node].interfaces.iter().map(|interface| interface.name.as_str()).collect()
}

#[test]
fn static_names_addresses_and_macs() {
    let mut net = Topology::new();
    let (a, b) = (net.host("a"), net.host("b"));
    net.link(a, b)
        .name("wire")
        .interfaces("left", "eth1")
        .addrs(["192.0.2.9/24", "192.0.2.10/24", "198.51.100.1/32"], "2001:db8::7/64")
        .macs("02:00:00:00:00:00", [2, 0, 0, 0, 0, 9]);
    net.link(a, b);
    let plan = net.plan().unwrap();
    check_invariants(&plan);
    assert_all_reachable(&plan, &[a, b]);
    assert_eq!(names(&plan, 0), ["left", "eth1"]);
    assert_eq!(names(&plan, 1), ["eth1", "eth2"]);
    let left = &plan.nodes()[0].interfaces[0];
    let addresses: Vec<_> = left.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["192.0.2.9/24", "192.0.2.10/24", "198.51.100.1/32", "2001:db8::1/64"]);
    assert_eq!(left.mac.unwrap().to_string(), "02:00:00:00:00:00");
    assert_eq!(plan.address_of(b).unwrap().to_string(), "192.0.2.2");
    // `b` has no address in the subnet of that address.
    assert_eq!(plan.path_to(b, address("198.51.100.1")).to_string(), "b (eth1) -> a");
    assert_eq!(plan.links()[0].name.as_deref(), Some("wire"));
}

#[test]
fn addresses_of_dummies_and_lo_are_reachable() {
    let (mut net, [client, server, home]) = example();
    net.node(server).dummy("d0", ["203.0.113.1/24"]).addr("lo", "192.0.2.1/32").dummy("d1", ());
    net.node(home).addr("lo", "192.0.2.2/32");
    let plan = net.plan().unwrap();
    check_invariants(&plan);
    assert_all_reachable(&plan, &[client, server, home]);
    for target in ["203.0.113.1", "192.0.2.1", "10.0.2.1", "fd6e:6574:6e73:2::1"] {
        let path = plan.path_to(client, address(target)).to_string();
        assert_eq!(path, "client (eth0) -> home (eth1) -> server", "{target}");
    }
    assert_eq!(names(&plan, 1), ["eth0", "d0", "d1", "lo"]);
    assert_eq!(plan.address_of(server).unwrap().to_string(), "10.0.1.2");
    assert_eq!(plan.nodes()[1].interfaces[3].kind, InterfaceKind::Loopback);
}

#[test]
fn neighbours_reach_dummies_without_a_router() {
    let mut net = Topology::new();
    let (a, b) = (net.host("a"), net.host("b"));
    net.link(a, b);
    net.node(b).dummy("d0", "203.0.113.1/24");
    let plan = net.plan().unwrap();
    check_invariants(&plan);
    assert_eq!(plan.path_to(a, address("203.0.113.1")).to_string(), "a (eth0) -> b");
}

#[test]
fn each_vlan_of_a_segment_is_a_segment() {
    let mut net = Topology::new();
    let lan = net.switch("lan");
    let hosts = ["a", "b", "c"].map(|name| net.host(name));
    let links = hosts.map(|host| net.link(host, lan).mtu(1400).id());
    net.node(hosts[0]).vlan(links[0], 10, "192.0.2.1/24").vlan(links[0], 20, ());
    net.node(hosts[1]).vlan(links[1], 10, ());
    net.node(hosts[2]).vlan(links[2], 20, ());
    let plan = net.plan().unwrap();
    check_invariants(&plan);
    assert_all_reachable(&plan, &hosts);
    assert_eq!(names(&plan, 1), ["eth0", "eth0.10", "eth0.20"]);
    let subnets: Vec<_> = plan
        .segments()
        .iter()
        .map(|segment| (segment.subnets[0].to_string(), segment.mtu))
        .collect();
    let expected = ["10.0.0.0/24", "192.0.2.0/24", "10.0.2.0/24"];
    assert_eq!(subnets, expected.map(|subnet| (subnet.to_owned(), 1400)));
    assert_eq!(plan.path_to(hosts[1], address("192.0.2.1")).to_string(), "b (eth0.10) -> a");
    assert!(plan.path_to(hosts[2], address("192.0.2.1")).to_string().contains("no route"));
    assert_eq!(plan.nodes()[1].interfaces[1].mac, None);
}

#[test]
fn a_macvlan_is_on_the_segment_of_its_link() {
    let (mut net, [client, server, home]) = example();
    let link = net.link(client, server).id();
    net.node(client).macvlan(link, "mv0", MacvlanMode::Bridge, ());
    let plan = net.plan().unwrap();
    check_invariants(&plan);
    assert_all_reachable(&plan, &[client, server, home]);
    let macvlan = &plan.nodes()[0].interfaces[2];
    let (lower, mode) = ("eth1".to_owned(), MacvlanMode::Bridge);
    assert_eq!(macvlan.kind, InterfaceKind::Macvlan { lower, mode });
    assert_eq!(macvlan.addresses[0].to_string(), "10.0.2.3/24");
    assert!(macvlan.mac.is_some());
}

#[test]
fn tunnels_join_nodes_over_a_router() {
    let (mut net, [client, server, home]) = example();
    net.node(client).vxlan(7, [server], ());
    net.node(server).vxlan(7, [client], "192.0.2.2/24");
    let plan = net.plan().unwrap();
    check_invariants(&plan);
    assert_all_reachable(&plan, &[client, server, home]);
    assert_eq!(plan.path_to(client, address("192.0.2.2")).to_string(), "client (vxlan7) -> server");
    let tunnel = &plan.nodes()[0].interfaces[1];
    let InterfaceKind::Vxlan { vni: 7, local, remotes, port: 4789 } = &tunnel.kind else {
        panic!("{tunnel:?}")
    };
    assert_eq!((local.to_string(), remotes[0].to_string()), ("10.0.0.1".into(), "10.0.1.2".into()));
    assert_eq!(tunnel.mtu, 1350);
    // The first address is the one that most nodes can reach, not the one on the tunnel.
    assert_eq!(plan.address_of(server).unwrap().to_string(), "10.0.1.2");
}

#[test]
fn tunnels_between_routers_do_not_carry_their_own_packets() {
    let mut net = Topology::new();
    let (left, right, middle) = (net.router("left"), net.router("right"), net.router("middle"));
    let (a, b) = (net.host("a"), net.host("b"));
    net.link(left, middle).ipv6_only();
    net.link(middle, right).ipv6_only();
    net.link(a, left);
    net.link(b, right);
    net.node(left).vxlan(1, [right], ());
    net.node(right).vxlan(1, [left], ());
    let plan = net.plan().unwrap();
    check_invariants(&plan);
    let reach = plan.can_reach(a, b);
    assert!(reach.ipv6 && !reach.ipv4, "{reach:?}");
    assert_eq!(
        plan.path_to(a, plan.addresses_of(b)[1]).to_string(),
        "a (eth0) -> left (eth0) -> middle (eth1) -> right (eth1) -> b"
    );
    assert!(plan.path_to(a, plan.addresses_of(right)[1]).to_string().contains("left"));
}

#[test]
fn static_routes_replace_computed_ones() {
    let mut net = Topology::new();
    let (host, other) = (net.host("host"), net.host("other"));
    let (near, far) = (net.router("near"), net.router("far"));
    net.link(host, near);
    let second = net.link(host, far).id();
    net.link(near, other);
    net.link(near, far);
    net.node(host).default_route(far);
    let plan = net.plan().unwrap();
    check_invariants(&plan);
    assert_all_reachable(&plan, &[host, other, near, far]);
    assert_eq!(
        plan.path(host, other).to_string(),
        "host (eth1) -> far (eth1) -> near (eth1) -> other"
    );
    assert_eq!(plan.nodes()[0].routes.len(), 2);
    assert!(plan.nodes()[0].routes.iter().all(|route| route.is_static && route.dev == "eth1"));
    net.node(far).route("10.0.2.0/24", "10.0.1.1").addr(second, "10.0.1.99/24");
    let plan = net.plan().unwrap();
    let path = plan.path_to(host, plan.addresses_of(other)[0]).to_string();
    assert_eq!(path, "host (eth1) -> far (eth0) -> host: host is a host and does not forward");
    assert!(!plan.can_reach(host, other).ipv4);
    assert!(plan.can_reach(host, other).ipv6);
    assert!(
        plan.nodes()[3].interfaces[0].addresses.iter().any(|one| one.to_string() == "10.0.1.99/24")
    );
}

#[test]
fn a_path_ends_at_a_loop_of_static_routes() {
    let (mut net, [client, _, home]) = example();
    let second = net.router("second");
    net.link(home, second);
    net.node(home).route("192.0.2.0/24", second);
    net.node(second).route("192.0.2.0/24", home);
    let plan = net.plan().unwrap();
    let path = plan.path_to(client, address("192.0.2.1")).to_string();
    assert!(path.starts_with("client (eth0) -> home (eth2) -> second (eth0) -> home"), "{path}");
    assert!(path.ends_with("-> ...: a loop of routes to 192.0.2.1"), "{path}");
}

#[test]
fn the_caller_can_be_a_host() {
    let mut net = Topology::new();
    let (local, server) = (net.local(), net.host("server"));
    net.link(local, server);
    let plan = net.plan().unwrap();
    assert_all_reachable(&plan, &[local, server]);
    assert_eq!(plan.nodes()[0].name, "local");
    assert_eq!(plan.nodes()[0].kind, NodeKind::Local);
    assert_eq!(plan.nodes()[0].hostname, None);
    net.node(local).name("client");
    assert!(net.plan().unwrap().hosts_file(server).contains("10.0.0.1\tclient\n"));
}

#[test]
fn a_segment_with_one_family() {
    let mut net = Topology::new();
    let (a, b) = (net.host("a"), net.host("b"));
    net.link(a, b).ipv4_only().mtu(68);
    let plan = net.plan().unwrap();
    check_invariants(&plan);
    let reach = plan.can_reach(a, b);
    assert!(reach.ipv4 && !reach.ipv6 && reach.any() && !reach.both());
    assert_eq!(plan.addresses_of(a).len(), 1);
}

#[test]
fn a_plan_finds_no_node_for_an_id_of_another_topology() {
    let ((net, [client, ..]), (_, [stranger, ..])) = (example(), example());
    let plan = net.plan().unwrap();
    assert_ne!(client, stranger);
    assert_eq!(plan.address_of(stranger), None);
    assert!(!plan.can_reach(client, stranger).any());
    assert!(plan.path(stranger, client).to_string().contains("no such node"));
    assert_eq!(plan.id(plan.position(client).unwrap()), client);
}

#[test]
fn the_hosts_file_has_all_names() {
    let (mut net, [client, ..]) = example();
    let lonely = net.host("lonely");
    let plan = net.plan().unwrap();
    let common = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n\
        10.0.0.1\tclient\nfd6e:6574:6e73::1\tclient\n\
        10.0.1.2\tserver\nfd6e:6574:6e73:1::2\tserver\n\
        10.0.0.2\thome\n10.0.1.1\thome\nfd6e:6574:6e73::2\thome\nfd6e:6574:6e73:1::1\thome\n";
    assert_eq!(plan.hosts_file(client), common);
    assert_eq!(plan.hosts_file(lonely), format!("{common}127.0.1.1\tlonely\n"));
}

#[test]
fn routers_forward_and_hosts_do_not() {
    let (mut net, [client, ..]) = example();
    net.node(client).sysctl("net.ipv4.tcp_syn_retries", 2);
    let plan = net.plan().unwrap();
    let forwards = |node: usize| {
        plan.nodes()[node]
            .sysctls
            .iter()
            .any(|(name, value)| name == "net.ipv4.ip_forward" && value == "1")
    };
    assert_eq!([forwards(0), forwards(1), forwards(2)], [false, false, true]);
    let last = plan.nodes()[0].sysctls.last().unwrap();
    assert_eq!(last, &("net.ipv4.tcp_syn_retries".to_owned(), "2".to_owned()));
}
