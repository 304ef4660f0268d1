//! Properties of rate and queue, in exact arithmetic.

use crate::lab::impair::frame::samples::Random;
use crate::lab::impair::passage::Nanos;
use crate::lab::impair::queue::{Admission, Queue};
use crate::lab::plan::impairment::queue::full_frame;
use crate::lab::plan::impairment::{QueueLimit, RatePlan};

const SECOND: u64 = 1_000_000_000;

fn plan(bits_per_second: u64, burst: u64, queue: QueueLimit) -> RatePlan {
    RatePlan { bits_per_second, burst, overhead: 0, queue, mark_above: None }
}

fn unlimited(bits_per_second: u64, burst: u64) -> RatePlan {
    plan(bits_per_second, burst, QueueLimit::Bytes(u64::MAX / 2))
}

/// Returns when a frame leaves that is not dropped.
fn leave(queue: &mut Queue, plan: &RatePlan, length: u64, now: Nanos) -> Nanos {
    match queue.admit(plan, length, now) {
        Admission::Leaves { at, .. } => at,
        Admission::Full => panic!("full at {now}: {queue:?}"),
    }
}

#[test]
fn the_rate_is_exact() {
    // A rate at which no frame takes a whole number of nanoseconds, for minutes of frames.
    let plan = unlimited(6_999_983, 0);
    let mut queue = Queue::default();
    let mut bits = 0_u128;
    for number in 0..300_000_u64 {
        let length = 60 + number % 1455;
        bits += u128::from(length) * 8;
        let exact = (bits * u128::from(SECOND)).div_ceil(6_999_983);
        assert_eq!(u128::from(leave(&mut queue, &plan, length, 0)), exact);
    }
}

#[test]
fn an_idle_link_sends_a_frame_in_its_own_time() {
    let mut queue = Queue::default();
    let plan = unlimited(1_000_000, 0);
    assert_eq!(leave(&mut queue, &plan, 1250, 5), 5 + SECOND / 100);
    assert_eq!(leave(&mut queue, &plan, 1250, SECOND), SECOND + SECOND / 100);
    let overhead = RatePlan { overhead: -250, ..plan };
    assert_eq!(leave(&mut queue, &overhead, 1250, 2 * SECOND), 2 * SECOND + SECOND / 125);
}

/// Bucket and queue are sized by the MTU, and a VLAN tag makes a frame longer (IEEE 802.1Q).
#[test]
fn a_tagged_frame_passes_a_bucket_and_a_queue_of_one_full_frame() {
    let full = full_frame(1500, 0);
    for tags in [0, 4, 8] {
        let plan = plan(8_000_000, full, QueueLimit::Bytes(full));
        let mut queue = Queue::default();
        let mut now = SECOND;
        for _ in 0..20 {
            // What is longer than the bucket waits for its last bytes.
            assert_eq!(leave(&mut queue, &plan, full + tags, now), now + tags * 1000);
            now += SECOND;
        }
        // One waits, and the next one is dropped, with and without a tag.
        let first = leave(&mut queue, &plan, full + tags, now);
        let second = leave(&mut queue, &plan, full + tags, first);
        assert_eq!(second, now + (full + 2 * tags) * 1000);
        assert_eq!(queue.admit(&plan, full + tags, first), Admission::Full);
    }
}

#[test]
fn a_burst_passes_at_once_and_then_the_rate_holds() {
    let mut queue = Queue::default();
    let plan = unlimited(8_000_000, 3000);
    let now = SECOND;
    let times: Vec<u64> = (0..5).map(|_| leave(&mut queue, &plan, 1000, now) - now).collect();
    assert_eq!(times, [0, 0, 0, 1_000_000, 2_000_000]);
    // Half of the bucket is full again.
    let now = now + 3_500_000;
    let times: Vec<u64> = (0..3).map(|_| leave(&mut queue, &plan, 1000, now) - now).collect();
    assert_eq!(times, [0, 500_000, 1_500_000]);
}

