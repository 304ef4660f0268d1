//! Tests of turmoil-net.

use std::io::{Read as _, Write as _};

use netns_test::lab::{Impairment, Packet};
use netns_test::netns_test;

use crate::net::Pair;

#[netns_test]
fn tcp_retx_go_back_n_recovers_multi_segment_write() {
    let pair = Pair::new(Impairment::new());
    for ends in pair.both() {
        let data = Packet::tcp().data();
        let lost = pair.wan().on(data).from(pair.client).nth(1).drop().unwrap();
        let [mut near, mut far] = ends.connection();
        let sent: Vec<u8> = (0..40_000_u32).map(|at| (at % 251) as u8).collect();
        let mut got = vec![0; sent.len()];
        near.write_all(&sent).unwrap();
        far.read_exact(&mut got).unwrap();
        assert!(got == sent);
        assert_eq!(lost.hits(), 1);
    }
}

mod rules {
    use std::time::Instant;

    use netns_test::lab::{Action, Impairment, Packet};
    use netns_test::netns_test;

    use crate::net::{MS, Pair, assert_silent, take};

    #[netns_test]
    fn latency_delays_delivery() {
        let pair = Pair::new(Impairment::new());
        let late = Action::Delay(50 * MS);
        let _rule = pair.wan().on(Packet::udp()).from(pair.client).apply(late).unwrap();
        for ends in pair.both() {
            let [near, far] = ends.sockets();
            let start = Instant::now();
            near.send(b"late").unwrap();
            assert_eq!(take(&far), b"late");
            assert!(start.elapsed() >= 50 * MS);
        }
    }

    /// A rule whose condition declines a packet leaves it to the next one.
    #[netns_test]
    fn pass_falls_through_to_next_rule() {
        let pair = Pair::new(Impairment::new());
        let declined = Packet::udp().when(|packet| packet.payload() == b"other");
        let first = pair.wan().on(declined).apply(Action::Pass).unwrap();
        let second = pair.wan().drop_matching(Packet::udp()).unwrap();
        for ends in pair.both() {
            let [near, far] = ends.sockets();
            near.send(b"lost").unwrap();
            assert_silent(&far);
        }
        assert_eq!((first.hits(), second.hits()), (0, 2));
    }

    #[netns_test]
    fn first_non_pass_wins() {
        let pair = Pair::new(Impairment::new());
        let first = pair.wan().on(Packet::udp()).apply(Action::Alter { offset: 0, bits: 0x20 });
        let second = pair.wan().drop_matching(Packet::udp()).unwrap();
        for ends in pair.both() {
            let [near, far] = ends.sockets();
            near.send(b"abc").unwrap();
            assert_eq!(take(&far), b"Abc");
        }
        assert_eq!((first.unwrap().hits(), second.hits()), (2, 0));
    }
}
