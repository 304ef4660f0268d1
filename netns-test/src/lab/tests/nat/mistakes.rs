//! Mistakes of NATs and firewalls: all at once, each with its advice.

use std::time::Duration;

use crate::lab::tests::nat::{TwoHomes, two_homes};
use crate::lab::{Filtering, Firewall, Mapping, Nat, Topology, Traffic, Transport};

/// Plans two homes with a change, and asserts the errors.
#[track_caller]
fn assert_errors(change: impl FnOnce(&mut TwoHomes), expected: &[&str]) {
    let mut homes = two_homes();
    change(&mut homes);
    let errors = match homes.net.plan() {
        Ok(plan) => panic!("no error\n{plan}"),
        Err(errors) => errors,
    };
    let found: Vec<String> = errors.as_slice().iter().map(ToString::to_string).collect();
    assert_eq!(found, expected, "\n{errors}");
}

const WAN: &str = "NAT of `one` on link isp to one: ";

#[track_caller]
fn assert_nat_errors(nat: Nat, expected: &[&str]) {
    let expected: Vec<String> = expected.iter().map(|why| format!("{WAN}{why}")).collect();
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    assert_errors(|homes| homes.net.nat(homes.homes[0], homes.wans[0], nat), &expected);
}

#[test]
fn places_of_nats() {
    let mut other = Topology::new();
    let (x, y) = (other.router("x"), other.host("y"));
    let theirs = other.link(x, y).id();
    assert_errors(
        |homes| {
            homes.net.nat(homes.server, homes.wans[0], Nat::home());
            homes.net.nat(homes.homes[0], homes.wans[1], Nat::home());
            homes.net.nat(x, homes.wans[1], Nat::home());
            homes.net.nat(homes.homes[0], theirs, Nat::home());
            let switch = homes.net.switch("switch");
            homes.net.nat(switch, homes.wans[1], Nat::home());
        },
        &[
            "NAT of `server`: it is a host, which does not forward; put it on a router",
            "NAT of `one` on link isp to two: the link does not end at the router; name one that \
             does",
            "nat(): a node of another topology; use the ids that this one returned",
            "NAT of `one`: a link of another topology; use the ids that this one returned",
            "NAT of `switch`: it is a switch, which does not forward; put it on a router",
        ],
    );
}

#[test]
fn an_outside_without_ipv4() {
    assert_errors(
        |homes| {
            let (out, host) = (homes.net.router("out"), homes.net.host("host"));
            let link = homes.net.link(out, homes.isp).ipv6_only().id();
            homes.net.link(out, host);
            homes.net.nat(out, link, Nat::home());
        },
        &["NAT of `out` on link out to isp: the outside has no IPv4 address; give it one, or \
           remove `ipv6_only`"],
    );
}

#[test]
fn values_of_nats() {
    let second = Duration::from_secs(1);
    let nat = Nat::new()
        .mapping(Mapping::AddressAndPortDependent)
        .filtering(Filtering::EndpointIndependent)
        .udp_timeout(Duration::ZERO)
        .tcp_established_timeout(Duration::from_millis(1500))
        .tcp_transitory_timeout(second * 86400 * 25)
        .ports(0..=9);
    assert_nat_errors(
        nat,
        &[
            "address and port-dependent mapping with endpoint-independent filtering: a mapping for \
             one outside endpoint has no use for others; set address and port-dependent filtering, \
             or another mapping",
            "ports 0 to 9: give a range from 1 on, lowest first",
            "the time-out of UDP is 0; give at least one second",
            "the time-out of open TCP connections is 1.5s; give whole seconds",
            "the time-out of transitory TCP connections is 2160000s; give at most 24 days",
        ],
    );
    #[expect(clippy::reversed_empty_ranges, reason = "the mistake")]
    let ports = 9..=8;
    let mistake = ["ports 9 to 8: give a range from 1 on, lowest first"];
    assert_nat_errors(Nat::new().ports(ports), &mistake);
    assert_nat_errors(
        Nat::new().ports(1..=3).ports_per_host(4),
        &["4 ports for each of 1 inside addresses, of 3; give fewer"],
    );
    assert_nat_errors(Nat::new().ports_per_host(0), &["0 ports for each host; give at least 1"]);
}

