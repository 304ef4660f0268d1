//! Complete texts and drawings of topologies and plans.

use crate::lab::Topology;
use crate::lab::tests::example;

#[track_caller]
fn assert_text(found: &str, expected: &str) {
    assert_eq!(found, expected, "\n--- found\n{found}\n--- expected\n{expected}");
}

#[test]
fn the_example_as_text() {
    let (net, _) = example();
    assert_text(
        &net.to_string(),
        "\
host    client
host    server
router  home
link    client -- home
link    home -- server  wan, mtu 1400
",
    );
    assert_text(
        &net.plan().unwrap().to_string(),
        "\
client -- home  10.0.0.0/24  fd6e:6574:6e73::/64  mtu 1500
  client  eth0  10.0.0.1/24  fd6e:6574:6e73::1/64
  home    eth0  10.0.0.2/24  fd6e:6574:6e73::2/64
wan  10.0.1.0/24  fd6e:6574:6e73:1::/64  mtu 1400
  home    eth1  10.0.1.1/24  fd6e:6574:6e73:1::1/64
  server  eth0  10.0.1.2/24  fd6e:6574:6e73:1::2/64
routes
  client  default  via 10.0.0.2             dev eth0
  client  default  via fd6e:6574:6e73::2    dev eth0
  server  default  via 10.0.1.1             dev eth0
  server  default  via fd6e:6574:6e73:1::1  dev eth0
",
    );
}

#[test]
fn the_example_for_graphviz() {
    let (net, _) = example();
    assert_text(
        &net.to_dot(),
        r#"graph lab {
  n0 [label="client", shape=box];
  n1 [label="server", shape=box];
  n2 [label="home", shape=ellipse];
  n0 -- n2;
  n2 -- n1 [label="wan\nmtu 1400"];
}
"#,
    );
    assert_text(
        &net.plan().unwrap().to_dot(),
        r#"graph lab {
  n0 [label="client", shape=box];
  n1 [label="server", shape=box];
  n2 [label="home", shape=ellipse];
  n0 -- n2 [label="client eth0 10.0.0.1/24 fd6e:6574:6e73::1/64\nhome eth0 10.0.0.2/24 fd6e:6574:6e73::2/64"];
  n2 -- n1 [label="wan\nmtu 1400\nhome eth1 10.0.1.1/24 fd6e:6574:6e73:1::1/64\nserver eth0 10.0.1.2/24 fd6e:6574:6e73:1::2/64"];
}
"#,
    );
}

#[test]
fn the_example_for_mermaid() {
    let (net, _) = example();
    assert_text(
        &net.to_mermaid(),
        r#"flowchart LR
  n0["client"]
  n1["server"]
  n2(["home"])
  n0 --- n2
  n2 ---|"wan<br/>mtu 1400"| n1
"#,
    );
    assert_text(
        &net.plan().unwrap().to_mermaid(),
        r#"flowchart LR
  n0["client"]
  n1["server"]
  n2(["home"])
  n0 ---|"client eth0 10.0.0.1/24 fd6e:6574:6e73::1/64<br/>home eth0 10.0.0.2/24 fd6e:6574:6e73::2/64"| n2
  n2 ---|"wan<br/>mtu 1400<br/>home eth1 10.0.1.1/24 fd6e:6574:6e73:1::1/64<br/>server eth0 10.0.1.2/24 fd6e:6574:6e73:1::2/64"| n1
"#,
    );
}

/// Returns a topology with every kind of node and interface.
fn full() -> Topology {
    let mut net = Topology::new();
    let (me, lan, home) = (net.local(), net.switch("lan"), net.router("home"));
    let (server, _idle) = (net.host("server"), net.host("idle"));
    let link = net.link(me, lan).id();
    net.link(lan, home);
    net.link(home, server).name("say \"hi\"").addrs((), "192.0.2.7/24").ipv4_only();
    net.node(me).vlan(link, 10, "172.16.0.1/24").vxlan(7, [server], ());
    net.node(server).vxlan(7, [me], ()).dummy("d0", "198.51.100.1/24").default_route(home);
    net
}

