//! Tests of tailscale's packages `nat`, `natlab`, `vnet` and `vmtest`.

mod nat;
mod vmtest;

mod natlab {
    /// Kinds of filters. A firewall decides by address and port; a NAT has the other kinds, too.
    mod test_firewall {
        use netns_test::lab::{Firewall, Nat};
        use netns_test::netns_test;

        use crate::behind::Office;
        use netns_test_tests::packets::{World, heard};

        /// Returns whether packets reach a mapping from another port of the server that it was made
        /// for, and from another server.
        fn passes(nat: Nat) -> [bool; 2] {
            let world = World::new(nat);
            let [alice, a, other_port, b] =
                [(world.alice, 5000), (world.a, 3478), (world.a, 0), (world.b, 3478)]
                    .map(|(host, port)| world.udp(host, port));
            let external = alice.talks(&a);
            let marker = world.udp(world.alice, 0);
            [&other_port, &b].map(|from| {
                let send = || {
                    from.send(external);
                };
                heard(&alice, (&marker, &a), send).is_some()
            })
        }

        #[netns_test]
        fn ip_port_dependent() {
            let office = Office::new(|_| Firewall::home());
            for ends in office.both() {
                office.udp_passes(ends, 5000);
                office.udp_is_dropped(ends.reversed(), 5000);
            }
            assert_eq!(passes(Nat::home()), [false, false]);
        }

        #[netns_test]
        fn ip_dependent() {
            assert_eq!(passes(Nat::restricted_cone()), [true, false]);
        }

        #[netns_test]
        fn endpoint_independent() {
            assert_eq!(passes(Nat::full_cone()), [true, true]);
        }
    }

    mod test_nat {
        use netns_test::lab::{Mapping, Nat};
        use netns_test::netns_test;

        use netns_test_tests::packets::{KINDS, World};

        /// Checks whether two ports of a server, and two servers, see one endpoint.
        fn check(mapping: Mapping, [ports, servers]: [bool; 2]) {
            for (_, filtering) in KINDS.into_iter().filter(|(kind, _)| *kind == mapping) {
                let world = World::new(Nat::new().mapping(mapping).filtering(filtering));
                let alice = world.udp(world.alice, 5000);
                let seen = [(world.a, 3478), (world.a, 3479), (world.b, 3478)]
                    .map(|(host, port)| alice.talks(&world.udp(host, port)));
                assert_eq!([seen[0] == seen[1], seen[0] == seen[2]], [ports, servers]);
            }
        }

        #[netns_test]
        fn endpoint_independent_mapping() {
            check(Mapping::EndpointIndependent, [true, true]);
        }

        #[netns_test]
        fn address_dependent_mapping() {
            check(Mapping::AddressDependent, [true, false]);
        }

        #[netns_test]
        fn address_and_port_dependent_mapping() {
            check(Mapping::AddressAndPortDependent, [false, false]);
        }
    }

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
