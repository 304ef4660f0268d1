//! The time that addresses and routes have left: it goes on while a lab has taken them.

use std::time::{Duration, Instant};

use crate::netlink::attr::{number, signed};

/// The ends of an address or a route; none for what stays.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lifetime {
    pub(crate) preferred: Option<Instant>,
    pub(crate) valid: Option<Instant>,
}

/// Of an `rta_cacheinfo`, whose third number is the rest of the time in hundredths of a second.
pub(crate) fn of_route(value: &[u8]) -> Option<Lifetime> {
    let ticks = signed(value.get(8..12)?)?;
    let left = Duration::from_millis(10 * u64::try_from(ticks).unwrap_or(0));
    (ticks != 0).then(|| Lifetime { preferred: None, valid: Some(Instant::now() + left) })
}

/// Of an `ifa_cacheinfo`, which begins with two times in seconds; none for one without end.
pub(crate) fn of_address(value: &[u8]) -> Option<Lifetime> {
    let until = |at: usize| -> Option<Option<Instant>> {
        let seconds = number(value.get(at..at + 4)?)?;
        let end = || Instant::now() + Duration::from_secs(seconds.into());
        Some((seconds != u32::MAX).then(end))
    };
    let (preferred, valid) = (until(0)?, until(4)?);
    (preferred.is_some() || valid.is_some()).then_some(Lifetime { preferred, valid })
}

/// Rounded up: what is left of a second is a second.
pub(crate) fn seconds_to(end: Instant) -> u32 {
    let left = end.saturating_duration_since(Instant::now());
    u32::try_from(left.as_millis().div_ceil(1000)).unwrap_or(u32::MAX)
}
