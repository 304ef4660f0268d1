//! A test that another attribute registers too: the second run fails and says so, where the compiler
//! could not. A test function that others call, once or many times, is no second test.

use std::process::Command;

use core::prelude::v1::test as builtin;
use netns_test::netns_test;
use netns_test_tests::{again, fails, passes};

/// Function that the attribute `set_up` of the crate `attributes` calls.
fn set_up() {}

const REASON: &str = "it is registered twice, because another attribute makes it a test too";

#[builtin]
#[ignore = "run by this file"]
#[netns_test]
fn twice_by_another_name() {
    println!("the body ran");
}

#[builtin]
#[ignore = "run by this file"]
#[netns_test]
#[should_panic(expected = "as it should")]
fn twice_should_panic() {
    println!("the body ran");
    panic!("as it should");
}

mod hidden {
    pub(crate) use attributes::test as makes_a_test;
}

#[hidden::makes_a_test]
#[ignore = "run by this file"]
#[netns_test]
fn twice_by_a_macro() {
    println!("the body ran");
}

macro_rules! tests {
    ($(#[$attribute:meta])* $name:ident) => {
        $(#[$attribute])*
        #[netns_test]
        fn $name() {
            println!("the body ran");
        }
    };
}
tests!(
    #[test]
    #[ignore = "run by this file"]
    twice_in_a_macro
);

const TWICE: [&str; 4] =
    ["twice_by_another_name", "twice_should_panic", "twice_by_a_macro", "twice_in_a_macro"];

#[test]
fn a_test_that_is_registered_twice_runs_once_and_fails() {
    for threads in [None, Some("--test-threads=1")] {
        for name in TWICE {
            check_one(again(&[], &["--exact", name, "--show-output"]).args(threads), name);
        }
    }
}

#[test]
fn all_of_them_fail_in_one_run() {
    let text = fails(&mut again(&[], &["twice_", "--show-output"]));
    let result = format!("test result: FAILED. {0} passed; {0} failed;", TWICE.len());
    assert!(text.contains(&result), "{text}");
    assert_eq!(text.matches("the body ran").count(), TWICE.len(), "{text}");
}

fn check_one(command: &mut Command, name: &str) {
    let text = fails(command);
    assert!(text.contains("test result: FAILED. 1 passed; 1 failed;"), "{name}: {text}");
    assert_eq!(text.matches("the body ran").count(), 1, "{name}: {text}");
    assert_eq!(text.matches(REASON).count(), 1, "{name}: {text}");
    assert!(text.contains("fix: delete `#[test]` above `#[netns_test]`"), "{name}: {text}");
}

#[netns_test]
#[ignore = "run by this file"]
fn once_called_by_others() {
    println!("the body ran");
}

/// In the runner, each call in a sandbox of its own.
#[test]
#[ignore = "run by this file"]
fn once_plain_test_that_calls() {
    once_called_by_others();
    once_called_by_others();
    std::thread::spawn(once_called_by_others).join().unwrap();
}

#[netns_test]
#[ignore = "run by this file"]
fn once_isolated_test_that_calls() {
    once_called_by_others();
    once_called_by_others();
}

#[attributes::repeat]
#[netns_test]
fn once_repeated() {
    println!("the body ran");
}

#[test]
fn a_test_that_others_call_is_registered_once() {
    for threads in [None, Some("--test-threads=1")] {
        let mut command = again(&[], &["once_", "--show-output"]);
        let output = passes(command.args(threads), 4);
        let text = netns_test_tests::text(&output);
        assert_eq!(text.matches("the body ran").count(), 1 + 3 + 2 + 3, "{text}");
    }
}
