//! Many isolated tests in one: each is declared within a function, so that libtest does not list
//! it. One ignored test calls them all, some at a time.

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::again;

/// Variable with the number of tests at a time.
const AT_ONCE: &str = "TESTS_AT_ONCE";

/// Declares `HUNDRED`: functions that each call an isolated test of their own, with this body.
#[macro_export]
macro_rules! hundred_tests {
    ($body:path) => {
        $crate::hundred_tests! { @tens $body; a b c d e f g h i j }
    };
    (@tens $body:path; $($module:ident)*) => {
        const HUNDRED: [[fn(); 10]; 10] = [$($module::TEN),*];

        $(mod $module {
            $crate::hundred_tests! { @ten $body; k l m n o p q r s t }
        })*
    };
    (@ten $body:path; $($name:ident)*) => {
        pub(crate) const TEN: [fn(); 10] = [$($name),*];

        $(#[allow(unnameable_test_items, reason = "it is called, not listed")]
        fn $name() {
            #[netns_test::netns_test]
            fn $name() -> netns_test::Result<()> {
                $body()
            }
            $name();
        })*
    };
}

/// A run of the ignored test `name`, which calls [`call_all`]: so many tests at a time.
#[must_use]
pub fn many(around: &[&str], name: &str, at_once: usize) -> Command {
    let mut command = again(around, &["--exact", name]);
    command.env(AT_ONCE, at_once.to_string());
    command
}

/// Calls each test, on as many threads as [`many`] has set.
///
/// # Panics
///
/// Panics if a test does, or if the number of threads is not set.
pub fn call_all(tests: &[fn()]) {
    let at_once = std::env::var(AT_ONCE).ok().and_then(|number| number.parse().ok());
    call_all_on(at_once.expect("it is run by `many`"), tests);
}

/// Calls each test, on so many threads.
///
/// # Panics
///
/// Panics if a test does.
pub fn call_all_on(threads: usize, tests: &[fn()]) {
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(test) = tests.get(next.fetch_add(1, Ordering::Relaxed)) {
                    test();
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(done.into_inner(), tests.len());
}
