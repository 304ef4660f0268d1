//! How many spares there are.

use std::process::Command;

use netns_test::netns_test;
use netns_test_tests::{LIMIT, again, eventually, passes, text};

use super::{plays, run, run_in_a_spare, succeeds, unshare, wait_for, wait_until};

#[test]
fn the_third_test_in_a_row_finds_a_spare() {
    plays("count::by_demand", &[], "");
}

#[test]
#[ignore = "run by the_third_test_in_a_row_finds_a_spare"]
fn by_demand() {
    run();
    assert_eq!(wait_for(0), [0; 0], "one test may be all there is");
    run();
    for _ in 0..10 {
        let used = run_in_a_spare(1);
        assert!(!wait_for(1).contains(&used));
    }
}

/// As many as tests have run at once, but no more than there are processors, or two.
#[test]
fn spares_follow_the_peak_of_concurrent_tests() {
    plays("count::by_the_peak", &[], "");
}

#[test]
#[ignore = "run by spares_follow_the_peak_of_concurrent_tests"]
fn by_the_peak() {
    let meeting = tempfile_meeting();
    std::thread::scope(|scope| {
        for _ in 0..5 {
            scope.spawn(waits_for_the_meeting);
        }
        eventually(LIMIT, "all five have begun, and none has ended", || {
            std::fs::read_dir(&meeting).unwrap().count() == 5
        });
        std::fs::write(super::shared("go"), "").unwrap();
    });
    run();
    let processors = std::thread::available_parallelism().unwrap().get();
    wait_for(processors.clamp(2, 5));
}

fn tempfile_meeting() -> std::path::PathBuf {
    let path = super::shared("meeting");
    std::fs::create_dir(&path).unwrap();
    path
}

#[netns_test]
#[ignore = "run by by_the_peak"]
fn waits_for_the_meeting() {
    let name = format!("meeting/{}", std::process::id());
    std::fs::write(super::shared(&name), "").unwrap();
    eventually(LIMIT, "the runner lets it go", || super::shared("go").exists());
}

#[test]
fn a_fixed_number_of_spares_is_kept_from_the_first_test() {
    plays("count::three", &[], "3");
}

#[test]
#[ignore = "run by a_fixed_number_of_spares_is_kept_from_the_first_test"]
fn three() {
    run();
    for _ in 0..5 {
        run_in_a_spare(3);
    }
}

#[test]
fn no_spare_is_made_with_spares_0() {
    plays("count::makes_none", &[], "0");
}

#[test]
#[ignore = "run by no_spare_is_made_with_spares_0"]
fn makes_none() {
    for _ in 0..5 {
        run();
        // The server makes one while a test runs, or never.
        assert_eq!(wait_until("no test", |_| true), [0; 0]);
    }
}

/// A body that is refused a process or a namespace cannot have a spare's.
#[test]
fn no_spare_is_made_under_a_low_limit() {
    plays("count::makes_none_under_a_limit", &["prlimit", "--nproc=1000"], "");
    let script = "echo 1000 > /proc/sys/user/max_net_namespaces && exec \"$0\" \"$@\"";
    plays("count::makes_none_under_a_limit", &["unshare", "-Ur", "sh", "-c", script], "");
}

#[test]
#[ignore = "run by no_spare_is_made_under_a_low_limit"]
fn makes_none_under_a_limit() {
    makes_none();
}

/// However many spares it costs, and whatever was before: with the next test but one they are back.
#[test]
fn a_change_costs_the_spares_once() {
    plays("count::moves", &unshare("-Urm"), "8");
}

#[test]
#[ignore = "run by a_change_costs_the_spares_once"]
fn moves() {
    // What happens on the machine meanwhile is none of these.
    succeeds(Command::new("mount").args(["-t", "tmpfs", "tmpfs", "/run"]));
    run();
    // Until setbacks at the start are forgotten.
    for _ in 0..4 {
        run_in_a_spare(8);
    }
    for directory in ["/", "/proc", "/", "/proc"] {
        std::env::set_current_dir(directory).unwrap();
        run();
        wait_until("none", <[u32]>::is_empty);
        run();
        wait_until("eight", |inits| inits.len() == 8);
        run_in_a_spare(8);
        run_in_a_spare(8);
    }
}

/// Each kind of user has its own, since a sandbox has its user from the start.
#[test]
fn root_and_caller_have_their_own() {
    plays("count::two_kinds", &[], "");
}

#[test]
#[ignore = "run by root_and_caller_have_their_own"]
fn two_kinds() {
    run();
    run();
    wait_for(1);
    is_root();
    is_root();
    wait_for(2);
    for _ in 0..5 {
        is_root();
        run();
        wait_for(2);
    }
}

/// Namespaces that one kind lacks are taken from the spares of the other.
#[test]
fn one_namespace_is_enough_for_both() {
    plays("count::one_namespace", &unshare("-Ur"), "1");
}

#[test]
#[ignore = "run by one_namespace_is_enough_for_both"]
fn one_namespace() {
    run();
    wait_for(1);
    std::fs::write("/proc/sys/user/max_net_namespaces", "1").unwrap();
    is_root();
    run();
}

#[netns_test(user = "root")]
#[ignore = "run by two_kinds and one_namespace"]
fn is_root() {
    assert_eq!(netns_test_tests::status("Uid"), "0\t0\t0\t0");
}

#[test]
fn an_invalid_number_of_spares_fails_every_test() {
    let mut run = again(&[], &["--exact", "count::is_root"]);
    let output = run.env("NETNS_TEST_SPARES", "some").output().unwrap();
    let text = text(&output);
    assert!(!output.status.success(), "{text}");
    assert!(text.contains("the variable NETNS_TEST_SPARES: unknown value \"some\""), "{text}");
}

/// No process of a run is left when its runner has ended: process 1 may not reap one later.
#[test]
fn the_runner_ends_after_the_last_spare() {
    let directory = netns_test_tests::scratch("ends");
    let mut command = again(&[], &["--exact", "count::leaves_spares"]);
    passes(command.env("SCRATCH", &directory).env("NETNS_TEST_SPARES", "9"), 1);
    let spares = std::fs::read_to_string(directory.join("spares")).unwrap();
    assert_eq!(spares.split_whitespace().count(), 9);
    for spare in spares.split_whitespace() {
        let left = Command::new("ps").args(["-o", "comm=", "-p", spare]).output().unwrap();
        // Its number may mean another process by now.
        assert!(!text(&left).contains("netns-test"), "{spare}: {}", text(&left));
    }
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
#[ignore = "run by the_runner_ends_after_the_last_spare"]
fn leaves_spares() {
    run();
    let spares: Vec<String> = wait_for(9).iter().map(ToString::to_string).collect();
    std::fs::write(super::shared("spares"), spares.join(" ")).unwrap();
}
