//! Paths and reachability through NATs and firewalls.

use crate::lab::tests::nat::{TwoHomes, two_homes};
use crate::lab::{
    Firewall, FirewallAction, FirewallDirection, Nat, NodeId, PathOutcome, Topology, Traffic,
};

#[test]
fn a_path_shows_translations() {
    let mut homes = two_homes();
    homes.forward(1, 443, homes.clients[1]);
    let TwoHomes { net, server, homes, clients, .. } = homes;
    let plan = net.plan().unwrap();
    assert_eq!(
        plan.path(clients[0], server).to_string(),
        "ann (eth0) -> one (eth0, source translated to 198.51.0.2) -> isp (eth0) -> server"
    );
    assert_eq!(
        plan.path(clients[0], clients[1]).to_string(),
        "ann (eth0) -> one (eth0, source translated to 198.51.0.2) -> isp (eth2) -> \
         two (eth1, destination translated to 192.168.1.10) -> bob"
    );
    assert!(plan.can_reach(clients[0], clients[1]).ipv4);
    let back = plan.path_to(server, "198.51.0.2".parse().unwrap());
    assert_eq!(back.end, PathOutcome::Arrived);
    assert_eq!(back.to_string(), "server (eth0) -> isp (eth1) -> one");
    assert!(plan.can_reach(server, homes[0]).ipv4);
}

#[test]
fn a_path_inwards_ends_at_the_nat() {
    let TwoHomes { mut net, server, homes, wans, clients, .. } = two_homes();
    for at in [0, 1] {
        let nat = Nat::home().ipv6(crate::lab::Ipv6Nat::Blocked);
        net.nat(homes[at], wans[at], nat);
    }
    let plan = net.plan().unwrap();
    let path = plan.path(server, clients[0]);
    assert_eq!(path.end, PathOutcome::NoMapping);
    assert_eq!(
        path.to_string(),
        "server (eth0) -> isp (eth1) -> one: the NAT of one has no mapping to the inside"
    );
    let path = plan.path_to(server, "192.168.1.10".parse().unwrap());
    assert_eq!(path.to_string(), "server (eth0) -> isp: isp has no route to 192.168.1.10");
    assert!(!plan.can_reach(server, clients[0]).any());
    let to = plan.addresses_of(server)[1];
    let path = plan.path_to(clients[0], to);
    assert_eq!(path.end, PathOutcome::Ipv6Blocked, "{path}");
    assert!(path.to_string().ends_with("one: the NAT of one blocks IPv6"), "{path}");
}

/// Returns `client -- router -- server`, where the router has a firewall to the server's side.
fn behind(firewall: impl FnOnce([NodeId; 3]) -> Firewall) -> (Topology, [NodeId; 3]) {
    let mut net = Topology::new();
    let (client, router) = (net.host("client"), net.router("router"));
    let server = net.host("server");
    net.link(client, router);
    let wan = net.link(router, server).id();
    let nodes = [client, router, server];
    net.firewall(router, firewall(nodes).outside(wan));
    (net, nodes)
}

#[test]
fn a_firewall_of_a_router_has_a_direction() {
    let (net, [client, router, server]) = behind(|_| Firewall::home());
    let plan = net.plan().unwrap();
    assert!(plan.can_reach(client, server).both());
    assert!(!plan.can_reach(server, client).any());
    assert!(!plan.can_reach(server, router).any());
    assert!(plan.can_reach(client, router).both());
    assert!(plan.can_reach(router, server).both());
    let path = plan.path(server, client);
    assert_eq!(path.end, PathOutcome::Filtered);
    let text = path.to_string();
    assert_eq!(text, "server (eth0) -> router: dropped by the firewall of router");
}

