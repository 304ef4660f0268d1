//! Times of arrival on the monotonic clock, from the kernel's stamps, which are of the realtime
//! clock. Pure.

use crate::lab::impair::passage::Nanos;

/// Both clocks, read at the same time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clocks {
    pub(crate) monotonic: Nanos,
    pub(crate) realtime: Nanos,
}

/// Time by which a stamp may be before the last look at the empty ring: the kernel takes it before
/// it writes the frame to the ring.
const BEFORE: Nanos = 100_000_000;

impl Clocks {
    /// Reads the clocks. The thread may be off the processor between both reads: by this order, a
    /// frame then counts as one that came later, and never leaves before it is due.
    pub(crate) fn read(
        realtime: impl FnOnce() -> Nanos,
        monotonic: impl FnOnce() -> Nanos,
    ) -> Self {
        let realtime = realtime();
        Self { monotonic: monotonic(), realtime }
    }

    /// Returns the time of a stamp on the monotonic clock. `empty` is the time of the last look at
    /// the ring before the frame came. A stamp that cannot be, as the realtime clock was set
    /// meanwhile, counts as now.
    pub(crate) fn arrival(self, stamp: Nanos, empty: Nanos) -> Nanos {
        let age = self.realtime.checked_sub(stamp);
        let arrival = age.and_then(|age| self.monotonic.checked_sub(age));
        let is_possible = |arrival: &Nanos| arrival.saturating_add(BEFORE) >= empty;
        arrival.filter(is_possible).unwrap_or(self.monotonic)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_pause_between_the_reads_makes_no_frame_early() {
        const BOOT: Nanos = 1_700_000_000_000_000_000;
        let clock = Cell::new(5_000_000_000);
        let arrived = clock.get() - 100_000;
        let pause = || clock.replace(clock.get() + 6_000_000);
        let clocks = Clocks::read(|| BOOT + pause(), pause);
        let arrival = clocks.arrival(BOOT + arrived, 4_900_000_000);
        assert!((arrived..=clocks.monotonic).contains(&arrival), "{arrived}: {arrival}");
    }

    #[test]
    fn stamps_become_monotonic() {
        let clocks = Clocks { monotonic: 5_000_000_000, realtime: 1_700_000_000_000_000_000 };
        let arrival = |age: i64| {
            let stamp = clocks.realtime.checked_add_signed(-age).unwrap();
            clocks.arrival(stamp, 4_900_000_000)
        };
        assert_eq!((arrival(0), arrival(7)), (5_000_000_000, 4_999_999_993));
        assert_eq!(arrival(200_000_000), 4_800_000_000);
        // The clock was set forward by a second, or back by one.
        assert_eq!(
            (arrival(1_000_000_000), arrival(-1_000_000_000)),
            (5_000_000_000, 5_000_000_000)
        );
        assert_eq!(clocks.arrival(0, 0), 5_000_000_000);
    }
}
