//! Tests of netsim.

mod delay {
    use netns_test::lab::Impairment;
    use netns_test::netns_test;
    use netns_test_tests::eventually;

    use crate::net::{MS, PATIENCE, Pair};

    #[netns_test]
    fn zero_random_delay_in_order() {
        let pair = Pair::new(Impairment::new().delay(20 * MS));
        for ends in pair.both() {
            // It compares the numbers of the datagrams.
            assert!(ends.datagrams(50, 200) >= 20 * MS);
        }
    }

    /// The delay of each packet follows from its flow and number; packets are never early.
    #[netns_test]
    fn random_delays_are_approx_correct() {
        let pair = Pair::new(Impairment::new().delay(20 * MS).jitter(15 * MS));
        for ends in pair.both() {
            let times: Vec<_> = (0..10).map(|_| ends.datagrams(1, 100)).collect();
            assert!(times.iter().all(|time| *time >= 5 * MS), "{times:?}");
            assert!(times.iter().any(|time| *time >= 25 * MS), "{times:?}");
            assert!(times.iter().sum::<std::time::Duration>() >= 10 * 15 * MS, "{times:?}");
            eventually(PATIENCE, "one is early", || ends.datagrams(1, 100) < 20 * MS);
        }
    }
}

mod loss {
    use netns_test::lab::Impairment;
    use netns_test::netns_test;

    use crate::net::Pair;

    /// Returns the number of lost datagrams of 300, and of the bursts in which they were lost.
    fn bursts(impairment: Impairment) -> [usize; 2] {
        let pair = Pair::new(impairment);
        let arrived = pair.both()[0].flood(pair.wan(), 300);
        let is_lost = |number: &u64| !arrived.contains(number);
        let begins = |number: &u64| is_lost(number) && (*number == 0 || !is_lost(&(number - 1)));
        [(0..300).filter(is_lost).count(), (0..300).filter(begins).count()]
    }

    /// Of independent losses of a half, every second one follows one that arrived.
    #[netns_test]
    fn zero_jitter_is_random() {
        let [lost, bursts] = bursts(Impairment::new().loss("50%"));
        assert!((110..190).contains(&lost), "{lost}");
        assert!((50..100).contains(&bursts), "{bursts}");
    }

    #[netns_test]
    fn non_zero_jitter_is_locally_non_random() {
        let [lost, bursts] = bursts(Impairment::new().loss_in_bursts("50%", 10.0));
        assert!((60..240).contains(&lost), "{lost}");
        assert!(lost > 5 * bursts, "{lost}, {bursts}");
    }
}

mod nat {
    use std::io::ErrorKind;

    use netns_test::lab::{Firewall, FirewallAction, Nat};
    use netns_test::netns_test;

    use crate::net::{PATIENCE, both};
    use netns_test_tests::packets::World;

    #[netns_test]
    fn connect_to_outside_world() {
        let world = World::new(Nat::home());
        let ends = both(&world.lab, world.alice, world.a)[0];
        let [_near, far] = ends.connection();
        assert_eq!(far.peer_addr().unwrap().ip(), world.external());
        ends.upload(100_000);
    }

    /// A router that rejects what was not asked for.
    #[netns_test]
    fn nat_tcp_reset() -> netns_test::Result<()> {
        let world = World::new(Nat::home());
        let firewall = Firewall::new().default_in(FirewallAction::Reject);
        world.lab[world.home].set_firewall(firewall)?;
        let to_router = both(&world.lab, world.b, world.home)[0];
        let refused = to_router.connect((world.external(), 5000).into(), PATIENCE).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        Ok(())
    }
}

mod example {
    use std::sync::{Arc, Mutex};

    use netns_test::lab::{Action, Impairment, Nat, Packet};
    use netns_test::netns_test;

    use crate::net::Pair;
    use netns_test_tests::packets::World;

    #[netns_test]
    fn nat() {
        let world = World::new(Nat::home());
        let [machine, server] = [world.alice, world.a].map(|host| world.udp(host, 5000));
        assert_eq!(machine.talks(&server), (world.external(), 5000).into());
    }

    /// A condition sees each packet of the machine, whole frames; this one declines none.
    #[netns_test]
    fn capture_packet() {
        let pair = Pair::new(Impairment::new());
        let captured = Arc::new(Mutex::new(Vec::new()));
        let list = Arc::clone(&captured);
        let watch = Packet::udp().when(move |packet| {
            list.lock().unwrap().push((packet.ethertype(), packet.bytes().to_vec()));
            true
        });
        let _rule = pair.wan().on(watch).from(pair.client).apply(Action::Pass).unwrap();
        for (ends, ethertype) in pair.both().into_iter().zip([0x0800, 0x86dd]) {
            ends.round_trip();
            let all = std::mem::take(&mut *captured.lock().unwrap());
            assert_eq!(all.len(), 1);
            assert_eq!(all[0].0, ethertype);
            assert!(all[0].1.ends_with(b"question"));
        }
    }
}