#[test]
fn no_interval_has_more_than_burst_and_rate() {
    let mut random = Random(0x853c_49e6_748f_ea9b);
    let mut queued = 0;
    for _ in 0..40 {
        let rate = 1000 + random.below(50_000_000) as u64;
        let plan = unlimited(rate, random.below(3) as u64 * 5000);
        let mut queue = Queue::default();
        let (mut now, mut sent) = (SECOND, Vec::new());
        for _ in 0..200 {
            now += random.below(2) as u64 * random.below(2_000_000) as u64;
            let length = 60 + random.below(1455) as u64;
            let at = leave(&mut queue, &plan, length, now);
            queued += usize::from(at > now);
            assert!(at >= now && sent.last().is_none_or(|(last, _)| *last <= at));
            sent.push((at, length));
        }
        for first in (0..sent.len()).step_by(17) {
            let mut bytes = 0;
            for (at, length) in &sent[first..] {
                bytes += length;
                let bits = u128::from(at - sent[first].0) * u128::from(rate) / u128::from(SECOND);
                // The first frame itself may have been sent up to this moment.
                let most = u128::from(plan.burst + sent[first].1) * 8 + bits + 8;
                assert!(u128::from(bytes) * 8 <= most, "{plan:?} {bytes} {most}");
            }
        }
    }
    assert!(queued > 3000, "{queued}");
}

#[test]
fn a_full_queue_drops_the_last_frame() {
    let mut queue = Queue::default();
    let bytes = plan(8_000_000, 0, QueueLimit::Bytes(2500));
    let admitted =
        |queue: &mut Queue, plan: &RatePlan, now| queue.admit(plan, 1000, now) != Admission::Full;
    let fates: Vec<bool> = (0..3).map(|_| admitted(&mut queue, &bytes, 0)).collect();
    assert_eq!(fates, [true, true, false]);
    // The first frame is sent from 0 to 1 ms, and waits as long.
    assert!(!admitted(&mut queue, &bytes, 999_999));
    assert!(admitted(&mut queue, &bytes, 1_000_000));
    let mut queue = Queue::default();
    let packets = plan(8_000_000, 0, QueueLimit::Packets(2));
    let fates: Vec<bool> = (0..3).map(|_| admitted(&mut queue, &packets, 0)).collect();
    assert_eq!(fates, [true, true, false]);
    // A dropped frame takes no time of the link.
    assert_eq!(leave(&mut queue, &packets, 1000, 2_500_000), 3_500_000);
    // A queue that is too small for a frame takes it when it is empty.
    let mut queue = Queue::default();
    let small = plan(8_000_000, 0, QueueLimit::Bytes(1));
    assert!(admitted(&mut queue, &small, 0) && !admitted(&mut queue, &small, 1));
}

#[test]
fn a_long_queue_marks() {
    let mut queue = Queue::default();
    let plan = RatePlan { mark_above: Some(1500), ..unlimited(8_000_000, 0) };
    let marks = [0, 0, 0, 2_500_000].map(|now| match queue.admit(&plan, 1000, now) {
        Admission::Leaves { is_marked, .. } => is_marked,
        Admission::Full => panic!("full"),
    });
    assert_eq!(marks, [false, true, true, true]);
}

#[test]
fn a_changed_rate_keeps_order_and_tokens() {
    let (slow, fast) = (unlimited(8_000_000, 0), unlimited(80_000_000, 0));
    let mut queue = Queue::default();
    assert_eq!(leave(&mut queue, &slow, 1000, 0), 1_000_000);
    queue.change(&slow, &fast, 1000);
    assert_eq!(leave(&mut queue, &fast, 1000, 1000), 1_100_000);
    queue.change(&fast, &slow, 2000);
    assert_eq!(leave(&mut queue, &slow, 1000, 2000), 2_100_000);
    // Two of three frames of a burst are left, at each rate.
    let (slow, fast) = (unlimited(8_000_000, 3000), unlimited(80_000_000, 3000));
    let mut queue = Queue::default();
    assert_eq!(leave(&mut queue, &slow, 1000, SECOND), SECOND);
    queue.change(&slow, &fast, SECOND);
    let times: Vec<u64> = (0..3).map(|_| leave(&mut queue, &fast, 1000, SECOND) - SECOND).collect();
    assert_eq!(times, [0, 0, 100_000]);
}
