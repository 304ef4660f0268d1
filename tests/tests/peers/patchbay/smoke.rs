//! Traffic through a NAT.

use netns_test::lab::{Nat, WAIT_LIMIT};
use netns_test::netns_test;

use crate::behind::Homes;
use crate::net::both;
use netns_test_tests::packets::World;

#[netns_test]
fn udp_roundtrip() {
    let world = World::new(Nat::home());
    let [near, far] = [world.alice, world.a].map(|host| world.udp(host, 5000));
    assert_eq!(near.talks(&far), (world.external(), 5000).into());
}

#[netns_test]
fn tcp_roundtrip() {
    let world = World::new(Nat::home());
    let ends = both(&world.lab, world.alice, world.a)[0];
    let [_near, far] = ends.connection();
    assert_eq!(far.peer_addr().unwrap().ip(), world.external());
    ends.tcp_round_trip();
}

#[netns_test]
fn ping_through_nat_to_relay() -> netns_test::Result<()> {
    let homes = Homes::new([Nat::home(), Nat::symmetric()]);
    for host in homes.hosts {
        homes.lab[host].wait(WAIT_LIMIT).reachable(homes.server)?;
    }
    Ok(())
}
