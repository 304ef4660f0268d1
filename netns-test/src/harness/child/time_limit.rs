//! The time limit of a test: how long init waits for its body. Pure.

use std::time::Duration;

/// Limit of the time before the test's function: constructors of the program, the test's thread,
/// its runtime. Each of these steps waits up to 5 seconds for a shortage to pass. A test with a
/// longer limit has that limit for them.
///
/// Shorter than the server's grace, which counts from the request.
pub(crate) const PREPARATION: Duration = Duration::from_secs(12);

/// Shortest wait for a test that has not begun.
const SHORTEST: Duration = Duration::from_millis(20);

/// Time limit of a test whose sandbox was ready at `ready`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimeLimit {
    pub(crate) ready: Duration,
    pub(crate) limit: Option<Duration>,
}

/// Time left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// There is no limit.
    Unlimited,
    /// The test has at least this long.
    Wait(Duration),
    /// The limit, which was this long, is exceeded.
    Over(Duration),
}

impl Left {
    /// Returns the longest time to wait; `None` without a limit.
    pub(crate) const fn wait(self) -> Option<Duration> {
        match self {
            Self::Unlimited => None,
            Self::Wait(left) => Some(left),
            Self::Over(_) => Some(Duration::ZERO),
        }
    }
}

impl TimeLimit {
    /// Returns the time left at `now` for a test that began at `began`, or has not begun.
    ///
    /// The limit counts from the test's function. A test that begins after this call has its whole
    /// limit before it, so a caller may wait that long and look again.
    pub(crate) fn look(self, now: Duration, began: Option<Duration>) -> Left {
        let Some(limit) = self.limit else { return Left::Unlimited };
        let last = self.ready.saturating_add(limit).saturating_add(PREPARATION);
        let preparation = limit.max(PREPARATION);
        let (end, whole) = match began {
            Some(began) => (began.saturating_add(limit).min(last), limit),
            None => (self.ready.saturating_add(preparation), preparation),
        };
        let left = end.saturating_sub(now);
        match began {
            _ if left == Duration::ZERO => Left::Over(whole),
            Some(_) => Left::Wait(left),
            None => Left::Wait(left.min(limit.max(SHORTEST))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn the_limit_starts_with_the_test() {
        let time = TimeLimit { ready: at(1_000), limit: Some(at(300)) };
        assert_eq!(time.look(at(1_000), None), Left::Wait(at(300)));
        // It began just after that look, and has its limit at least until the next one.
        assert_eq!(time.look(at(1_300), Some(at(1_001))), Left::Wait(at(1)));
        assert_eq!(time.look(at(1_301), Some(at(1_001))), Left::Over(at(300)));
    }

    #[test]
    fn what_comes_before_the_test_has_a_limit_too() {
        let time = TimeLimit { ready: at(1_000), limit: Some(at(300)) };
        assert_eq!(time.look(at(9_000), None), Left::Wait(at(300)));
        assert_eq!(time.look(at(12_950), None), Left::Wait(at(50)));
        assert_eq!(time.look(at(13_000), None), Left::Over(at(12_000)));
        assert_eq!(time.look(at(13_200), Some(at(12_999))), Left::Wait(at(99)));
    }

    /// The server waits no longer either.
    #[test]
    fn a_long_limit_pays_for_a_long_preparation() {
        let time = TimeLimit { ready: at(0), limit: Some(at(60_000)) };
        assert_eq!(time.look(at(59_000), None), Left::Wait(at(1_000)));
        assert_eq!(time.look(at(60_000), None), Left::Over(at(60_000)));
        assert_eq!(time.look(at(71_000), Some(at(11_000))), Left::Over(at(60_000)));
        assert_eq!(time.look(at(71_000), Some(at(20_000))), Left::Wait(at(1_000)));
    }

    #[test]
    fn without_a_limit_nothing_is_over() {
        let time = TimeLimit { ready: at(0), limit: None };
        assert_eq!(time.look(at(1_000_000), None), Left::Unlimited);
        let tiny = TimeLimit { ready: at(0), limit: Some(at(1)) };
        assert_eq!(tiny.look(at(0), None), Left::Wait(SHORTEST));
    }
}
