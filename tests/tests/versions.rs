//! Two versions of the crate in one binary: each has its own fork server, no body holds the other's
//! or leaves one, and each constructor of others runs once in each process.

use std::sync::atomic::{AtomicUsize, Ordering};

use netns_test::netns_test as first;
use netns_test_second::netns_test as second;
use netns_test_tests::{LIMIT, again, children, eventually, fails, passes, text};

/// How often the program's own constructor has run in this process.
static RUNS: AtomicUsize = AtomicUsize::new(0);

#[ctor::ctor(unsafe)]
fn of_others() {
    RUNS.fetch_add(1, Ordering::Relaxed);
}

#[test]
fn bodies_of_both_versions_run_and_leave_nothing() {
    let output = passes(&mut again(&[], &["bodies::", "--nocapture"]), 6);
    assert!(!text(&output).contains("left processes behind"), "{output:?}");
}

#[test]
fn a_failure_of_either_version_is_one() {
    let text = fails(&mut again(&[], &["failures::"]));
    assert!(text.contains("0 passed; 2 failed"), "{text}");
    assert!(!text.contains("left processes behind"), "{text}");
}

/// The runner has forked exactly one for each version.
#[test]
fn there_are_two_servers() {
    let all = children(std::process::id());
    let named = |pid: &&u32| {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm"));
        name.is_ok_and(|name| name == "netns-test\n")
    };
    // A server that has just been forked has not named itself.
    eventually(LIMIT, "both servers have their names", || all.iter().filter(named).count() == 2);
}

/// Checks the state that each body finds.
fn is_alone() {
    assert_eq!(RUNS.load(Ordering::Relaxed), 1);
    let own = std::process::id();
    assert_eq!(children(own), <[u32; 0]>::default());
    let others = std::fs::read_dir("/proc").unwrap().flatten();
    let others = others.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    assert_eq!(others.filter(|&pid| pid != own).collect::<Vec<_>>(), [1]);
    let sockets = std::fs::read_dir("/proc/self/fd").unwrap().flatten().filter(|entry| {
        std::fs::read_link(entry.path())
            .is_ok_and(|target| target.to_string_lossy().starts_with("socket:"))
    });
    assert_eq!(sockets.count(), 0);
}

mod bodies {
    use super::{first, is_alone, second};

    #[first]
    #[ignore = "run by bodies_of_both_versions_run_and_leave_nothing"]
    fn of_the_first() {
        is_alone();
    }

    #[second(crate = "netns_test_second")]
    #[ignore = "run by bodies_of_both_versions_run_and_leave_nothing"]
    fn of_the_second() {
        is_alone();
    }

    /// A spare, if there is one by now.
    #[first]
    #[ignore = "run by bodies_of_both_versions_run_and_leave_nothing"]
    fn of_the_first_again() {
        is_alone();
    }

    #[second(crate = "netns_test_second")]
    #[ignore = "run by bodies_of_both_versions_run_and_leave_nothing"]
    fn of_the_second_again() {
        is_alone();
    }

    /// A test function that a body calls is isolated already, whatever version it is of.
    #[first]
    #[ignore = "run by bodies_of_both_versions_run_and_leave_nothing"]
    fn one_of_the_first_calls_one_of_the_second() {
        of_the_second();
    }

    #[second(crate = "netns_test_second")]
    #[ignore = "run by bodies_of_both_versions_run_and_leave_nothing"]
    fn one_of_the_second_calls_one_of_the_first() {
        of_the_first();
    }
}

mod failures {
    use super::{first, second};

    #[first]
    #[ignore = "run by a_failure_of_either_version_is_one"]
    fn of_the_first() {
        panic!("on purpose");
    }

    #[second(crate = "netns_test_second")]
    #[ignore = "run by a_failure_of_either_version_is_one"]
    fn of_the_second() {
        panic!("on purpose");
    }
}
