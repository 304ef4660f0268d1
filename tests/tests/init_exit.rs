//! The end of a sandbox is not waited for when every process of its test has gone: the verdict
//! comes before it, and the next tests begin beside a few of them. That a run ends after the last
//! of them is seen in `many`.
//!
//! A run plays the tracer of its inits, which the kernel has stop when they exit, until it lets
//! them go.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::ptr::null_mut;
use std::time::{Duration, Instant};

use netns_test::netns_test;
use netns_test_tests::{
    LIMIT, again, children, eventually, fork_server, is_asleep, passes, scratch,
};

/// How many of them a test does not wait for, and how long it waits for one more.
const FEW: usize = 8;
const LONG: Duration = Duration::from_secs(5);

#[test]
fn the_verdict_comes_before_the_end_of_init() {
    plays("verdict");
}

#[test]
fn a_test_waits_for_one_of_many_to_go() {
    plays("bounded");
}

/// Each holds namespaces until it has gone.
#[test]
fn under_a_low_limit_a_test_waits_for_the_only_init() {
    let script = "echo 1000 > /proc/sys/user/max_net_namespaces && exec \"$0\" \"$@\"";
    plays_in(&["unshare", "-Ur", "sh", "-c", script], "bounded_to_one");
}

#[test]
fn a_stuck_init_is_not_waited_for() {
    plays("stuck");
}

#[test]
fn the_server_has_one_thread() {
    plays("one_thread");
}

/// In a user namespace in which it may trace its children, and without spares.
fn plays(name: &str) {
    plays_in(&["unshare", "-Ur"], name);
}

fn plays_in(around: &[&str], name: &str) {
    let directory = scratch(name);
    let mut run = again(around, &["--exact", name]);
    passes(run.env("SCRATCH", &directory).env("NETNS_TEST_SPARES", "0"), 1);
    fs::remove_dir_all(directory).unwrap();
}

#[test]
#[ignore = "run by the_verdict_comes_before_the_end_of_init"]
fn verdict() {
    let held = Held::of_a_test();
    assert_eq!(children(fork_server()), [held.init]);
    held.let_go();
    until_none_is_left();
}

#[test]
#[ignore = "run by a_test_waits_for_one_of_many_to_go"]
fn bounded() {
    is_bounded_to(FEW);
}

#[test]
#[ignore = "run by under_a_low_limit_a_test_waits_for_the_only_init"]
fn bounded_to_one() {
    is_bounded_to(1);
}

fn is_bounded_to(few: usize) {
    let first = Instant::now();
    let mut held: Vec<Held> = (0..few).map(|_| Held::of_a_test()).collect();
    std::thread::scope(|scope| {
        let idle = descriptors();
        let next = scope.spawn(passes_at_once);
        eventually(LIMIT, "the server has the request", || {
            descriptors() != idle || next.is_finished()
        });
        // And has done with it what it can do now.
        eventually(LIMIT, "the server sleeps", || is_asleep(fork_server()));
        let inits = children(fork_server()).len();
        assert!(inits == few || first.elapsed() > LONG, "{inits} inits");
        assert!(!next.is_finished() || first.elapsed() > LONG);
        held.pop().unwrap().let_go();
        next.join().unwrap();
    });
    held.into_iter().for_each(Held::let_go);
    until_none_is_left();
}

#[test]
#[ignore = "run by a_stuck_init_is_not_waited_for"]
fn stuck() {
    let held: Vec<Held> = (0..FEW).map(|_| Held::of_a_test()).collect();
    passes_at_once();
    held.into_iter().for_each(Held::let_go);
    until_none_is_left();
}

#[test]
#[ignore = "run by the_server_has_one_thread"]
fn one_thread() {
    for _ in 0..3 {
        passes_at_once();
        let threads = fs::read_dir(format!("/proc/{}/task", fork_server())).unwrap();
        assert_eq!(threads.count(), 1);
    }
}

/// An init that has come to its exit and stays there.
struct Held {
    init: u32,
}

impl Held {
    /// Runs a test to its verdict.
    fn of_a_test() -> Self {
        let go = shared("go");
        let _none = fs::remove_file(&go);
        let held = std::thread::scope(|scope| {
            let before = children(fork_server());
            let test = scope.spawn(waits);
            let init = eventually(LIMIT, "the test has an init", || {
                assert!(!test.is_finished(), "it does not wait");
                children(fork_server()).into_iter().find(|init| !before.contains(init))
            });
            let options = libc::PTRACE_O_TRACEEXIT;
            assert_eq!(trace(libc::PTRACE_SEIZE, init, options as usize), 0, "{}", error());
            fs::write(go, "").unwrap();
            test.join().unwrap();
            Self { init }
        });
        held.is_at_its_exit();
        held
    }

    fn is_at_its_exit(&self) {
        let mut status = 0;
        // SAFETY: the status is written to a live variable.
        let init = unsafe { libc::waitpid(self.pid(), &raw mut status, libc::__WALL) };
        assert_eq!(init, self.pid(), "{}", error());
        let event = libc::SIGTRAP | libc::PTRACE_EVENT_EXIT << 8;
        assert_eq!(ExitStatus::from_raw(status).stopped_signal(), Some(libc::SIGTRAP));
        assert_eq!(status >> 8, event);
    }

    fn let_go(self) {
        assert_eq!(trace(libc::PTRACE_DETACH, self.init, 0), 0, "{}", error());
    }

    fn pid(&self) -> i32 {
        self.init.try_into().unwrap()
    }
}

fn trace(request: libc::c_uint, pid: u32, data: usize) -> libc::c_long {
    let none: *mut libc::c_void = null_mut();
    // SAFETY: neither request writes to memory of this process.
    unsafe { libc::ptrace(request, libc::pid_t::try_from(pid).unwrap(), none, data) }
}

fn error() -> std::io::Error {
    std::io::Error::last_os_error()
}

fn until_none_is_left() {
    eventually(LIMIT, "no init is left", || children(fork_server()).is_empty());
}

/// How many the server has.
fn descriptors() -> usize {
    fs::read_dir(format!("/proc/{}/fd", fork_server())).unwrap().count()
}

/// A file that runner and bodies know.
fn shared(name: &str) -> PathBuf {
    PathBuf::from(std::env::var_os("SCRATCH").expect("it is run by another test")).join(name)
}

#[netns_test]
#[ignore = "run by the runners of this file"]
fn waits() {
    eventually(LIMIT, "the runner lets it go", || shared("go").exists());
}

#[netns_test]
#[ignore = "run by the runners of this file"]
fn passes_at_once() {}
