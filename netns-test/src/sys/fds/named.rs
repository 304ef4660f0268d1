//! A wait for descriptors that have a meaning each, in the loop of a thread that serves sockets.

use std::thread;
use std::time::Duration;

use crate::sys::fds::{Ready, Until, wait};

/// Pause after an error, which may last: a full table of descriptors.
pub(crate) const PAUSE: Duration = Duration::from_millis(1);

/// Waits for one of these events, for at most `timeout`. Returns the names of those that are ready,
/// in their order; none after an error, and a pause.
pub(crate) fn wait_named<T>(events: Vec<(T, Until<'_>)>, timeout: Option<Duration>) -> Vec<T> {
    let (names, events): (Vec<T>, Vec<Until<'_>>) = events.into_iter().unzip();
    let Ok(ready) = wait(&events, timeout) else {
        thread::sleep(PAUSE);
        return Vec::new();
    };
    let is_ready = |one: &Ready| one.readable || one.writable || one.hung_up;
    let both = names.into_iter().zip(&ready).filter(|(_, ready)| is_ready(ready));
    both.map(|(name, _)| name).collect()
}
