//! Notes of a test on the timeline of its report.

use std::fmt;

/// Adds a line to the timeline that a failed test prints, with the time, and the node that the
/// calling thread is on: what the test is about to do, or has seen. A test that passes shows
/// nothing of it. Outside of a test body nothing is noted.
///
/// # Examples
///
/// ```no_run
/// netns_test::note("the listener is closed now");
/// ```
#[cfg_attr(
    not(all(target_os = "linux", not(miri))),
    expect(clippy::needless_pass_by_value, reason = "there are no bodies there")
)]
pub fn note(text: impl fmt::Display) {
    #[cfg(all(target_os = "linux", not(miri)))]
    {
        use crate::evidence::facts::event::{Event, EventKind};
        crate::evidence::log::note(|| Event::of(EventKind::Note, "", text));
    }
    #[cfg(not(all(target_os = "linux", not(miri))))]
    drop(text);
}
