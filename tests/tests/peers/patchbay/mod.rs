//! Tests of patchbay.

mod link_condition;
mod region;

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

/// Kinds of routers. Home routers, carriers and NAT64 are missing: there is no NAT yet.
mod preset {
    use std::io::ErrorKind;

    use netns_test::lab::{Action, Packet};
    use netns_test::{Topology, netns_test};

    use crate::net::{MS, assert_silent, both};

    /// UDP is blocked, and TCP to ports other than 443: by rules on the uplink, as there are no
    /// kinds of routers yet.
    #[netns_test]
    fn preset_corporate_blocks_udp() -> netns_test::Result<()> {
        let mut net = Topology::new();
        let (client, office, server) =
            (net.host("client"), net.router("office"), net.host("server"));
        net.link(client, office);
        let uplink = net.link(office, server).impairable().id();
        let lab = net.build()?;
        let _https = lab[uplink].on(Packet::tcp().port(443)).apply(Action::Pass)?;
        let _tcp = lab[uplink].drop_matching(Packet::tcp())?;
        let udp = lab[uplink].drop_matching(Packet::udp())?;
        for ends in both(&lab, client, server) {
            let [near, far] = ends.sockets();
            near.send(b"lost").unwrap();
            assert_silent(&far);
            let closed = ends.listener();
            let refused = ends.connect(closed.local_addr().unwrap(), 100 * MS).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::TimedOut);
            let address = closed.local_addr().unwrap().ip();
            let open = lab[server].run(|| std::net::TcpListener::bind((address, 443))).unwrap();
            ends.connection_to(&open);
        }
        assert_eq!(udp.hits(), 2);
        Ok(())
    }
}

mod iface {
    use netns_test::lab::{Impairment, LossPlan, Probability};
    use netns_test::{Topology, netns_test};

    use crate::net::{MS, Pair, both};

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
