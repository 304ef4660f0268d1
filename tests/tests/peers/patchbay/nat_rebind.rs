//! NATs that change while a host uses them.

use netns_test::lab::Nat;
use netns_test::netns_test;

use netns_test_tests::packets::World;

/// The kind of NAT changes: other ports.
#[netns_test]
fn mode_port_change() -> netns_test::Result<()> {
    let world = World::new(Nat::home());
    let [alice, a, b] = [world.alice, world.a, world.b].map(|host| world.udp(host, 5000));
    let before = alice.talks(&a);
    world.lab[world.home].set_nat(Nat::symmetric())?;
    let after = [alice.talks(&a), alice.talks(&b)];
    assert_eq!(after.map(|seen| seen.ip()), [before.ip(); 2]);
    assert_ne!(after[0].port(), after[1].port());
    Ok(())
}

/// A router begins to translate: another address.
#[netns_test]
fn mode_ip_change() -> netns_test::Result<()> {
    let world = World::new(Nat::home());
    let [alice, a] = [world.alice, world.a].map(|host| world.udp(host, 5000));
    let router = &world.lab[world.home];
    router.remove_nat()?;
    assert_eq!(alice.talks(&a), alice.at);
    router.set_nat_on(world.wan, Nat::home())?;
    assert_eq!(alice.talks(&a), (world.external(), 5000).into());
    Ok(())
}

#[netns_test]
fn conntrack_flush() -> netns_test::Result<()> {
    let world = World::new(Nat::home().port_preservation(false));
    let [alice, a] = [world.alice, world.a].map(|host| world.udp(host, 5000));
    let before = alice.talks(&a);
    assert_eq!(alice.talks(&a), before);
    world.lab[world.home].nat().flush()?;
    assert_ne!(alice.talks(&a), before);
    Ok(())
}
