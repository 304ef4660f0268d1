//! Translated prefixes of IPv6 (RFC 6296) in plans.

use crate::lab::tests::nat::{TwoHomes, two_homes};
use crate::lab::{Nat, NodeId, Plan, Topology};

/// Prefix of the default pool.
const INSIDE: &str = "fd6e:6574:6e73::/48";

/// Two homes of the same provider, whose prefixes are translated.
fn translated() -> TwoHomes {
    let mut homes = two_homes();
    for at in [0, 1] {
        let nat = Nat::home().nptv6(INSIDE, format!("2001:db8:{at}::/48"));
        homes.net.nat(homes.homes[at], homes.wans[at], nat);
    }
    homes
}

fn seen(plan: &Plan, viewer: NodeId, node: NodeId) -> Vec<String> {
    let all = plan.addresses_seen_from(viewer, node);
    all.iter().filter(|one| one.is_ipv6()).map(ToString::to_string).collect()
}

#[test]
fn both_directions_are_translated() {
    let TwoHomes { net, server, isp, clients: [ann, bob], .. } = translated();
    let plan = net.plan().unwrap();
    let nat = &plan.nodes()[2].nats[0];
    assert_eq!(nat.prefixes.len(), 1);
    assert!(nat.to_string().ends_with(&format!("IPv6 translated from {INSIDE} to 2001:db8::/48")));
    let [own, external] = [seen(&plan, ann, ann), seen(&plan, server, ann)].map(|one| one.concat());
    assert!(own.starts_with("fd6e:6574:6e73:2::"), "{own}");
    assert!(external.starts_with("2001:db8:0:"), "{external}");
    assert_eq!(seen(&plan, bob, ann), [external.as_str()]);
    assert_eq!(seen(&plan, ann, server), seen(&plan, server, server));
    let pairs = [[ann, server], [server, ann], [ann, bob], [bob, ann], [isp, ann], [ann, isp]];
    for [a, b] in pairs {
        assert!(plan.can_reach(a, b).ipv6, "{}", plan.path(a, b));
    }
    let [there, back] =
        [seen(&plan, server, bob), seen(&plan, server, ann)].map(|one| one.concat());
    assert_eq!(
        plan.path_to(ann, there.parse().unwrap()).to_string(),
        format!(
            "ann (eth0) -> one (eth0, source translated to {back}) -> isp (eth2) -> \
             two (eth1, destination translated to {}) -> bob",
            seen(&plan, bob, bob).concat(),
        )
    );
    // An inside address is none outside, and an external one that no host has neither.
    for to in [own.as_str(), "2001:db8:0:1::1"] {
        let path = plan.path_to(server, to.parse().unwrap()).to_string();
        assert!(!path.ends_with("ann"), "{path}");
    }
}

#[test]
fn a_host_beside_the_router_has_a_route_to_the_prefix() {
    let mut net = Topology::new();
    let (pc, home, server) = (net.host("pc"), net.router("home"), net.host("server"));
    net.link(pc, home).addrs("fd01:203:405:1::1234/64", ());
    let wan = net.link(home, server).id();
    net.nat(home, wan, Nat::home().nptv6("fd01:203:405::/48", "2001:db8:1::/48"));
    let plan = net.plan().unwrap();
    assert_eq!(seen(&plan, server, pc), ["2001:db8:1:d550::1234"]);
    let routes: Vec<String> =
        plan.nodes()[2].routes.iter().map(|route| route.destination.to_string()).collect();
    assert_eq!(routes, ["2001:db8:1::/48"]);
    assert!(plan.can_reach(server, pc).ipv6 && plan.can_reach(pc, server).ipv6);
    // A longer prefix has no word for subnets: the interface identifier changes.
    net.nat(home, wan, Nat::home().nptv6("fd01:203:405::/60", "2001:db8:1::/60"));
    let plan = net.plan().unwrap();
    assert_eq!(seen(&plan, server, pc), ["2001:db8:1:1:d54f::1234"]);
    assert!(plan.can_reach(server, pc).ipv6 && plan.can_reach(pc, server).ipv6);
}

#[test]
fn mistakes_of_prefixes() {
    let errors = |inside: &str, outside: &str| {
        let mut homes = two_homes();
        homes.net.nat(homes.homes[0], homes.wans[0], Nat::home().nptv6(inside, outside));
        let other = Nat::home().nptv6(INSIDE, "2001:db8:2::/48");
        homes.net.nat(homes.homes[1], homes.wans[1], other);
        homes.net.plan().unwrap_err().to_string()
    };
    for (inside, outside, expected) in [
        (INSIDE, "2001:db8::", "`2001:db8::`: no prefix length"),
        (INSIDE, "2001:db8::/32", "different lengths; give prefixes of one length"),
        ("10.0.0.0/8", INSIDE, "10.0.0.0/8 is no prefix of IPv6"),
        ("fd00::/80", "2001:db8::/80", "no prefix of 1 to 64 bits"),
        ("fd00::/48", "2001:db8::/48", "is inside, but not in fd00::/48"),
        ("fd00::/48", INSIDE, "has addresses of fd6e:6574:6e73::/64, which is a link's"),
        (INSIDE, "2001:db8:2::/48", "overlaps 2001:db8:2::/48 of `one`; give another"),
    ] {
        let found = errors(inside, outside);
        assert!(found.contains(expected), "{found}");
    }
}
