//! Lengths of frames and of queues. Pure.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::lab::plan::impairment::QueueLimit;

/// Bytes that can be added to a frame: down to the length of its IP packet.
pub(crate) const OVERHEADS: RangeInclusive<i32> = -14..=65535;

/// Length of an Ethernet header in bytes.
const ETHERNET: i64 = 14;

/// Shortest time for which a default queue has room.
const SHORTEST: Duration = Duration::from_millis(50);

/// Full frames that a default queue has room for: the initial window of TCP (RFC 6928).
const FRAMES: u64 = 10;

/// Longest default queue in bytes.
const LONGEST: u64 = 16 << 20;

/// Returns the length of the longest frame of a link, with its overhead.
pub(crate) fn full_frame(mtu: u32, overhead: i32) -> u64 {
    let length = i64::from(mtu) + ETHERNET + i64::from(overhead);
    length.max(1).unsigned_abs()
}

/// Returns the limit of a queue that declares none: what the rate sends in twice the delay, or in
/// 50 ms if that is longer; at least ten full frames, and at most 16 MiB.
pub(crate) fn default(bits_per_second: u64, delay: Duration, full_frame: u64) -> QueueLimit {
    let wait = delay.saturating_mul(2).max(SHORTEST);
    let bits = u128::from(bits_per_second) * wait.as_micros() / 1_000_000;
    let bytes = u64::try_from(bits / 8).unwrap_or(u64::MAX);
    QueueLimit::Bytes(bytes.min(LONGEST).max(FRAMES * full_frame))
}