#[test]
fn a_firewall_counts_if_it_lets_no_protocol_pass() {
    let drop_out =
        |traffic| Firewall::new().rule(FirewallDirection::Out, traffic, FirewallAction::Drop);
    let reaches = |firewall: &dyn Fn([NodeId; 3]) -> Firewall| {
        let (net, [client, _, server]) = behind(firewall);
        net.plan().unwrap().can_reach(client, server).both()
    };
    assert!(reaches(&|_| drop_out(Traffic::all_udp())));
    assert!(reaches(&|_| Firewall::corporate()));
    assert!(reaches(&|_| Firewall::web_only()));
    assert!(!reaches(&|_| Firewall::new().deny_out()));
    let (net, [client, _, server]) = behind(|_| {
        let all = [Traffic::all_udp(), Traffic::all_tcp(), Traffic::ping()];
        let drops = |wall: Firewall, traffic| {
            wall.rule(FirewallDirection::Out, traffic, FirewallAction::Reject)
        };
        all.into_iter().fold(Firewall::new().allow_in(Traffic::any()), drops).deny_out()
    });
    assert!(!net.plan().unwrap().can_reach(client, server).any());
    let (net, [client, _, server]) =
        behind(|[client, ..]| Firewall::new().allow_out(Traffic::tcp(443).from(client)).deny_out());
    assert!(net.plan().unwrap().can_reach(client, server).both());
    let (net, [client, _, server]) =
        behind(|[client, ..]| Firewall::new().allow_out(Traffic::tcp(443).to(client)).deny_out());
    assert!(!net.plan().unwrap().can_reach(client, server).any());
}

/// Each of the two firewalls lets something pass, but nothing passes both.
#[test]
fn firewalls_on_a_path_add_up() {
    let (mut net, [client, _, server]) =
        behind(|_| Firewall::new().allow_out(Traffic::tcp(443)).deny_out());
    net.firewall(server, Firewall::new().allow_in(Traffic::all_udp()).deny_in());
    let plan = net.plan().unwrap();
    assert!(!plan.can_reach(client, server).any());
    let text = plan.path(client, server).to_string();
    assert!(text.ends_with("server: dropped by the firewall of server"), "{text}");
    assert!(plan.can_reach(server, client).both());
}

#[test]
fn a_firewall_of_a_host_guards_the_host() {
    let (mut net, [client, router, server]) = behind(|_| Firewall::new());
    net.firewall(client, Firewall::new().deny_in());
    net.firewall(server, Firewall::new().deny_out());
    let plan = net.plan().unwrap();
    assert!(!plan.can_reach(server, client).any());
    assert!(plan.can_reach(client, server).both());
    assert!(!plan.can_reach(router, client).any());
    assert!(!plan.can_reach(server, router).any());
    assert!(plan.can_reach(client, client).both());
}

#[test]
fn rules_name_nodes_by_the_addresses_that_their_packets_have() {
    let mut homes = two_homes();
    homes.forward(1, 443, homes.clients[1]);
    let TwoHomes { mut net, server, homes, clients, .. } = homes;
    let walls = Firewall::new()
        .allow_in(Traffic::tcp(443).from(clients[0]).to(server))
        .allow_out(Traffic::any().to(clients[1]))
        .deny_in();
    net.firewall(server, walls);
    net.firewall(homes[0], Firewall::home().allow_out(Traffic::any().from(clients[0])));
    let plan = net.plan().unwrap();
    let shown = |node: usize, rule: usize| {
        let rule = &plan.nodes()[node].firewall.as_ref().unwrap().rules[rule];
        let list = |all: &[std::net::IpAddr]| {
            let ipv4 = all.iter().filter(|one| one.is_ipv4()).map(ToString::to_string);
            ipv4.collect::<Vec<_>>().join(" ")
        };
        (list(&rule.from), list(&rule.to))
    };
    assert_eq!(shown(0, 0), ("198.51.0.2".to_owned(), "203.0.113.1".to_owned()));
    assert_eq!(shown(0, 1), (String::new(), "198.51.1.2".to_owned()));
    assert_eq!(shown(2, 0), ("192.168.1.10".to_owned(), String::new()));
    assert_eq!(plan.nodes()[2].firewall.as_ref().unwrap().outside, ["eth0"]);
    assert!(plan.can_reach(clients[0], server).ipv4);
    assert!(!plan.can_reach(clients[1], server).ipv4);
}
