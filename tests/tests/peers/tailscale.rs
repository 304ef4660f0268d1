//! Tests of tailscale's packages `natlab` and `vnet`.

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
