//! Tests of patchbay.

mod firewall;
mod hairpin;
mod holepunch;
mod link_condition;
mod nat;
mod nat_rebind;
mod preset;
mod region;
mod route;
mod smoke;

mod mtu {
    use std::io::Write as _;

    use netns_test::lab::{Impairment, Packet};
    use netns_test::{Topology, netns_test};
    use netns_test_tests::eventually;

    use crate::net::{PATIENCE, Pair, assert_idle, both};

    /// A router reports that its next link has a smaller MTU, and a rule drops the report.
    #[netns_test]
    fn block_icmp_frag_rule() -> netns_test::Result<()> {
        let mut net = Topology::new();
        let (client, server) = (net.host("client"), net.host("server"));
        let (one, two) = (net.router("one"), net.router("two"));
        let wan = net.link(client, one).impairable().id();
        net.link(one, two).mtu(1300);
        net.link(two, server);
        let lab = net.build()?;
        for (ends, kind) in both(&lab, client, server).into_iter().zip([3, 2]) {
            let [mut near, mut far] = ends.connection();
            let blocked = lab[wan].drop_matching(Packet::icmp().icmp_type(kind))?;
            near.write_all(&[7; 5000]).unwrap();
            eventually(PATIENCE, "the report is dropped", || blocked.hits() > 0);
            assert_idle(&far);
            drop(blocked);
            std::io::Read::read_exact(&mut far, &mut [0; 5000]).unwrap();
        }
        Ok(())
    }

    #[netns_test]
    fn blackhole_drops_large() {
        let pair = Pair::new(Impairment::new());
        for ends in pair.both() {
            let [mut near, mut far] = ends.connection();
            let hole = pair.wan().drop_matching(Packet::any().longer_than(1300)).unwrap();
            near.write_all(b"small").unwrap();
            std::io::Read::read_exact(&mut far, &mut [0; 5]).unwrap();
            near.write_all(&[7; 5000]).unwrap();
            eventually(PATIENCE, "the large ones are dropped", || hole.hits() >= 3);
            assert_idle(&far);
            drop(hole);
            std::io::Read::read_exact(&mut far, &mut [0; 5000]).unwrap();
        }
    }
}

mod ipv6 {
    use netns_test::lab::{Firewall, Nat};
    use netns_test::{Topology, netns_test};

    use crate::net::{both, take};
    use netns_test_tests::packets::Udp;

    /// IPv4 is translated, IPv6 is routed and keeps its source: there is no NPT for IPv6.
    #[netns_test]
    fn dual_stack_home_nat_udp() -> netns_test::Result<()> {
        let mut net = Topology::new();
        let (client, server) = (net.host("client"), net.host("server"));
        let home = net.router("home");
        net.link(client, home);
        let wan = net.link(home, server).id();
        net.nat(home, wan, Nat::home());
        net.firewall(home, Firewall::home());
        let lab = net.build()?;
        let [near, far] = [client, server].map(|node| Udp::open(&lab[node], 5000));
        assert_eq!(near.talks(&far), (lab[home].address_on(wan), 5000).into());
        // It checks both sources.
        let [near, far] = both(&lab, client, server)[1].sockets();
        for (from, to) in [(&near, &far), (&far, &near)] {
            from.send(b"native")?;
            assert_eq!(take(to), b"native");
        }
        Ok(())
    }
}

mod vm_smoke {
    use netns_test::lab::Nat;
    use netns_test::netns_test;

    use crate::net::both;
    use netns_test_tests::packets::World;

    /// In namespaces of this machine, not in a virtual one.
    #[netns_test]
    fn tcp_through_nat() {
        let world = World::new(Nat::home());
        both(&world.lab, world.alice, world.a)[0].upload(100_000);
    }
}

mod iface {
    use netns_test::lab::{Impairment, LossPlan, Nat, Probability, WAIT_LIMIT};
    use netns_test::{Topology, netns_test};

    use crate::net::{MS, Pair, both};
    use netns_test_tests::packets::Udp;

    /// A host gets a second uplink while it runs, its default route moves there, and the first
    /// uplink goes down: interfaces are not removed.
    #[netns_test]
    fn add_remove_runtime() -> netns_test::Result<()> {
        let mut net = Topology::new();
        let (phone, core, server) = (net.host("phone"), net.switch("core"), net.host("server"));
        net.link(server, core);
        let uplinks = ["wifi", "cell"].map(|name| {
            let router = net.router(name);
            let wan = net.link(router, core).id();
            net.nat(router, wan, Nat::home());
            (router, wan)
        });
        let [(wifi, _), (cell, _)] = uplinks;
        let first = net.link(phone, wifi).id();
        let mut lab = net.build()?;
        let external = |lab: &netns_test::Lab, at: usize| {
            let (router, wan) = uplinks[at];
            lab[router].address_on(wan)
        };
        let far = Udp::open(&lab[server], 53);
        let seen = |lab: &netns_test::Lab| Udp::open(&lab[phone], 0).talks(&far).ip();
        assert_eq!(seen(&lab), external(&lab, 0));
        let air = net.link(phone, cell).id();
        lab.extend(&net)?;
        lab[phone].add_route("0.0.0.0/0", cell)?;
        assert_eq!(seen(&lab), external(&lab, 1));
        lab[first].down()?;
        assert_eq!(seen(&lab), external(&lab, 1));
        assert!(lab[phone].address_on(air).is_ipv4());
        lab[phone].wait(WAIT_LIMIT).reachable(lab[server].ipv4())?;
        Ok(())
    }

    #[netns_test]
    fn build_time_conditions() -> netns_test::Result<()> {
        let mut net = Topology::new();
        let (client, server) = (net.host("client"), net.host("server"));
        let condition = Impairment::new().delay(30 * MS).loss("5%").rate("10mbit");
        let wan = net.link(client, server).impair_from(client, condition).id();
        let lab = net.build()?;
        let [forth, back] = lab[wan].impairments()?;
        assert_eq!(forth.delay, 30 * MS);
        assert_eq!(forth.loss, LossPlan::Independent(Probability::new(0.05).unwrap()));
        assert_eq!(forth.rate.unwrap().bits_per_second, 10_000_000);
        assert!(back.is_perfect());
        Ok(())
    }

    #[netns_test]
    fn asymmetric_conditions() -> netns_test::Result<()> {
        let slow = Impairment::new().delay(30 * MS).back(Impairment::new().delay(10 * MS));
        let pair = Pair::new(slow);
        let delays = pair.wan().impairments()?.map(|way| way.delay);
        assert_eq!(delays, [30 * MS, 10 * MS]);
        for (ends, time) in both(&pair.lab, pair.client, pair.server)
            .into_iter()
            .flat_map(|ends| [(ends, 30), (ends.reversed(), 10)])
        {
            assert!(ends.datagrams(1, 100) >= time * MS);
        }
        Ok(())
    }
}