#[test]
fn external_addresses() {
    let ip = |text: &str| text.parse::<std::net::Ipv4Addr>().unwrap();
    assert_nat_errors(
        Nat::new().pool([ip("198.51.0.9"), ip("198.51.0.9")]),
        &["its pool has 198.51.0.9 twice; name it once"],
    );
    let pool = |text| {
        move |homes: &mut TwoHomes| {
            homes.net.nat(homes.homes[0], homes.wans[0], Nat::new().pool([ip(text)]));
        }
    };
    assert_errors(
        pool("203.0.113.50"),
        &["203.0.113.0/24 (link server to isp) and 203.0.113.50/32 (NAT of `one` on link isp to \
           one) overlap; give one another subnet"],
    );
    assert_errors(
        pool("198.51.0.255"),
        &["NAT of `one` on link isp to one: 198.51.0.255/24 is the broadcast address of the \
           subnet; give the address of one interface"],
    );
    assert_errors(
        |homes| {
            let [ann, bob] = homes.clients;
            let nat = Nat::new()
                .pool([ip("198.51.0.7")])
                .one_to_one(ip("198.51.0.2"), ann)
                .one_to_one(ip("198.51.0.7"), ann)
                .one_to_one(ip("198.51.0.8"), ann)
                .one_to_one(ip("198.51.0.9"), ann)
                .one_to_one(ip("198.51.0.10"), bob)
                .one_to_one(ip("198.51.0.11"), homes.homes[0]);
            homes.net.nat(homes.homes[0], homes.wans[0], nat);
        },
        &[
            &format!(
                "{WAN}1:1 of 198.51.0.2 and `ann`: it is the address of the outside interface; \
                 give another"
            ),
            &format!(
                "{WAN}1:1 of 198.51.0.7 and `ann`: the pool has the address, too; remove it from \
                 one"
            ),
            &format!(
                "{WAN}1:1 of 198.51.0.9 and `ann`: the node has another address already; remove \
                 one"
            ),
            &format!(
                "{WAN}1:1 of 198.51.0.10 and `bob`: `bob` is not inside of `one`; name a node \
                 that is"
            ),
            &format!(
                "{WAN}1:1 of 198.51.0.11 and `one`: `one` is the router itself; name a node inside"
            ),
        ],
    );
}

#[test]
fn forwarded_ports() {
    let mut other = Topology::new();
    let x = other.router("x");
    let bad = |port: u16, why: &str| format!("forwarded tcp port {port} of `one`: {why}");
    assert_errors(
        |homes| {
            let [ann, bob] = homes.clients;
            homes.forward(0, 1, ann);
            homes.forward(0, 1, ann);
            homes.forward(0, 0, ann);
            homes.forward(0, 2, bob);
            homes.forward(0, 3, homes.server);
            homes.forward(0, 4, x);
            let (one, wan) = (homes.homes[0], homes.wans[1]);
            homes.net.forward_port(one, wan, Transport::Tcp, 5, ann, 5);
            homes.net.forward_port(x, wan, Transport::Udp, 6, ann, 6);
        },
        &[
            &bad(5, "the router has no NAT on link isp to two; declare one with `nat`"),
            "forwarded udp port 6 of `an unknown node`: a node of another topology; use the ids \
             that this one returned",
            &bad(1, "it is forwarded to 192.168.1.10:443 already; give another port"),
            &bad(0, "there is no port 0; give one from 1 on"),
            &bad(2, "`bob` is not inside of `one`; name a node that is"),
            &bad(3, "`server` is not inside of `one`; name a node that is"),
            &bad(4, "a node of another topology; use the ids that this one returned"),
        ],
    );
}

