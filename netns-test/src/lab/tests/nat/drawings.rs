//! Drawings of topologies and plans with NATs and firewalls.

use crate::lab::{Firewall, Nat, Topology, Transport};

fn example() -> Topology {
    let mut net = Topology::new();
    let (nas, home, server) = (net.host("nas"), net.router("home"), net.host("server"));
    net.link(nas, home).subnet("192.168.1.0/24").ipv4_only();
    let wan = net.link(home, server).name("wan").subnet("203.0.113.0/24").ipv4_only().id();
    net.nat(home, wan, Nat::new().one_to_one("203.0.113.9".parse().unwrap(), nas));
    net.forward_port(home, wan, Transport::Tcp, 8443, nas, 443);
    net.firewall(home, Firewall::home());
    net.firewall(server, Firewall::new());
    net
}

#[track_caller]
fn assert_text(found: &str, expected: &str) {
    assert_eq!(found, expected, "\n--- found\n{found}\n--- expected\n{expected}");
}

#[test]
fn a_topology_as_text() {
    assert_text(
        &example().to_string(),
        "\
host      nas
router    home
host      server
link      nas -- home
link      home -- server  wan
nat       home on wan     endpoint-independent mapping, address-dependent filtering, \
         port preservation, hairpinning, 203.0.113.9 is nas
forward   home on wan     tcp 8443 to nas:443
firewall  home            allow out; drop in
firewall  server          allow out; allow in
",
    );
}

#[test]
fn a_plan_as_text() {
    assert_text(
        &example().plan().unwrap().to_string(),
        "\
nas -- home  192.168.1.0/24  mtu 1500
  nas   eth0  192.168.1.1/24
  home  eth0  192.168.1.2/24
wan  203.0.113.0/24  mtu 1500
  home    eth1  203.0.113.1/24  203.0.113.9/32
  server  eth0  203.0.113.2/24
nat
  home  eth1  203.0.113.1: endpoint-independent mapping, address-dependent filtering, \
         port preservation, hairpinning
  home  eth1  203.0.113.9 is 192.168.1.1
  home  eth1  tcp 8443 to 192.168.1.1:443
firewalls
  home    eth1  allow out
  home    eth1  drop in
  server  all   allow out
  server  all   allow in
routes
  nas  default  via 192.168.1.2  dev eth0
",
    );
}

#[test]
fn a_plan_as_graphs() {
    let plan = example().plan().unwrap();
    let kind = "endpoint-independent mapping, address-dependent filtering, port preservation, \
                hairpinning";
    let lines = [
        "home".to_owned(),
        format!("nat on eth1: 203.0.113.1: {kind}"),
        "nat on eth1: 203.0.113.9 is 192.168.1.1".to_owned(),
        "nat on eth1: tcp 8443 to 192.168.1.1:443".to_owned(),
        "firewall: allow out; drop in".to_owned(),
    ];
    let dot = plan.to_dot();
    assert!(dot.contains(&format!("[label=\"{}\", shape=ellipse]", lines.join("\\n"))), "{dot}");
    let mermaid = plan.to_mermaid();
    assert!(mermaid.contains(&format!("([\"{}\"])", lines.join("<br/>"))), "{mermaid}");
    let declared = example().to_dot();
    let line = format!("home\\nnat on wan: {kind}, 203.0.113.9 is nas\\nforward on wan: tcp 8443");
    assert!(declared.contains(&line), "{declared}");
}
