//! The probe over lines that delay or lose packets: it takes longer, and is not wrong.

use std::time::Duration;

use netns_test::lab::{Filtering, Impairment, Mapping, Nat};
use netns_test::netns_test;

use netns_test_tests::packets::World;

fn over(impairment: Impairment, nat: Nat) -> World {
    World::over(Some(impairment), |_, _| nat)
}

/// A round trip to a satellite.
#[netns_test]
fn a_long_round_trip_is_no_obstacle() {
    let world = over(Impairment::new().delay(Duration::from_millis(300)), Nat::home());
    let found = world.lab.nat_kind(world.alice, world.a, world.b).unwrap();
    assert_eq!(found, Nat::home(), "{found}");
}

#[netns_test]
fn a_line_that_loses_packets_is_no_other_nat() {
    let by_address = Nat::new().mapping(Mapping::AddressDependent);
    let by_address = by_address.filtering(Filtering::AddressDependent);
    let world = over(Impairment::new().loss("40%"), Nat::home());
    let wait = world.lab[world.alice].wait(Duration::from_secs(120));
    for nat in [Nat::full_cone(), by_address] {
        world.lab[world.home].set_nat(nat.clone()).unwrap();
        for _ in 0..3 {
            let found = wait.nat_kind(&world.lab[world.a], &world.lab[world.b]).unwrap();
            assert_eq!(found, nat, "{found}");
        }
    }
}

#[netns_test]
fn what_is_not_known_is_an_error() {
    let world = over(Impairment::new().loss("95%"), Nat::home());
    let wait = world.lab[world.alice].wait(Duration::from_secs(3));
    let error = wait.nat_kind(&world.lab[world.a], &world.lab[world.b]).unwrap_err();
    assert!(error.is_timeout(), "{error}");
}
