//! Regions and the times between them.

use netns_test::lab::{Impairment, Link, LinkRule, Nat, Packet, RegionRouters, Regions};
use netns_test::{Lab, NodeId, Topology, netns_test};

use crate::net::{MS, both, watch};

/// Regions `eu`, `us` and `asia`, with a host in each.
struct World {
    lab: Lab,
    regions: RegionRouters,
    hosts: [NodeId; 3],
}

impl World {
    /// Builds the regions with these round-trip times: eu to us, us to asia, eu to asia.
    fn new(
        [eu_us, us_asia, eu_asia]: [u32; 3],
        declare: impl FnOnce(&mut Topology, NodeId),
    ) -> Self {
        let table = Regions::new().rtt("eu", "us", eu_us * MS).rtt("us", "asia", us_asia * MS);
        let mut net = Topology::new();
        let regions = net.regions(&table.rtt("eu", "asia", eu_asia * MS));
        let hosts = [(1, "eu"), (2, "us"), (3, "asia")].map(|(number, region)| {
            let host = net.host(format!("{region}-host"));
            net.link(host, regions[region])
                .subnet(format!("198.51.{number}.0/24"))
                .subnet(format!("2001:db8:{number}::/64"));
            host
        });
        declare(&mut net, regions["eu"]);
        Self { lab: net.build().unwrap(), regions, hosts }
    }

    fn between(&self, a: &str, b: &str) -> &Link {
        &self.lab[self.regions.link(a, b).unwrap()]
    }
}

/// Counts UDP datagrams.
fn watch_udp(link: &Link) -> LinkRule {
    watch(link, Packet::udp())
}

#[netns_test]
fn basic_latency() {
    let mut net = Topology::new();
    let world = net.regions(&Regions::new().rtt("eu", "us", 50 * MS));
    let (a, b) = (net.host("a"), net.host("b"));
    net.link(a, world["eu"]);
    net.link(b, world["us"]);
    let lab = net.build().unwrap();
    assert!(both(&lab, a, b)[0].round_trip() >= 50 * MS);
}

/// No regions are ready-made: the test declares them.
#[netns_test]
fn default_regions() {
    let World { lab, hosts: [eu, us, asia], .. } = World::new([20, 30, 40], |_, _| {});
    for (a, b, time) in [(eu, us, 20), (us, asia, 30), (eu, asia, 40)] {
        assert!(both(&lab, a, b)[0].round_trip() >= time * MS);
        assert!(both(&lab, b, a)[1].round_trip() >= time * MS);
    }
}

/// The lab has no routing protocol: the test changes the routes of the two regions.
#[netns_test]
fn break_restore_link() -> netns_test::Result<()> {
    let world = World::new([10, 20, 20], |_, _| {});
    let World { lab, regions, hosts: [eu, us, _] } = &world;
    let direct = world.between("eu", "us");
    let (counted, detour) = (watch_udp(direct), watch_udp(world.between("us", "asia")));
    let route = |eu_via, us_via| -> netns_test::Result<()> {
        for (router, via, number) in [("eu", eu_via, 2), ("us", us_via, 1)] {
            lab[regions[router]].add_route(format!("198.51.{number}.0/24"), regions[via])?;
            lab[regions[router]].add_route(format!("2001:db8:{number}::/64"), regions[via])?;
        }
        Ok(())
    };
    for ends in both(lab, *eu, *us) {
        let before = (counted.hits(), detour.hits());
        assert!(ends.round_trip() >= 10 * MS);
        assert_eq!((counted.hits(), detour.hits()), (before.0 + 2, before.1));
        direct.down()?;
        route("asia", "asia")?;
        assert!(ends.round_trip() >= 40 * MS);
        assert_eq!((counted.hits(), detour.hits()), (before.0 + 2, before.1 + 2));
        direct.up()?;
        route("us", "eu")?;
        assert!(ends.round_trip() >= 10 * MS);
        assert_eq!((counted.hits(), detour.hits()), (before.0 + 4, before.1 + 2));
    }
    Ok(())
}

#[netns_test]
fn impair_stacks_with_latency() {
    let mut net = Topology::new();
    let world = net.regions(&Regions::new().rtt("eu", "us", 20 * MS));
    let (a, b) = (net.host("a"), net.host("b"));
    net.link(a, world["eu"]).impair(Impairment::new().delay(15 * MS));
    net.link(b, world["us"]);
    let lab = net.build().unwrap();
    assert!(both(&lab, a, b)[0].round_trip() >= 50 * MS);
}

#[netns_test]
fn v6_latency() {
    let mut net = Topology::new();
    let world = net.regions(&Regions::new().rtt("eu", "us", 40 * MS));
    let (a, b) = (net.host("a"), net.host("b"));
    net.link(a, world["eu"]).ipv6_only();
    net.link(b, world["us"]).ipv6_only();
    let lab = net.build().unwrap();
    assert!(both(&lab, a, b)[1].round_trip() >= 40 * MS);
}

#[netns_test]
fn dual_stack_latency() {
    let World { lab, hosts: [eu, us, _], .. } = World::new([40, 60, 60], |_, _| {});
    for ends in both(&lab, eu, us) {
        assert!(ends.round_trip() >= 40 * MS);
    }
}

/// A router without a region is near the region that it is linked to.
#[netns_test]
fn regionless_to_region() {
    let mut outside = None;
    let world = World::new([200, 200, 200], |net, eu| {
        let (router, host) = (net.router("outside"), net.host("host"));
        net.link(router, eu);
        net.link(host, router);
        outside = Some(host);
    });
    let counted =
        [("eu", "us"), ("us", "asia"), ("eu", "asia")].map(|(a, b)| watch_udp(world.between(a, b)));
    for ends in both(&world.lab, outside.unwrap(), world.hosts[0]) {
        ends.is_faster_than(200 * MS);
    }
    assert!(counted.iter().all(|link| link.hits() == 0));
}

/// IPv4 is translated, and IPv6 is not.
#[netns_test]
fn mixed_nat_region() {
    let mut inside = None;
    let world = World::new([40, 60, 60], |net, eu| {
        let (home, host) = (net.router("home"), net.host("host"));
        let wan = net.link(home, eu).id();
        net.link(host, home);
        net.nat(home, wan, Nat::home());
        inside = Some(host);
    });
    let [ipv4, ipv6] = both(&world.lab, inside.unwrap(), world.hosts[1]);
    assert!(ipv4.tcp_round_trip() >= 40 * MS);
    assert!(ipv6.round_trip() >= 40 * MS);
}

/// Packets take the direct way, although the two others together are shorter.
#[netns_test]
fn three_region_triangle() {
    let world = World::new([10, 10, 50], |_, _| {});
    let detour = [watch_udp(world.between("eu", "us")), watch_udp(world.between("us", "asia"))];
    for ends in both(&world.lab, world.hosts[0], world.hosts[2]) {
        assert!(ends.round_trip() >= 50 * MS);
    }
    assert!(detour.iter().all(|link| link.hits() == 0));
}
