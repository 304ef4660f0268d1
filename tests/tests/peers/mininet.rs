//! Tests of mininet.

mod hifi {
    use netns_test::lab::Impairment;
    use netns_test::{Lab, LinkId, NodeId, Topology, netns_test};

    use crate::net::{Ends, MS, both, least_time};

    /// Two hosts on a switch, each with such a link.
    pub(super) fn star(impairment: &Impairment) -> (Lab, [NodeId; 2], [LinkId; 2]) {
        let mut net = Topology::new();
        let switch = net.switch("s1");
        let ends = ["h1", "h2"].map(|name| {
            let host = net.host(name);
            (host, net.link(host, switch).impair(impairment.clone()).id())
        });
        let lab = net.build().unwrap();
        (lab, ends.map(|end| end.0), ends.map(|end| end.1))
    }

    #[netns_test]
    fn test_link_bandwidth() {
        let (lab, [h1, h2], _) = star(&Impairment::new().rate("5mbit").queue_bytes(200_000));
        for ends in both(&lab, h1, h2) {
            assert!(ends.upload(100_000) >= least_time(100_000, 5_000_000));
        }
    }

    #[netns_test]
    fn test_link_delay() {
        let (lab, [h1, h2], _) = star(&Impairment::new().delay(10 * MS));
        for ends in both(&lab, h1, h2) {
            assert!(ends.round_trip() >= 40 * MS);
        }
    }

    /// Returns how many of 200 datagrams arrive over both links, of which the second one loses
    /// nothing.
    fn flood(ends: Ends<'_>, [first, second]: [LinkId; 2]) -> usize {
        ends.lab[second].set_impairment(Impairment::new()).unwrap();
        ends.flood(&ends.lab[first], 200).len()
    }

    #[netns_test]
    fn test_link_loss() {
        let (lab, [h1, h2], links) = star(&Impairment::new().loss("20%"));
        for ends in both(&lab, h1, h2) {
            let arrived = flood(ends, links);
            assert!((140..180).contains(&arrived), "{arrived}");
        }
    }

    /// The share of the processor is missing.
    #[netns_test]
    fn test_most_options() {
        let all = Impairment::new().rate("5mbit").queue_packets(200).delay(10 * MS).loss("5%");
        let (lab, [h1, h2], links) = star(&all);
        for ends in both(&lab, h1, h2) {
            assert!(ends.upload(50_000) >= 20 * MS + least_time(50_000, 5_000_000));
        }
        let arrived = flood(both(&lab, h1, h2)[0], links);
        assert!((180..200).contains(&arrived), "{arrived}");
    }
}

mod walkthrough {
    use netns_test::lab::Impairment;
    use netns_test::netns_test;

    use crate::net::{MS, both, least_time};

    #[netns_test]
    fn test_link_change() {
        let link = Impairment::new().rate("10mbit").delay(10 * MS);
        let (lab, [h1, h2], _) = super::hifi::star(&link);
        for ends in both(&lab, h1, h2) {
            assert!(ends.round_trip() >= 40 * MS);
            assert!(ends.upload(50_000) >= 20 * MS + least_time(50_000, 10_000_000));
        }
    }
}

mod ex {
    use netns_test::lab::Impairment;
    use netns_test::{Topology, netns_test};

    use crate::net::{MS, Pair, both, least_time};

    mod natnet {
        use netns_test::lab::{Nat, WAIT_LIMIT};
        use netns_test::netns_test;

        use crate::behind::Homes;
        use netns_test_tests::packets::World;

        #[netns_test]
        fn test_public_ping() -> netns_test::Result<()> {
            let homes = Homes::new([Nat::home(), Nat::home()]);
            for host in homes.hosts {
                homes.lab[host].wait(WAIT_LIMIT).reachable(homes.server)?;
            }
            Ok(())
        }