#[test]
fn borders() {
    assert_errors(
        |homes| {
            let [router, home] = [homes.net.router("bypass"), homes.homes[0]];
            homes.net.link(router, home);
            homes.net.link(router, homes.isp);
        },
        &[
            "192.168.1.0/24 (link one to ann) and 192.168.1.0/24 (link two to bob) overlap; give \
             one another subnet",
            "192.168.1.1 is the address of `eth1` of `one` (link one to ann) and of `eth1` of \
             `two` (link two to bob); change one",
            "192.168.1.10 is the address of `eth0` of `ann` (link one to ann) and of `eth0` of \
             `bob` (link two to bob); change one",
            "NAT of `one` on link isp to one: its inside and its outside are joined by other \
             routers, by which packets would pass without translation; remove that way, or put a \
             NAT on it, too",
        ],
    );
    assert_errors(
        |homes| {
            let host = homes.net.host("host");
            homes.net.link(homes.homes[0], host).addrs("203.0.113.65/26", "203.0.113.66/26");
        },
        &["203.0.113.0/24 (link server to isp) and 203.0.113.64/26 (link one to host) overlap; \
           give one another subnet"],
    );
    // A host in both homes cannot distinguish the two.
    assert_errors(
        |homes| {
            let host = homes.net.host("host");
            for home in homes.homes {
                homes.net.link(home, host);
            }
        },
        &[
            "192.168.1.0/24 (link one to ann) and 192.168.1.0/24 (link two to bob) overlap; give \
             one another subnet",
            "192.168.1.1 is the address of `eth1` of `one` (link one to ann) and of `eth1` of \
             `two` (link two to bob); change one",
            "192.168.1.10 is the address of `eth0` of `ann` (link one to ann) and of `eth0` of \
             `bob` (link two to bob); change one",
        ],
    );
}

#[test]
fn firewalls() {
    let mut other = Topology::new();
    let (x, y) = (other.router("x"), other.host("y"));
    let theirs = other.link(x, y).id();
    let bad = |node: &str, why: &str| format!("firewall of `{node}`: {why}");
    assert_errors(
        |homes| {
            let switch = homes.net.switch("switch");
            homes.net.firewall(switch, Firewall::home());
            homes.net.firewall(x, Firewall::home());
            homes.net.firewall(homes.isp, Firewall::home());
            homes.net.firewall(homes.server, Firewall::home().outside(homes.wans[0]));
            let walls = Firewall::home().outside(theirs).outside(homes.wans[1]);
            homes.net.firewall(homes.homes[0], walls);
        },
        &[
            "`switch` is a switch, which has no firewall; put it on a host or a router",
            "firewall(): a node of another topology; use the ids that this one returned",
            &bad(
                "isp",
                "the router has no NAT, so that its outside is not known; name the links there \
                 with `outside`",
            ),
            &bad(
                "server",
                "all interfaces of a host are outside; remove `outside`, or put the firewall on a \
                 router",
            ),
            &bad(
                "one",
                "`outside` names a link of another topology; use the ids that this one returned",
            ),
            &bad(
                "one",
                "`outside` names a link that does not end at the router; name one that does",
            ),
        ],
    );
}

#[test]
fn rules_of_firewalls() {
    let x = Topology::new().router("x");
    let bad = |node: &str, why: &str| format!("firewall of `{node}`: {why}");
    assert_errors(
        |homes| {
            let switch = homes.net.switch("switch");
            let walls = Firewall::new()
                .allow_in(Traffic::any().and_port(80))
                .allow_in(Traffic::udp(0))
                .allow_out(Traffic::tcp(1).to(x))
                .allow_out(Traffic::ping().to(switch))
                .allow_out(Traffic::any().to(homes.clients[0]));
            homes.net.nat(homes.homes[0], homes.wans[0], Nat::corporate());
            homes.net.firewall(homes.clients[1], walls);
        },
        &[
            &bad(
                "bob",
                "rule `allow in 80`: only TCP and UDP have ports; use `Traffic::tcp` or `udp`",
            ),
            &bad(
                "bob",
                "rule `allow in udp 0`: ports 0 to 0: give a range from 1 on, lowest first",
            ),
            &bad(
                "bob",
                "rule `allow out tcp 1 to an unknown node`: it names a node of another topology; \
                 use the ids that this one returned",
            ),
            &bad(
                "bob",
                "rule `allow out ping to switch`: `switch` has no address; name another node",
            ),
            &bad(
                "bob",
                "rule `allow out to ann`: no address of `ann` is known at `bob`; name another node",
            ),
        ],
    );
}
