//! Detects a test that is registered twice: another attribute has made it a test too.
//!
//! A macro sees only a part of the attributes on a function, and libtest has no API that lists the
//! tests. But libtest starts a thread for each registration, also with `--test-threads=1`, and
//! names it after the test. So a test that a second thread of that name calls is registered twice.
//! Other calls are allowed, once or many times: by the body of another test, by a plain `#[test]`,
//! by an attribute that repeats a test in one thread, by a program without libtest. A retry of
//! nextest is a process of its own.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::thread::{self, ThreadId};

use crate::registry::case::Case;
use crate::sys::lock::lock;

/// Thread that has first asked for a test, by the address of the test's case.
static ASKED: Mutex<BTreeMap<usize, ThreadId>> = Mutex::new(BTreeMap::new());

/// Returns the reason for which the calling thread must not run `case`, if there is one.
pub(crate) fn refusal(case: &'static Case) -> Option<String> {
    let thread = thread::current();
    if thread.name() != Some(case.path().as_str()) {
        return None;
    }
    let mut asked = lock(&ASKED);
    let first = *asked.entry(std::ptr::from_ref(case) as usize).or_insert(thread.id());
    (first != thread.id()).then(|| {
        "the test was not started again: it is registered twice, because another attribute makes \
         it a test too\n  fix: delete `#[test]` above `#[netns_test]`; put any other test attribute \
         below `#[netns_test]`"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use std::process::ExitCode;
    use std::thread::Builder;

    use super::*;
    use crate::registry::case::{Begins, ShouldPanic};
    use crate::registry::options::Options;

    static CASE: Case = Case {
        module: "a_crate::tests",
        name: "of_two",
        options: Options::NONE,
        should_panic: ShouldPanic::No,
        returns: false,
        begins: Begins::AtOnce,
        body: || ExitCode::SUCCESS,
    };

    fn ask_twice(thread: &str) -> [Option<String>; 2] {
        let asking = Builder::new().name(thread.into()).spawn(|| [refusal(&CASE), refusal(&CASE)]);
        asking.unwrap().join().unwrap()
    }

    #[test]
    fn a_second_thread_of_the_tests_name_is_a_second_registration() {
        assert_eq!(ask_twice("tests::another"), [None, None]);
        assert_eq!(ask_twice("tests::of_two"), [None, None]);
        assert_eq!(ask_twice("tests::another"), [None, None]);
        let second = ask_twice("tests::of_two");
        let is_refused = |reason: &Option<String>| {
            reason.as_ref().is_some_and(|text| text.contains("registered twice"))
        };
        assert!(second.iter().all(is_refused), "{second:?}");
    }
}