#[test]
fn one_of_everything_as_text() {
    let net = full();
    assert_text(
        &net.to_string(),
        "\
local   local                        vlan 10, vxlan 7
switch  lan
router  home
host    server                       vxlan 7, d0
host    idle
link    local -- lan
link    lan -- home
link    home -- server 192.0.2.7/24  say \"hi\"
",
    );
    assert_text(
        &net.plan().unwrap().to_string(),
        r#"lan  10.0.0.0/24  fd6e:6574:6e73::/64  mtu 1500
  local  eth0  10.0.0.1/24       fd6e:6574:6e73::1/64
  home   eth0  10.0.0.2/24       fd6e:6574:6e73::2/64
  lan    br0   ports local home
say "hi"  192.0.2.0/24  mtu 1500
  home    eth1  192.0.2.1/24
  server  eth0  192.0.2.7/24
lan vlan 10  172.16.0.0/24  fd6e:6574:6e73:2::/64  mtu 1500
  local  eth0.10  172.16.0.1/24  fd6e:6574:6e73:2::1/64  on eth0
vxlan 7  10.0.3.0/24  fd6e:6574:6e73:3::/64  mtu 1450
  local   vxlan7  10.0.3.1/24  fd6e:6574:6e73:3::1/64  from 10.0.0.1
  server  vxlan7  10.0.3.2/24  fd6e:6574:6e73:3::2/64  from 192.0.2.7
server d0  198.51.100.0/24  mtu 1500
  server  d0  198.51.100.1/24
routes
  local   default          via 10.0.0.2           dev eth0
  local   default          via fd6e:6574:6e73::2  dev eth0
  home    198.51.100.0/24  via 192.0.2.7          dev eth1
  server  default          via 192.0.2.1          dev eth0  (static)
idle has no links
"#,
    );
}

#[test]
fn one_of_everything_as_graphs() {
    let plan = full().plan().unwrap();
    assert_text(
        &plan.to_dot(),
        r#"graph lab {
  n0 [label="local\neth0.10 172.16.0.1/24 fd6e:6574:6e73:2::1/64\nvxlan7 10.0.3.1/24 fd6e:6574:6e73:3::1/64", shape=box, style=bold];
  n1 [label="lan", shape=diamond];
  n2 [label="home", shape=ellipse];
  n3 [label="server\nvxlan7 10.0.3.2/24 fd6e:6574:6e73:3::2/64\nd0 198.51.100.1/24", shape=box];
  n4 [label="idle", shape=box];
  n0 -- n1 [label="local eth0 10.0.0.1/24 fd6e:6574:6e73::1/64\nlan local"];
  n1 -- n2 [label="lan home\nhome eth0 10.0.0.2/24 fd6e:6574:6e73::2/64"];
  n2 -- n3 [label="say \"hi\"\nhome eth1 192.0.2.1/24\nserver eth0 192.0.2.7/24"];
  n0 -- n3 [label="vxlan7", style=dashed];
}
"#,
    );
    assert_text(
        &plan.to_mermaid(),
        r#"flowchart LR
  n0[["local<br/>eth0.10 172.16.0.1/24 fd6e:6574:6e73:2::1/64<br/>vxlan7 10.0.3.1/24 fd6e:6574:6e73:3::1/64"]]
  n1{{"lan"}}
  n2(["home"])
  n3["server<br/>vxlan7 10.0.3.2/24 fd6e:6574:6e73:3::2/64<br/>d0 198.51.100.1/24"]
  n4["idle"]
  n0 ---|"local eth0 10.0.0.1/24 fd6e:6574:6e73::1/64<br/>lan local"| n1
  n1 ---|"lan home<br/>home eth0 10.0.0.2/24 fd6e:6574:6e73::2/64"| n2
  n2 ---|"say #quot;hi#quot;<br/>home eth1 192.0.2.1/24<br/>server eth0 192.0.2.7/24"| n3
  n0 -.-|"vxlan7"| n3
"#,
    );
}