        #[netns_test]
        fn test_private_ping() -> netns_test::Result<()> {
            let homes = Homes::new([Nat::home(), Nat::home()]);
            for host in homes.hosts {
                let plan = homes.lab.plan();
                assert!(!plan.can_reach(homes.server, host).ipv4);
                assert!(plan.can_reach(host, homes.server).ipv4);
                // No route leads there.
                let inside = (homes.lab[host].ipv4(), 7);
                let refused = homes.lab[homes.server]
                    .run(|| std::net::TcpStream::connect(inside))
                    .unwrap_err();
                assert_eq!(refused.kind(), std::io::ErrorKind::NetworkUnreachable);
            }
            Ok(())
        }

        #[netns_test]
        fn test_private_to_private_ping() -> netns_test::Result<()> {
            let world = World::new(Nat::home());
            world.lab[world.alice].wait(WAIT_LIMIT).reachable(world.bob)?;
            let homes = Homes::new([Nat::home(), Nat::home()]);
            assert!(!homes.lab.plan().can_reach(homes.hosts[0], homes.hosts[1]).ipv4);
            Ok(())
        }
    }

    /// An interface gets a rate, then a delay, then a loss; each replaces the one before.
    #[netns_test]
    fn intfoptions() -> netns_test::Result<()> {
        let pair = Pair::new(Impairment::new());
        let set = |options| pair.wan().set_impairment_from(pair.client, options);
        for ends in pair.both() {
            set(Impairment::new().rate("5mbit").queue_bytes(100_000))?;
            assert!(ends.upload(50_000) >= least_time(50_000, 5_000_000));
            set(Impairment::new().delay(15 * MS))?;
            assert!(ends.round_trip() >= 15 * MS);
            ends.is_faster_than(30 * MS);
            set(Impairment::new().loss("50%"))?;
            assert!((60..140).contains(&ends.flood(pair.wan(), 200).len()));
        }
        Ok(())
    }

    /// A rate with a burst of some frames, and with the gaps of Ethernet counted, in place of
    /// several disciplines of the kernel.
    #[netns_test]
    fn limit() -> netns_test::Result<()> {
        let pair = Pair::new(Impairment::new());
        for rate in [2_000_000, 8_000_000] {
            let limit = Impairment::new().rate(rate).queue_bytes(200_000);
            for (limit, free) in [
                (limit.clone(), 0),
                (limit.clone().burst_bytes(15_140), 9 * 1514),
                (limit.overhead(24), 0),
            ] {
                pair.wan().set_impairment(limit)?;
                assert!(pair.both()[0].upload(50_000) >= least_time(50_000 - free, rate));
            }
        }
        Ok(())
    }

    #[netns_test]
    fn linearbandwidth() -> netns_test::Result<()> {
        for count in [1, 4] {
            let mut net = Topology::new();
            let link = Impairment::new().rate("5mbit").queue_bytes(200_000);
            let (h1, h2) = (net.host("h1"), net.host("h2"));
            let switches: Vec<_> =
                (1..=count).map(|number| net.switch(format!("s{number}"))).collect();
            let row = [&[h1], &switches[..], &[h2]].concat();
            for ends in row.windows(2) {
                net.link(ends[0], ends[1]).impair(link.clone());
            }
            let lab = net.build()?;
            for ends in both(&lab, h1, h2) {
                assert!(ends.upload(50_000) >= least_time(50_000, 5_000_000));
            }
        }
        Ok(())
    }

    #[netns_test]
    fn simpleperf() {
        let link = Impairment::new().rate("10mbit").delay(5 * MS).loss("2%").queue_packets(1000);
        let (lab, [h1, h2], links) = super::hifi::star(&link);
        for ends in both(&lab, h1, h2) {
            assert!(ends.upload(50_000) >= 10 * MS + least_time(50_000, 10_000_000));
        }
        assert!(links.iter().any(|link| lab[*link].stats().unwrap().from[0].lost > 0));
    }
}
