//! The early end of a test after a panic on a node: the test fails anyway when its lab is dropped,
//! and need not wait until then for an answer that does not come.
//!
//! The test itself comes first. While its thread does something, such as to join the one that has
//! panicked and to look at the result, it has time to end with a message of its own.

use std::io;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::evidence::body;

/// Time that the test's thread may be blocked after the panic, without a step.
const BLOCKED: Duration = Duration::from_secs(1);

/// Time after the panic that a test has which is not blocked, but may try the same again and again.
const LONGEST: Duration = Duration::from_secs(5);

/// Time between two looks at the test's thread.
const PAUSE: Duration = Duration::from_millis(50);

/// Starts the thread that ends the test. It ends without effect as soon as `goes_on` returns
/// `false`, which waits for the given time.
pub(crate) fn start(
    goes_on: impl Fn(Duration) -> bool + Send + 'static,
    end: impl FnOnce(Duration) + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let work = move || {
        let mut watch = Watch::new(Instant::now());
        while goes_on(PAUSE) {
            if let Some(waited) = watch.look(Instant::now(), body::steps_if_blocked()) {
                return end(waited);
            }
        }
    };
    thread::Builder::new().name("lab panics".into()).spawn(work)
}

/// State of the test's thread, as far as it is known.
#[derive(Debug)]
struct Watch {
    start: Instant,
    /// Its steps, if it is blocked, and since when they are these.
    steps: Option<u64>,
    since: Instant,
}

impl Watch {
    fn new(start: Instant) -> Self {
        Self { start, steps: None, since: start }
    }

    /// Returns how long the test has waited in vain, if that is long enough.
    fn look(&mut self, now: Instant, steps: Option<u64>) -> Option<Duration> {
        if steps.is_none() || steps != self.steps {
            (self.steps, self.since) = (steps, now);
        }
        let (blocked, whole) = (now - self.since, now - self.start);
        (blocked >= BLOCKED || whole >= LONGEST).then_some(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_is_blocked_is_ended_soon_and_another_later() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut watch = Watch::new(start);
        assert_eq!(watch.look(at(50), Some(1)), None);
        assert_eq!(watch.look(at(1_000), Some(1)), None);
        // After a step, or work, it has the whole time again.
        assert_eq!(watch.look(at(1_040), Some(2)), None);
        assert_eq!(watch.look(at(2_000), None), None);
        assert_eq!(watch.look(at(2_050), Some(2)), None);
        assert_eq!(watch.look(at(3_050), Some(2)), Some(Duration::from_millis(3_050)));
        let mut busy = Watch::new(start);
        assert!((1..100).all(|step| busy.look(at(50 * step), Some(step)).is_none()));
        assert_eq!(busy.look(at(5_000), Some(100)), Some(Duration::from_secs(5)));
    }
}
