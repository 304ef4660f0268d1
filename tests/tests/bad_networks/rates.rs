//! Rates and queues: what arrives, when, and what is dropped.

use std::io::{Read as _, Write as _};
use std::thread;
use std::time::Instant;

use netns_test::lab::Impairment;
use netns_test::netns_test;

use crate::net::{Pair, bytes};
use crate::train::Train;
use crate::wire::tcp_info;

/// The queue works in virtual time, so that late timers do not make the link slower.
#[netns_test]
fn frames_arrive_at_the_rate() {
    for rate in [1e6, 10e6] {
        for is_ipv4 in [true, false] {
            let line = Impairment::new().rate(rate as u64).queue_bytes(1_000_000);
            let found = Train::rate_of(|| Pair::new(line.clone()), is_ipv4, rate);
            assert!((found / rate - 1.0).abs() <= 0.05, "{found} in place of {rate}");
        }
    }
}

#[netns_test]
fn a_queue_holds_its_bytes() {
    for is_ipv4 in [true, false] {
        let pair = Pair::new(Impairment::new().rate("1mbit").queue_bytes(64_000));
        let train = Train::new(&pair, is_ipv4, 150, 150);
        let (count, meanwhile) = (train.arrivals.len(), train.sent_meanwhile(1e6));
        // It has room for 42 frames, and another one is on the wire.
        assert!((42..=44 + meanwhile).contains(&count), "{count}, {meanwhile}");
    }
}

/// 1448 of the 1514 bytes of a frame are data, 1428 with IPv6. TCP sends again what a queue of
/// 64,000 bytes has dropped.
#[netns_test]
fn tcp_is_as_fast_as_the_rate_and_resends_what_was_dropped() {
    for (rate, length) in [(1e6, 100_000), (10e6, 1_000_000), (100e6, 2_000_000)] {
        for (is_ipv4, payload) in [(true, 1448.0), (false, 1428.0)] {
            let line = Impairment::new().rate(rate as u64).queue_bytes(64_000);
            let pair = Pair::new(line.back(Impairment::new()));
            let listener = pair.listener(pair.server(is_ipv4, 80));
            let [mut near, mut far] = pair.connection(&listener);
            let (sent, mut got) = (bytes(length), vec![0; length]);
            let start = Instant::now();
            thread::scope(|scope| {
                scope.spawn(|| near.write_all(&sent).unwrap());
                far.read_exact(&mut got).unwrap();
            });
            let took = start.elapsed().as_secs_f64();
            assert!(got == sent);
            // The first frame does not wait, and the last one may be short.
            let least = (length as f64 / payload - 2.0) * 1514.0 * 8.0 / rate;
            assert!(took >= least, "{took} s, at least {least} s");
            let stats = pair.lab[pair.wan].stats().unwrap();
            let (dropped, resent) =
                (stats.from[0].dropped_by_queue, u64::from(tcp_info(&near).tcpi_total_retrans));
            println!(
                "{rate} bit/s, {payload}: {:.3} of the rate, {dropped} dropped, {resent} resent",
                length as f64 * 8.0 / took / rate,
            );
            assert!(resent >= dropped, "{resent} sent again, {dropped} dropped: {stats}");
        }
    }
}
