//! A running lab beside its plan, by what the real `ip -j` prints on each host.

use std::collections::BTreeSet;

use netns_test::lab::{InterfaceKind, NodeKind, NodePlan, Subnet};
use netns_test::{Lab, Node};
use netns_test_tests::stdout_of;
use serde_json::Value;

/// Every interface, address and route of the plan is there, and no other but what the kernel makes
/// itself.
pub(crate) fn check(lab: &Lab) {
    for (node, host) in lab.plan().nodes().iter().zip(lab.nodes()) {
        assert_eq!(host.name(), node.name);
        links(node, host);
        addresses(node, host);
        routes(node, host);
    }
}

/// Returns the output of `ip -j` on a node.
pub(crate) fn ip(host: &Node, arguments: &[&str]) -> Vec<Value> {
    let all = [&["-j", "-d"], arguments].concat();
    let text = host.run(|| stdout_of("ip", &all));
    let text = if text.trim().is_empty() { "[]" } else { &text };
    let value: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    // With -j, `ip -d address` prints an empty object for what it leaves out.
    value.as_array().unwrap().iter().filter(|one| one.get(0).is_none()).cloned().collect()
}

pub(crate) fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or("")
}

fn links(node: &NodePlan, host: &Node) {
    let found = ip(host, &["link", "show"]);
    // Some kernels put interfaces for tunnels into every namespace.
    let own = |link: &&Value| link["ifindex"].as_u64() >= Some(32) || text(link, "ifname") == "lo";
    let mut names: Vec<&str> = found
        .iter()
        .filter(own)
        .map(|link| text(link, "ifname"))
        .filter(|name| *name != "lo")
        .collect();
    let planned = node.interfaces.iter().filter(|one| one.kind != InterfaceKind::Loopback);
    let mut expected: Vec<&str> = planned.clone().map(|one| one.name.as_str()).collect();
    names.sort_unstable();
    expected.sort_unstable();
    assert_eq!(names, expected, "{}", node.name);
    for one in planned {
        let link = found.iter().find(|link| text(link, "ifname") == one.name).unwrap();
        let what = format!("{} of {}: {link}", one.name, node.name);
        assert_eq!(link["mtu"], one.mtu, "{what}");
        if let Some(mac) = one.mac {
            assert_eq!(text(link, "address"), mac.to_string(), "{what}");
        }
        let flags = link["flags"].as_array().unwrap();
        assert!(flags.iter().any(|flag| flag == "UP"), "{what}");
        let kind = &link["linkinfo"];
        let (name, data) = (text(kind, "info_kind"), &kind["info_data"]);
        match &one.kind {
            InterfaceKind::Veth { bridge, .. } => {
                assert_eq!(name, "veth", "{what}");
                assert_eq!(text(link, "operstate"), "UP", "{what}");
                assert_eq!(text(link, "master"), bridge.as_deref().unwrap_or(""), "{what}");
            }
            InterfaceKind::Bridge { .. } => assert_eq!(name, "bridge", "{what}"),
            InterfaceKind::Dummy => assert_eq!(name, "dummy", "{what}"),
            InterfaceKind::Vlan { lower, vid } => {
                assert_eq!((name, text(link, "link")), ("vlan", lower.as_str()), "{what}");
                assert_eq!(data["id"], *vid, "{what}");
            }
            InterfaceKind::Macvlan { lower, .. } => {
                assert_eq!((name, text(link, "link")), ("macvlan", lower.as_str()), "{what}");
            }
            InterfaceKind::Vxlan { vni, port, .. } => {
                assert_eq!(name, "vxlan", "{what}");
                assert_eq!(
                    (&data["id"], &data["port"]),
                    (&(*vni).into(), &(*port).into()),
                    "{what}"
                );
            }
            other => panic!("{what}: {other:?}"),
        }
    }
}

fn addresses(node: &NodePlan, host: &Node) {
    for link in ip(host, &["address", "show"]) {
        let name = text(&link, "ifname");
        let planned = node.interfaces.iter().find(|one| one.name == name);
        let expected: BTreeSet<String> =
            planned.into_iter().flat_map(|one| &one.addresses).map(ToString::to_string).collect();
        let all = link["addr_info"].as_array().unwrap();
        let is_given = |one: &&Value| !matches!(text(one, "scope"), "host" | "link");
        let found: BTreeSet<String> = all
            .iter()
            .filter(is_given)
            .map(|one| format!("{}/{}", text(one, "local"), one["prefixlen"]))
            .collect();
        assert_eq!(found, expected, "{name} of {}", node.name);
        // The kernel marks an address usable a moment after the carrier. Nothing is sent from those
        // of a switch, so the build does not wait for them.
        let is_awaited = node.kind != NodeKind::Switch;
        let is_usable =
            |one: &Value| !(is_awaited && one["tentative"] == true) && one["dadfailed"] != true;
        assert!(all.iter().all(is_usable), "{name} of {}: {link}", node.name);
    }
}

/// A destination, a gateway and an interface.
type Route = (String, String, String);

fn routes(node: &NodePlan, host: &Node) {
    for family in ["-4", "-6"] {
        let found = ip(host, &[family, "route", "show", "table", "main"]);
        let is_of_node =
            |route: &&Value| text(route, "dev") != "lo" && text(route, "type") == "unicast";
        let found: BTreeSet<Route> = found.iter().filter(is_of_node).map(shown).collect();
        let mut expected = connected(node, family == "-4");
        let planned =
            node.routes.iter().filter(|route| route.destination.is_ipv4() == (family == "-4"));
        expected.extend(planned.map(|route| {
            let via = route.via.map_or(String::new(), |via| via.to_string());
            (destination(route.destination), via, route.dev.clone())
        }));
        assert_eq!(found, expected, "{} {family}", node.name);
    }
}

fn shown(route: &Value) -> Route {
    let [to, via, dev] = ["dst", "gateway", "dev"].map(|field| text(route, field).to_owned());
    (to, via, dev)
}

/// Returns the routes that the kernel makes for the addresses.
fn connected(node: &NodePlan, is_ipv4: bool) -> BTreeSet<Route> {
    let mut found = BTreeSet::new();
    for one in node.interfaces.iter().filter(|one| one.kind != InterfaceKind::Loopback) {
        if !is_ipv4 {
            found.insert(("fe80::/64".to_owned(), String::new(), one.name.clone()));
        }
        for address in &one.addresses {
            let subnet = address.subnet();
            let is_host = subnet.is_ipv4() && subnet.prefix() == 32;
            if subnet.is_ipv4() == is_ipv4 && !is_host {
                found.insert((destination(subnet), String::new(), one.name.clone()));
            }
        }
    }
    found
}

/// As `ip` prints it.
fn destination(subnet: Subnet) -> String {
    let is_host = subnet.prefix() == if subnet.is_ipv4() { 32 } else { 128 };
    match subnet.prefix() {
        0 => "default".to_owned(),
        _ if is_host => subnet.network().to_string(),
        _ => subnet.to_string(),
    }
}
