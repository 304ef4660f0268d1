//! Full frames that are sent faster than the link sends them.

use std::net::UdpSocket;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::net::{PATIENCE, Pair};

/// Bits of a full frame, without check sequence.
const FRAME_BITS: f64 = 1514.0 * 8.0;

/// Returns sockets of both ends that know each other's Ethernet address, on a link without loss.
pub(crate) fn sockets(pair: &Pair, is_ipv4: bool) -> [UdpSocket; 2] {
    let [near, far] = pair.sockets(is_ipv4);
    near.set_read_timeout(Some(PATIENCE)).unwrap();
    near.send(b"hello").unwrap();
    let (_, from) = far.recv_from(&mut [0; 8]).unwrap();
    far.send_to(b"hello", from).unwrap();
    near.recv(&mut [0; 8]).unwrap();
    [near, far]
}

pub(crate) struct Train {
    pub(crate) arrivals: Vec<Instant>,
    /// From the first call that sends to the last one.
    sending: Duration,
}

impl Train {
    /// Sends so many frames, and returns when the last one has arrived. At most `window` are on
    /// their way, unless the link drops some.
    pub(crate) fn new(pair: &Pair, is_ipv4: bool, count: u32, window: u32) -> Self {
        let [near, far] = sockets(pair, is_ipv4);
        let payload = if is_ipv4 { 1472 } else { 1452 };
        let (is_over, arrived) = (AtomicBool::new(false), AtomicU32::new(0));
        let send = || {
            let start = Instant::now();
            // The receiver has a limit for each frame, but may panic for another reason.
            let pause = |time| {
                assert!(start.elapsed() < 3 * PATIENCE, "the receiver has ended");
                thread::sleep(time);
            };
            for number in 0..count {
                while number - arrived.load(Ordering::SeqCst) >= window {
                    pause(Duration::from_millis(1));
                }
                near.send(&vec![7; payload]).unwrap();
            }
            let sending = start.elapsed();
            // The queue may be full for a mark.
            while !is_over.load(Ordering::SeqCst) {
                near.send(b"end").unwrap();
                pause(Duration::from_millis(20));
            }
            sending
        };
        thread::scope(|scope| {
            let sender = scope.spawn(send);
            let mut arrivals = Vec::new();
            while far.recv(&mut [0; 1500]).unwrap() == payload {
                arrivals.push(Instant::now());
                arrived.fetch_add(1, Ordering::SeqCst);
            }
            is_over.store(true, Ordering::SeqCst);
            Self { arrivals, sending: sender.join().unwrap() }
        })
    }

    /// Returns the rate in bits per second: of a few trains, each on another link, the one that is
    /// nearest to the expected rate. On a busy machine the test itself is too late to see it.
    pub(crate) fn rate_of(pair: impl Fn() -> Pair, is_ipv4: bool, expected: f64) -> f64 {
        let apart = |rate: f64| (rate / expected - 1.0).abs();
        let mut best = 0.0;
        for _ in 0..10 {
            // Three quarters of a second, or a quarter. On an idle machine the link always has some
            // to send, and on a busy one no buffer gets full.
            let count = if expected < 5e6 { 60 } else { 200 };
            let train = Self::new(&pair(), is_ipv4, count, 50);
            assert_eq!(train.arrivals.len(), count as usize);
            let rate = train.rate(expected);
            if apart(rate) < apart(best) {
                best = rate;
            }
            if apart(best) <= 0.02 {
                break;
            }
        }
        best
    }

    /// Returns the rate between two frames: of the first and of the last third, those that are late
    /// least.
    fn rate(&self, expected: f64) -> f64 {
        let at = |number: usize| (self.arrivals[number] - self.arrivals[0]).as_secs_f64();
        let late = |number: &usize| at(*number) - *number as f64 * FRAME_BITS / expected;
        let least = |range: Range<usize>| {
            range.min_by(|one, other| late(one).total_cmp(&late(other))).unwrap()
        };
        let count = self.arrivals.len();
        let (first, last) = (least(0..count / 3), least(count - count / 3..count));
        (last - first) as f64 * FRAME_BITS / (at(last) - at(first))
    }

    /// Returns how many frames the link has sent while the test was sending.
    pub(crate) fn sent_meanwhile(&self, rate: f64) -> usize {
        (self.sending.as_secs_f64() * rate / FRAME_BITS) as usize
    }
}
