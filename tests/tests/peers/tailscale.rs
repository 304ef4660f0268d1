//! Tests of tailscale's packages `natlab`, `vnet`, `nat` and `vmtest`.

mod natlab {
    use netns_test::lab::{Impairment, Packet};
    use netns_test::netns_test;

    use crate::net::{Pair, assert_silent, take};

    /// Code of the test sees each packet, changes its own state, and decides about the packet.
    #[netns_test]
    fn test_packet_handler() {
        let pair = Pair::new(Impairment::new());
        for ends in pair.both() {
            let mut seen = 0;
            let odd = Packet::udp().when(move |packet| {
                seen += 1;
                packet.payload().starts_with(b"odd") && seen % 2 == 1
            });
            let [near, far] = ends.sockets();
            let handler = pair.wan().on(odd).from(pair.client).drop().unwrap();
            for text in ["odd 1", "even 2", "odd 3", "odd 4"] {
                near.send(text.as_bytes()).unwrap();
            }
            assert_eq!([take(&far), take(&far)], [b"even 2".to_vec(), b"odd 4".to_vec()]);
            assert_silent(&far);
            assert_eq!(handler.hits(), 2);
        }
    }
}

/// Two peers find each other through NATs, with leased ports where routers serve port mapping.
mod nat {
    use netns_test::lab::{Nat, PortMapping};
    use netns_test::netns_test;

    use crate::leased::{Kind, Site};

    /// Kinds of NATs, by the names there.
    const KINDS: [Kind; 7] = [
        Kind { nat: Nat::home, ..EASY },
        Kind { name: "easyAF", nat: Nat::restricted_cone, filters_ports: false, ..EASY },
        Kind { name: "hard", nat: Nat::symmetric, is_hard: true, ..EASY },
        Kind { name: "easyPMP", nat: easy_pmp, is_public: true, ..EASY },
        Kind { name: "hardPMP", nat: hard_pmp, is_public: true, ..EASY },
        Kind { name: "one2one", is_one_to_one: true, is_public: true, ..EASY },
        Kind { name: "noFilter", nat: Nat::full_cone, is_public: true, ..EASY },
    ];

    const EASY: Kind = Kind {
        name: "easy",
        nat: Nat::home,
        is_one_to_one: false,
        is_public: false,
        is_hard: false,
        filters_ports: true,
    };

    fn easy_pmp() -> Nat {
        Nat::home().port_mapping(PortMapping::new().nat_pmp())
    }

    fn hard_pmp() -> Nat {
        Nat::symmetric().port_mapping(PortMapping::new().nat_pmp())
    }

    /// An endpoint that takes packets unasked is enough. Else the other one's filter has to take
    /// those of a hard NAT, whose port is not known before.
    fn is_direct(one: &Kind, two: &Kind) -> bool {
        let passes = |from: &Kind, to: &Kind| !from.is_hard || !to.filters_ports;
        one.is_public || two.is_public || passes(one, two) && passes(two, one)
    }

    fn check(one: &Kind, two: &Kind) {
        let both = [one, two].map(|kind| ((kind.nat)(), kind.is_one_to_one));
        let heard = Site::new(both, |_, _| ()).hear_each_other();
        assert_eq!(heard, [is_direct(one, two); 2], "{} and {}", one.name, two.name);
    }

    #[netns_test]
    fn test_pair() {
        for [one, two] in [[0, 0], [2, 2], [2, 4]] {
            check(&KINDS[one], &KINDS[two]);
        }
    }

    #[netns_test(timeout = "300s")]
    fn test_grid() {
        for (at, one) in KINDS.iter().enumerate() {
            KINDS[at..].iter().for_each(|two| check(one, two));
        }
    }
}

mod vmtest {
    use netns_test::lab::{Firewall, Nat, PortMapping, Traffic};
    use netns_test::netns_test;

    use crate::leased::Site;

    fn behind_a_firewall(wall: Firewall) -> [bool; 2] {
        let mapping = || (Nat::home().port_mapping(PortMapping::new().nat_pmp()), false);
        let site = Site::new([mapping(), mapping()], |net, [one, _]| {
            net.firewall(one, wall.clone());
        });
        site.hear_each_other()
    }

    /// A firewall on the host lets the port in.
    #[netns_test]
    fn test_bpfdisco() {
        let wall = Firewall::new().allow_in(Traffic::udp(crate::leased::PORT)).deny_in();
        assert_eq!(behind_a_firewall(wall), [true, true]);
    }

    /// A firewall on the host lets nothing in or out but to the router: only a relay would do.
    #[netns_test]
    fn test_host_fwno_bpf() {
        let wall = Firewall::new().allow_out(Traffic::udp(5351)).allow_out(Traffic::udp(3478));
        assert_eq!(behind_a_firewall(wall.deny_out().deny_in()), [false, false]);
    }
}
