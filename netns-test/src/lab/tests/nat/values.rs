//! Values of NATs and firewalls, and their equality.

use crate::lab::tests::nat::two_homes;
use crate::lab::{Firewall, LinkId, Nat, NodeId, Topology, Traffic, Transport};

fn declared(change: impl FnOnce(&mut Topology, [NodeId; 2], LinkId)) -> Topology {
    let mut homes = two_homes();
    let external = "198.51.0.9".parse().unwrap();
    let nat = Nat::home().one_to_one(external, homes.clients[0]);
    homes.net.nat(homes.homes[0], homes.wans[0], nat);
    homes.forward(1, 443, homes.clients[1]);
    let walls = Firewall::home().outside(homes.wans[0]);
    let walls = walls.allow_in(Traffic::tcp(22).from(homes.server).to(homes.clients[0]));
    homes.net.firewall(homes.homes[0], walls);
    change(&mut homes.net, [homes.homes[0], homes.server], homes.wans[0]);
    homes.net
}

#[test]
fn topologies_with_the_same_rules_are_equal() {
    let (one, two) = (declared(|_, _, _| ()), declared(|_, _, _| ()));
    assert_eq!(one, two);
    assert_eq!(one.plan().unwrap(), two.plan().unwrap());
    assert_eq!(one.to_string(), two.to_string());
    type Change = fn(&mut Topology, [NodeId; 2], LinkId);
    let changes: [Change; 5] = [
        |net, [home, _], wan| net.nat(home, wan, Nat::home()),
        |net, [home, server], wan| {
            let external = "198.51.0.9".parse().unwrap();
            net.nat(home, wan, Nat::home().one_to_one(external, server));
        },
        |net, [home, server], wan| net.forward_port(home, wan, Transport::Udp, 1, server, 1),
        |net, [home, server], wan| {
            let traffic = Traffic::tcp(22).from(server).to(server);
            net.firewall(home, Firewall::home().outside(wan).allow_in(traffic));
        },
        |net, [_, server], _| net.firewall(server, Firewall::home()),
    ];
    for (at, change) in changes.iter().enumerate() {
        assert_ne!(declared(change), one, "change {at}");
        assert_eq!(declared(change), declared(change), "change {at}");
    }
}

#[test]
fn a_second_declaration_replaces_the_first() {
    let mut homes = two_homes();
    homes.net.nat(homes.homes[0], homes.wans[0], Nat::symmetric());
    homes.net.firewall(homes.server, Firewall::home());
    homes.net.firewall(homes.server, Firewall::corporate());
    let plan = homes.net.plan().unwrap();
    assert_eq!(plan.nodes()[2].nats.len(), 1);
    assert!(!plan.nodes()[2].nats[0].port_preservation);
    assert_eq!(plan.nodes()[0].firewall.as_ref().unwrap().rules.len(), 3);
}

#[test]
fn kinds_by_the_words_of_rfc_4787() {
    let kinds = [
        (Nat::new(), "address-dependent filtering, port preservation, hairpinning"),
        (Nat::home(), "address and port-dependent filtering, port preservation, no hairpinning"),
        (Nat::full_cone(), "endpoint-independent filtering, port preservation, hairpinning"),
        (Nat::restricted_cone(), "address-dependent filtering, port preservation, hairpinning"),
        (
            Nat::port_restricted(),
            "address and port-dependent filtering, port preservation, hairpinning",
        ),
        (
            Nat::carrier(),
            "endpoint-independent filtering, random ports, hairpinning, 1024 ports for each host",
        ),
    ];
    for (nat, expected) in kinds {
        assert_eq!(nat.to_string(), format!("endpoint-independent mapping, {expected}"));
    }
    let symmetric = "address and port-dependent mapping, address and port-dependent filtering, \
                     random ports, no hairpinning";
    assert_eq!(Nat::symmetric().to_string(), symmetric);
    let more = [
        (Nat::corporate(), "UDP time-out 30 s, open TCP time-out 3600 s, IPv6 blocked"),
        (Nat::hotel(), "UDP time-out 30 s, IPv6 blocked"),
        (Nat::cloud(), "UDP time-out 350 s, open TCP time-out 350 s"),
    ];
    for (nat, expected) in more {
        assert_eq!(nat.to_string(), format!("{symmetric}, {expected}"));
    }
}

#[test]
fn texts_of_firewalls() {
    assert_eq!(Firewall::home().to_string(), "allow out; drop in");
    assert_eq!(
        Firewall::corporate().to_string(),
        "allow out tcp 80, 443; allow out udp 53; allow out tcp 53; drop out; drop in"
    );
    assert_eq!(Firewall::block_udp().to_string(), "drop out udp; allow out; drop in");
    assert_eq!(Firewall::web_only().to_string(), "allow out tcp 80, 443; drop out; drop in");
    let mut net = Topology::new();
    let (a, portal) = (net.host("a"), net.host("portal"));
    assert_eq!(
        Firewall::hotel(portal).to_string(),
        "allow out to node 1; allow out udp 53; allow out tcp 53; drop out; drop in"
    );
    let rule = Traffic::udp_ports(1000..=2000).and_port(9).from(a).from(portal);
    let walls = Firewall::new().allow_in(rule).allow_in(Traffic::ping()).drop_icmp_errors();
    assert_eq!(
        walls.to_string(),
        "allow in udp 1000-2000, 9 from node 0, node 1; allow in ping; allow out; allow in; \
         drop icmp errors"
    );
}
