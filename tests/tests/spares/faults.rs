//! Spares that are lost, and spares that cannot be made: no test fails for it, and nothing is left.

use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::time::Duration;

use netns_test::netns_test;
use netns_test_tests::{
    LIMIT, again, call_all, children, eventually, fork_server, is_asleep, many, passes,
};

use super::{plays, run, signal, wait_for, wait_until};

#[test]
fn a_spare_killed_while_idle_is_replaced() {
    plays("faults::killed_while_waiting", &[], "2");
}

#[test]
#[ignore = "run by a_spare_killed_while_idle_is_replaced"]
fn killed_while_waiting() {
    run();
    for _ in 0..3 {
        let spares = wait_for(2);
        let ends: Vec<OwnedFd> = spares.iter().copied().map(watch).collect();
        spares.iter().for_each(|&spare| signal(spare, libc::SIGKILL));
        ends.iter().for_each(has_ended);
        assert!(!spares.contains(&run()));
        // After a setback the server makes none for some requests, more each time.
        for _ in 0..64 {
            run();
        }
    }
}

/// Its body is stopped, so that it does not look at the order before it is killed.
#[test]
fn a_spare_killed_before_it_reads_its_request_is_replaced() {
    plays("faults::killed_on_the_way", &[], "1");
}

#[test]
#[ignore = "run by a_spare_killed_before_it_reads_its_request_is_replaced"]
fn killed_on_the_way() {
    is_replaced_when_killed(|spare, _| spare);
}

/// The same when its body alone is killed.
#[test]
fn a_spare_whose_body_is_killed_before_the_request_is_replaced() {
    plays("faults::body_killed_on_the_way", &[], "1");
}

#[test]
#[ignore = "run by a_spare_whose_body_is_killed_before_the_request_is_replaced"]
fn body_killed_on_the_way() {
    is_replaced_when_killed(|_, body| body);
}

/// Kills what `victim` chooses of a spare and its body when the order is there, and not looked at.
fn is_replaced_when_killed(victim: fn(u32, u32) -> u32) {
    run();
    let [spare] = wait_for(1)[..] else { unreachable!() };
    let body = body_of(spare);
    signal(body, libc::SIGSTOP);
    // A body is there before the server has done with its sandbox.
    eventually(LIMIT, "the server sleeps", || is_asleep(fork_server()));
    let idle = descriptors();
    let init = std::thread::scope(|scope| {
        let test = scope.spawn(run);
        wait_for_a_request(idle);
        signal(victim(spare, body), libc::SIGKILL);
        test.join().unwrap()
    });
    assert_ne!(init, spare);
}

