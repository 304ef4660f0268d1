//! Topologies that `extend()` refuses, with what they lack or change.

use crate::lab::plan::diff;
use crate::lab::plan::diff::declared;
use crate::lab::{Firewall, Impairment, LinkId, MacvlanMode, Nat, NodeId, Topology, Transport};

/// Returns the error of extending `old` to `new`, or an empty text.
fn refusal(old: &Topology, new: &Topology) -> String {
    let (before, after) = (old.plan().unwrap(), new.plan().unwrap());
    let checked = declared::check(old, new).and_then(|()| diff::between(&before, &after));
    checked.map_or_else(|failure| failure.to_string(), |_| String::new())
}

#[test]
fn an_extra_interface_that_is_missing_is_refused() {
    let mut net = Topology::new();
    let (a, b, switch) = (net.host("a"), net.host("b"), net.switch("switch"));
    let link = net.link(a, switch).name("wire").id();
    net.link(b, switch);
    type Extra = fn(&mut Topology, [NodeId; 3], LinkId);
    let extras: [(&str, Extra); 4] = [
        ("interface d0 of a", |net, [a, ..], _| {
            net.node(a).dummy("d0", ());
        }),
        ("VLAN 7 on link `wire` (a to switch) of a", |net, [a, ..], link| {
            net.node(a).vlan(link, 7, ());
        }),
        ("interface mv0 of a", |net, [a, ..], link| {
            net.node(a).macvlan(link, "mv0", MacvlanMode::Bridge, ());
        }),
        ("VXLAN 9 of a", |net, [a, b, _], _| {
            net.node(a).vxlan(9, [b], ());
            net.node(b).vxlan(9, [a], ());
        }),
    ];
    let declared = |missing: Option<usize>| {
        let mut net = net.clone();
        for (_, (_, declare)) in extras.iter().enumerate().filter(|(at, _)| Some(*at) != missing) {
            declare(&mut net, [a, b, switch], link);
        }
        net
    };
    let whole = declared(None);
    assert_eq!(refusal(&whole, &whole.clone()), "");
    for (missing, (object, _)) in extras.iter().enumerate() {
        let message = refusal(&whole, &declared(Some(missing)));
        let expected = format!("extend {object}: the topology lacks it");
        assert!(message.starts_with(&expected), "{message}");
    }
    let mut stp = net.clone();
    stp.node(switch).stp();
    let expected = "extend br0 of switch: its kind would change";
    assert!(refusal(&stp, &net).starts_with(expected), "{}", refusal(&stp, &net));
}

#[test]
fn a_nat_a_forwarded_port_or_a_firewall_that_is_missing_is_refused() {
    let mut net = Topology::new();
    let (a, home, b) = (net.host("a"), net.router("home"), net.host("b"));
    net.link(a, home);
    let wan = net.link(home, b).name("wan").id();
    let with_nat = |nat| {
        let mut net = net.clone();
        net.nat(home, wan, nat);
        net
    };
    let (before, mut after) = (with_nat(Nat::home()), with_nat(Nat::symmetric()));
    assert_eq!(refusal(&net, &before), "");
    assert_eq!(refusal(&before, &after), "");
    after.forward_port(home, wan, Transport::Tcp, 80, a, 8080);
    after.firewall(home, Firewall::home());
    assert_eq!(refusal(&before, &after), "");
    let missing = |from: &Topology| refusal(&after, from);
    let expected = "extend nat of home on wan: the topology lacks it: extend() only adds";
    assert!(missing(&net).starts_with(expected), "{}", missing(&net));
    let expected = "extend forward tcp 80 to a:8080 of home on wan: the topology lacks it";
    assert!(missing(&before).starts_with(expected), "{}", missing(&before));
    let mut without = before.clone();
    without.forward_port(home, wan, Transport::Tcp, 80, a, 8081);
    let expected = "extend firewall of home: the topology lacks it";
    assert!(missing(&without).starts_with(expected), "{}", missing(&without));
}

#[test]
fn impairments_of_a_link_change_and_its_kind_does_not() {
    let mut net = Topology::new();
    let (a, b) = (net.host("a"), net.host("b"));
    let (direct, other) = (net.link(a, b).id(), net.link(a, b).impairable().id());
    let lossy = Impairment::new().loss("1%");
    let mut new = net.clone();
    new.impair(other, lossy.clone());
    assert_eq!(refusal(&net, &new), "");
    let growth = diff::between(&net.plan().unwrap(), &new.plan().unwrap()).unwrap();
    let planned = new.plan().unwrap().links()[1].impairments.clone().unwrap();
    assert_eq!(growth.impairments, [(1, planned)]);
    new.impair(direct, lossy);
    let expected = "extend link a to b: it was built as a direct veth pair, which has no \
                    impairments declare it `impairable()`, or call `impairable_links()` before \
                    `build()`";
    assert_eq!(refusal(&net, &new).replace("\n  ", " "), expected);
    let mut all = net.clone();
    all.impairable_links();
    assert!(refusal(&net, &all).starts_with("extend link a to b: it was built as a direct"));
    let expected = "extend link a to b: its kind to a direct veth pair would change";
    assert!(refusal(&all, &net).starts_with(expected), "{}", refusal(&all, &net));
}

#[test]
fn offloads_of_a_link_do_not_change() {
    let plan = |offloads| {
        let mut net = Topology::new();
        let (a, b) = (net.host("a"), net.host("b"));
        net.link(a, b).offloads(offloads);
        net.plan().unwrap()
    };
    let message = diff::between(&plan(true), &plan(false)).unwrap_err().to_string();
    assert!(message.starts_with("extend link a to b: its offloads would change"), "{message}");
}

/// Clones that have been extended in different ways.
#[test]
fn an_address_that_would_become_the_primary_one_is_refused() {
    let mut net = Topology::new();
    let (a, b) = (net.host("a"), net.host("b"));
    net.link(a, b).addrs("192.0.2.1/24", ());
    let with = |addresses: &[&str]| {
        let mut net = net.clone();
        for address in addresses {
            net.node(a).addr("eth0", *address);
        }
        net
    };
    let [second, third] = ["192.0.2.2/24", "192.0.2.3/24"];
    assert_eq!(refusal(&with(&[second]), &with(&[second, third])), "");
    let message = refusal(&with(&[third]), &with(&[second, third]));
    assert!(message.starts_with("extend eth0 of a: its addresses would change"), "{message}");
    let message = refusal(&with(&[second]), &with(&[]));
    assert!(message.starts_with("extend address 192.0.2.2/24 on eth0 of a: "), "{message}");
}
