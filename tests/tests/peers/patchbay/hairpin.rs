//! Two hosts of one home that know each other's external endpoints.

use netns_test::lab::Nat;
use netns_test::netns_test;

use netns_test_tests::packets::{World, heard};

/// Returns whether one host reaches the other, and checks the source.
fn passes(nat: Nat) -> bool {
    let world = World::new(nat);
    let a = world.udp(world.a, 3478);
    let [alice, bob, marker] = [world.alice, world.bob, world.bob].map(|host| world.udp(host, 0));
    let [of_alice, of_bob] = [alice.talks(&a), bob.talks(&a)];
    // Each has sent to the other, as filters ask for.
    let both = || {
        alice.send(of_bob);
        bob.send(of_alice);
    };
    let from = heard(&bob, (&marker, &a), both);
    assert!(from.is_none_or(|from| from == of_alice), "{from:?}");
    from.is_some()
}

#[netns_test]
fn fullcone_allows() {
    assert!(passes(Nat::full_cone()));
}

#[netns_test]
fn home_nat_blocks() {
    assert!(!passes(Nat::home()));
}

#[netns_test]
fn custom_allows() {
    assert!(passes(Nat::home().hairpinning(true)));
}
