//! The time for a look.

use std::time::Duration;

use crate::sys::process::progress;

/// A moment at which a reading stops.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    end: Duration,
}

impl Budget {
    /// Ends at a moment of [`progress::now`].
    pub(crate) fn until(end: Duration) -> Self {
        Self { end }
    }

    pub(crate) fn is_over(self) -> bool {
        progress::now() >= self.end
    }

    /// Returns the first part of the time that is left: `share` in 100.
    pub(crate) fn part(self, share: u32) -> Self {
        let now = progress::now();
        Self { end: now + self.end.saturating_sub(now) * share / 100 }
    }
}