/// An init that is stopped is one that does not keep its test's time.
#[test]
fn a_stopped_spare_is_killed_after_the_time_limit() {
    let directory = netns_test_tests::scratch("faults_stopped");
    let mut command = again(&[], &["--exact", "faults::stopped"]);
    let output = command.env("SCRATCH", &directory).env("NETNS_TEST_SPARES", "1").output().unwrap();
    let text = netns_test_tests::text(&output);
    assert!(!output.status.success(), "{text}");
    assert!(text.contains("did not report within 15 s of the test's timeout"), "{text}");
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
#[ignore = "run by a_stopped_spare_is_killed_after_the_time_limit"]
fn stopped() {
    run();
    let [spare] = wait_for(1)[..] else { unreachable!() };
    signal(spare, libc::SIGSTOP);
    ends_soon();
}

#[netns_test(timeout = "1s")]
#[ignore = "run by stopped"]
fn ends_soon() {}

/// A body that has begun is not run a second time.
#[test]
fn a_spare_killed_during_its_test_fails_it_once() {
    let directory = netns_test_tests::scratch("faults_once");
    let mut command = again(&[], &["--exact", "faults::killed_with_its_test"]);
    let output = command.env("SCRATCH", &directory).env("NETNS_TEST_SPARES", "1").output().unwrap();
    let text = netns_test_tests::text(&output);
    assert!(!output.status.success(), "{text}");
    let line = "the init process of its namespaces was killed by SIGKILL without a report";
    assert!(text.contains(line), "{text}");
    assert_eq!(std::fs::read_to_string(directory.join("begun")).unwrap(), "once");
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
#[ignore = "run by a_spare_killed_during_its_test_fails_it_once"]
fn killed_with_its_test() {
    run();
    let [spare] = wait_for(1)[..] else { unreachable!() };
    std::thread::scope(|scope| {
        let test = scope.spawn(marks_and_sleeps);
        // The file is there before its content.
        let begun = super::shared("begun");
        eventually(LIMIT, "the body has begun", || {
            std::fs::metadata(&begun).is_ok_and(|data| data.len() > 0)
        });
        signal(spare, libc::SIGKILL);
        if let Err(panic) = test.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

#[netns_test]
#[ignore = "run by killed_with_its_test"]
fn marks_and_sleeps() {
    use std::io::Write as _;
    let path = super::shared("begun");
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(b"once").unwrap();
    std::thread::sleep(LIMIT);
}

#[test]
fn all_end_with_a_server_that_is_killed() {
    plays("faults::server_killed", &[], "4");
}

#[test]
#[ignore = "run by all_end_with_a_server_that_is_killed"]
fn server_killed() {
    run();
    let spares: Vec<OwnedFd> = wait_for(4).into_iter().map(watch).collect();
    signal(fork_server(), libc::SIGKILL);
    for spare in &spares {
        has_ended(spare);
    }
}

#[test]
fn all_end_with_a_runner_that_is_killed() {
    use std::io::{BufRead as _, BufReader};
    let directory = netns_test_tests::scratch("faults_runner");
    let mut command = again(&[], &["--exact", "faults::waits_to_be_killed", "--nocapture"]);
    command.env("SCRATCH", &directory).env("NETNS_TEST_SPARES", "4");
    let mut runner = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(runner.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("ready")));
    let [server] = children(runner.id())[..] else { panic!("not one server") };
    let spares: Vec<OwnedFd> = children(server).into_iter().map(watch).collect();
    assert_eq!(spares.len(), 4);
    runner.kill().unwrap();
    runner.wait().unwrap();
    for spare in &spares {
        has_ended(spare);
    }
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
#[ignore = "run by all_end_with_a_runner_that_is_killed"]
fn waits_to_be_killed() {
    run();
    wait_for(4);
    println!("ready");
    std::thread::sleep(LIMIT);
}

/// Spares leave namespaces to tests when these are few.
#[test]
fn few_namespaces_are_enough_for_serial_and_concurrent_tests() {
    for (limit, threads) in [(1, 1), (3, 2), (20, 50)] {
        let script =
            format!("echo {limit} > /proc/sys/user/max_net_namespaces && exec \"$0\" \"$@\"");
        let around = ["unshare", "-Ur", "sh", "-c", &script];
        let mut run = many(&around, HUNDRED_MARKS, threads);
        passes(run.env("NETNS_TEST_SPARES", "8"), 1);
    }
}

/// A test whose init has its namespace may lack another one, which a spare holds.
#[test]
fn spares_leave_a_namespace_to_the_neighbour_of_a_test() {
    let limit = "echo 3 > /proc/sys/user/max_net_namespaces && exec \"$0\" \"$@\"";
    plays("faults::has_a_neighbour", &["unshare", "-Ur", "sh", "-c", limit], "2");
}

#[test]
#[ignore = "run by spares_leave_a_namespace_to_the_neighbour_of_a_test"]
fn has_a_neighbour() {
    run();
    for _ in 0..3 {
        wait_for(2);
        // The kernel counts the namespaces of tests that have ended for some time, which cannot be
        // seen. With them the server itself lacks one, and discards its spares, too.
        std::thread::sleep(Duration::from_millis(300));
        needs_a_neighbour();
    }
}

#[netns_test(network = "lan")]
#[ignore = "called by has_a_neighbour"]
fn needs_a_neighbour() {}

/// The same for descriptors, which a spare takes from the server and for a moment from the kernel.
#[test]
fn few_descriptors_are_enough() {
    for limit in ["--nofile=40", "--nofile=64:400"] {
        let mut run = many(&["prlimit", limit], HUNDRED_MARKS, 16);
        passes(run.env("NETNS_TEST_SPARES", "8"), 1);
    }
}

/// A hundred tests on fifty threads, each in a sandbox that no other test has been in.
#[test]
fn fifty_threads_share_no_spare() {
    for spares in ["", "2", "50"] {
        let mut run = many(&[], HUNDRED_MARKS, 50);
        passes(run.env("NETNS_TEST_SPARES", spares), 1);
    }
}

/// How many the server has, when it sleeps and has none for the moment.
fn descriptors() -> usize {
    eventually(LIMIT, "the server sleeps", || {
        let directory = format!("/proc/{}", fork_server());
        let count = std::fs::read_dir(format!("{directory}/fd")).unwrap().count();
        let stat = std::fs::read_to_string(format!("{directory}/stat")).unwrap();
        stat.contains(") S ").then_some(count)
    })
}

/// The server keeps all of a request until the spare that it was given to has looked.
fn wait_for_a_request(idle: usize) {
    wait_until("the request", |_| descriptors() >= idle + 4);
}

/// The process of a spare that waits for the order.
fn body_of(spare: u32) -> u32 {
    eventually(LIMIT, "the spare has a body", || {
        // Before its body an init has another child, for a moment in which it does not sleep.
        let found = children(spare);
        let is_body = is_asleep(spare) && found.len() == 1 && children(spare) == found;
        is_body.then(|| found[0])
    })
}

fn watch(pid: u32) -> OwnedFd {
    // SAFETY: makes a descriptor.
    let raw = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    assert!(raw >= 0, "pidfd_open: {}", std::io::Error::last_os_error());
    // SAFETY: just made.
    unsafe { OwnedFd::from_raw_fd(raw.try_into().unwrap()) }
}

fn has_ended(process: &OwnedFd) {
    let mut poll = libc::pollfd { fd: process.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one entry, which lives through the call.
    let ready = unsafe { libc::poll(&raw mut poll, 1, LIMIT.as_millis().try_into().unwrap()) };
    assert_eq!(ready, 1, "a spare is still there");
}

const HUNDRED_MARKS: &str = "faults::hundred_tests_mark_their_sandboxes";

#[test]
#[ignore = "run by the tests above"]
fn hundred_tests_mark_their_sandboxes() {
    call_all(HUNDRED.as_flattened());
}

netns_test_tests::hundred_tests!(crate::faults::mark);

/// Leaves a mark in the sandbox, which no other test finds.
fn mark() -> netns_test::Result<()> {
    let mark = "/run/netns-test-mark";
    assert!(!std::fs::exists(mark)?, "another test ran in this sandbox");
    Ok(std::fs::write(mark, "")?)
}
