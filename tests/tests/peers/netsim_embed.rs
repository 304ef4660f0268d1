//! Tests of netsim-embed.

mod core {
    use std::time::Instant;

    use netns_test::lab::Impairment;
    use netns_test::netns_test;
    use netns_test_tests::eventually;

    use crate::net::{MS, PATIENCE, Pair, least_time, take};

    /// Datagrams wait in a buffer of ten, for the rate and for the delay; more are dropped.
    #[netns_test]
    fn test_delay() {
        let line = Impairment::new().rate("1mbit").queue_packets(10).delay(20 * MS);
        let pair = Pair::new(line.back(Impairment::new()));
        for ends in pair.both() {
            ends.round_trip();
            let [near, far] = ends.sockets();
            let dropped = || pair.wan().stats().unwrap().from[0].dropped_by_queue;
            let before = dropped();
            let start = Instant::now();
            (0..60_u8).for_each(|number| assert_eq!(near.send(&[number; 1000]).unwrap(), 1000));
            eventually(PATIENCE, "the buffer is full", || dropped() > before);
            let arrived: Vec<u8> = (0..60 - (dropped() - before)).map(|_| take(&far)[0]).collect();
            assert!(arrived.len() >= 10 && arrived.is_sorted(), "{arrived:?}");
            assert!(
                start.elapsed() >= 20 * MS + least_time(arrived.len() as u64 * 1000, 1_000_000)
            );
        }
    }
}
