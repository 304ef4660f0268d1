//! The times at which init looks at a test that still runs. Pure.
//!
//! cargo-nextest ends a test that is too slow by a signal to the test runner. The server then
//! writes to the runner's stderr what the test waits for, but nextest reads that for a moment only.
//! The output that it shows has what was printed before.

use std::time::Duration;

/// Time of the first look since the test began. Each further one comes after twice the time.
const FIRST: Duration = Duration::from_secs(5);

/// The next look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Interim(Duration);

impl Default for Interim {
    fn default() -> Self {
        Self(FIRST)
    }
}

impl Interim {
    /// Returns the time to the next look, for a test that began at `began`, or has not begun.
    pub(crate) fn left(self, now: Duration, began: Option<Duration>) -> Duration {
        began.map_or(FIRST, |began| began.saturating_add(self.0).saturating_sub(now))
    }

    /// Returns whether it is time to look, and plans the next look then.
    pub(crate) fn is_due(&mut self, now: Duration, began: Option<Duration>) -> bool {
        let is_due = began.is_some() && self.left(now, began).is_zero();
        while is_due && self.left(now, began).is_zero() {
            self.0 = self.0.saturating_mul(2);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_are_farther_and_farther_apart() {
        let at = Duration::from_secs;
        let (mut interim, began) = (Interim::default(), Some(at(100)));
        assert!(!interim.is_due(at(500), None));
        assert_eq!(interim.left(at(500), None), FIRST);
        assert_eq!(interim.left(at(102), began), at(3));
        assert!(!interim.is_due(at(104), began));
        assert!(interim.is_due(at(105), began));
        assert_eq!(interim.left(at(105), began), at(5));
        // The process of init was stopped for a while.
        assert!(interim.is_due(at(150), began));
        assert_eq!(interim.left(at(150), began), at(30));
    }
}
