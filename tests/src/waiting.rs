//! Waits for an event, with a limit: a test whose event does not come fails, and names the event.

use std::fmt::Debug;
use std::io::BufRead;
use std::panic::resume_unwind;
use std::thread;
use std::time::{Duration, Instant};

/// Limit for an event that should take a moment, on a machine that is slow and busy. It is less
/// than the time limit of a body.
pub const LIMIT: Duration = Duration::from_secs(30);

/// How long [`eventually`] yields the processor before it sleeps between two looks.
const SPIN: Duration = Duration::from_millis(2);

/// Longest sleep of [`eventually`] between two looks.
const REST: Duration = Duration::from_millis(25);

/// Answer of a look: the event with its value, or the state that was seen instead.
pub trait Look {
    /// Value of the event.
    type Value;

    /// Returns the value, or a text of the state.
    ///
    /// # Errors
    ///
    /// Returns the state if the event has not come.
    fn seen(self) -> Result<Self::Value, String>;
}

impl Look for bool {
    type Value = ();

    fn seen(self) -> Result<(), String> {
        self.then_some(()).ok_or_else(|| "false".to_owned())
    }
}

impl<T> Look for Option<T> {
    type Value = T;

    fn seen(self) -> Result<T, String> {
        self.ok_or_else(|| "none".to_owned())
    }
}

impl<T, S: Debug> Look for Result<T, S> {
    type Value = T;

    fn seen(self) -> Result<T, String> {
        self.map_err(|state| format!("{state:#?}"))
    }
}

/// Calls `look` until it returns the value of an event, and returns that value.
///
/// `what` names the event.
///
/// # Panics
///
/// Panics if the event has not come within `limit`, with the state that `look` saw last.
pub fn eventually<L: Look>(limit: Duration, what: &str, mut look: impl FnMut() -> L) -> L::Value {
    let start = Instant::now();
    loop {
        match look().seen() {
            Ok(value) => return value,
            Err(state) => {
                assert!(
                    start.elapsed() < limit,
                    "not within {limit:?}: {what}; seen last: {state}"
                );
            }
        }
        let passed = start.elapsed();
        if passed < SPIN {
            thread::yield_now();
        } else {
            // A look can cost as much as a few programs: the longer the wait, the rarer.
            thread::sleep((passed / 8).clamp(Duration::from_millis(1), REST));
        }
    }
}

/// Reads lines until `is_seen` in all of them. Returns the reader, for what comes next.
///
/// `what` names the event.
///
/// # Panics
///
/// Panics if the event has not come within [`LIMIT`], or before the end of the input.
pub fn read_until<R: BufRead + Send + 'static>(
    mut reader: R,
    what: &str,
    is_seen: impl Fn(&str) -> bool + Send + 'static,
) -> R {
    let reading = thread::spawn(move || {
        let mut text = String::new();
        while !is_seen(&text) {
            assert!(reader.read_line(&mut text).expect("the input is text") > 0, "ended: {text}");
        }
        reader
    });
    eventually(LIMIT, what, || reading.is_finished());
    reading.join().unwrap_or_else(|panic| resume_unwind(panic))
}
