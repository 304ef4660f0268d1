//! What goes wrong between the start of a test's process and the first line of the test's function: no
//! test passes by it, and the step is named.
//!
//! A constructor of this program, which runs in each body before its test, makes things go wrong there as
//! the environment says.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use netns_test::{Topology, netns_test};
use netns_test_tests::{again, fails, passes, scratch, status, text};

/// Address space of one thread, which is nearly all that a process here has.
const STACK: u64 = 4 << 30;

#[ctor::ctor(unsafe)]
fn constructor() {
    let Ok(fault) = std::env::var("FAULT") else { return };
    // The constructor runs in the runner, too; a body's parent is process 1 of its namespace.
    if status("PPid") != "1" || std::process::id() == 1 {
        return;
    }
    match fault.split_once('=') {
        Some(("files", most)) => {
            let most = most.parse().unwrap();
            let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
            // SAFETY: the limit lives through the call.
            assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);
        }
        Some(("threads", most)) => allow_threads(most.parse().unwrap()),
        None => fail(&fault),
        Some(_) => panic!("{fault}"),
    }
}

fn fail(fault: &str) {
    match fault {
        "panic" => panic!("in a constructor"),
        "abort" => std::process::abort(),
        "exit with 0" => std::process::exit(0),
        "exit with 101" => std::process::exit(101),
        "take a second" => std::thread::sleep(Duration::from_secs(1)),
        "hang" => loop {
            std::thread::park();
        },
        _ => panic!("{fault}"),
    }
}

/// Lets the process start so many threads, by their stacks: that binds root, too.
fn allow_threads(most: u64) {
    let size = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = size.split(' ').next().unwrap().parse().unwrap();
    // SAFETY: asks for a number.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    let most = pages * u64::try_from(page).unwrap() + most * STACK + STACK / 2;
    let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
    // SAFETY: the limit lives through the call.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) }, 0);
}

/// A run of one test with a fault before it, and where the test leaves a mark when it begins.
fn run(fault: &str, name: &str) -> (Command, PathBuf) {
    let mark = scratch(&format!("{fault}-{name}").replace([' ', ':', '='], "-")).join("began");
    let mut run = again(&[], &["--exact", name]);
    run.env("FAULT", fault).env("RUST_MIN_STACK", STACK.to_string()).env("MARK", &mark);
    // Spares have run their constructors under other circumstances, but not the limits.
    run.env("NETNS_TEST_SPARES", "0");
    (run, mark)
}

/// Without a descriptor.
fn leave_a_mark() {
    std::fs::create_dir(std::env::var_os("MARK").unwrap()).unwrap();
}

/// The test fails, has not begun, and says so; what was printed.
fn has_not_started(fault: &str, name: &str) -> String {
    let (mut run, mark) = run(fault, name);
    let text = fails(&mut run);
    assert!(!mark.exists(), "{fault}, {name}: {text}");
    assert!(text.contains("the test was not started: "), "{fault}, {name}: {text}");
    std::fs::remove_dir_all(mark.parent().unwrap()).unwrap();
    text
}

fn starts_and_passes(fault: &str, name: &str) {
    let (mut run, mark) = run(fault, name);
    passes(&mut run, 1);
    assert!(mark.exists(), "{fault}, {name}");
    std::fs::remove_dir_all(mark.parent().unwrap()).unwrap();
}

/// Calls `check` with each of these at the same time.
fn each<T: Send>(all: impl IntoIterator<Item = T>, check: impl Fn(T) + Sync) {
    std::thread::scope(|scope| {
        for one in all {
            scope.spawn(|| check(one));
        }
    });
}

const SHOULD_PANIC: [&str; 6] = [
    "should_panic_in_a_body",
    "should_panic_on_one_thread",
    "should_panic_on_four_threads",
    "should_panic_below_tokio",
    "should_panic_above_tokio",
    "should_panic_above_tokio_on_one_thread",
];

#[test]
fn without_a_fault_each_body_starts() {
    each(SHOULD_PANIC, |name| starts_and_passes("threads=20", name));
    starts_and_passes("threads=20", "uses_a_host");
    starts_and_passes("threads=1", "should_panic_on_one_thread");
}

#[test]
fn constructors_that_fail_are_no_panic_of_the_test() {
    let ends = [
        ("panic", "the process was killed by SIGABRT"),
        ("abort", "the process was killed by SIGABRT"),
        ("exit with 0", "the process exited with status 0"),
        ("exit with 101", "the process exited with status 101"),
    ];
    each(ends, |(fault, end)| {
        for name in ["should_panic_in_a_body", "should_panic_on_one_thread"] {
            let text = has_not_started(fault, name);
            let message = format!("run the constructors of the program: {end}");
            assert!(text.contains(&message), "{text}");
        }
    });
}

/// The limit is below the time that the constructor takes.
#[test]
fn the_time_limit_starts_with_the_function() {
    starts_and_passes("take a second", "has_half_a_second");
    let text = has_not_started("hang", "has_half_a_second");
    let message = "run the constructors of the program: not done within 12s, and the test's function was \
                not entered";
    assert!(text.contains(message), "{text}");
    let (mut run, mark) = run("take a second", "hangs");
    let text = fails(&mut run);
    assert!(text.contains("the test did not end within its timeout of 500ms"), "{text}");
    std::fs::remove_dir_all(mark.parent().unwrap()).unwrap();
}

#[test]
fn a_runtime_without_its_threads_is_no_panic_of_the_test() {
    each(1..=4, |threads| {
        let fault = format!("threads={threads}");
        let text = has_not_started(&fault, "should_panic_on_four_threads");
        assert!(text.contains("build the test's tokio runtime: EAGAIN"), "{text}");
        for name in ["should_panic_below_tokio", "should_panic_above_tokio"] {
            let text = has_not_started(&fault, name);
            assert!(text.contains("before the test's function: EAGAIN"), "{text}");
        }
    });
    starts_and_passes("threads=5", "should_panic_on_four_threads");
    let text = has_not_started("threads=0", "should_panic_in_a_body");
    assert!(text.contains("start the test's thread: EAGAIN"), "{text}");
}

/// Each number of descriptors is enough, or too few at another step.
#[test]
fn a_runtime_without_its_descriptors_is_no_panic_of_the_test() {
    each(3..12, |files| {
        let fault = format!("files={files}");
        for name in &SHOULD_PANIC[1..] {
            let (mut run, mark) = run(&fault, name);
            let output = run.output().unwrap();
            let text = text(&output);
            assert_eq!(output.status.success(), mark.exists(), "{fault}, {name}: {text}");
            let message = text.contains("the test was not started: ")
                && text.contains("EMFILE (Too many open files)");
            assert_eq!(message, !mark.exists(), "{fault}, {name}: {text}");
            std::fs::remove_dir_all(mark.parent().unwrap()).unwrap();
        }
    });
    has_not_started("files=3", "should_panic_on_one_thread");
    starts_and_passes("files=30", "should_panic_on_one_thread");
}

/// The test has begun, and the panic is not its own.
#[test]
fn a_host_without_its_threads_is_no_panic_of_the_test() {
    each(["should_panic_for_a_runtime", "should_panic_for_a_thread"], |name| {
        let (mut run, mark) = run("none", name);
        let text = fails(run.env_remove("FAULT"));
        assert!(mark.exists(), "{text}");
        assert!(text.contains("netns-test: the test could not go on: "), "{text}");
        assert!(text.contains("node host: EAGAIN (Try again)\n  cause: "), "{text}");
        std::fs::remove_dir_all(mark.parent().unwrap()).unwrap();
    });
}

#[netns_test]
#[should_panic(expected = "as it should")]
#[ignore = "run by the tests above"]
fn should_panic_in_a_body() {
    leave_a_mark();
    panic!("as it should");
}

#[netns_test]
#[should_panic]
#[ignore = "run by the tests above"]
async fn should_panic_on_one_thread() {
    leave_a_mark();
    panic!("as it should");
}

#[netns_test(flavor = "multi_thread", worker_threads = 4)]
#[should_panic]
#[ignore = "run by the tests above"]
async fn should_panic_on_four_threads() {
    leave_a_mark();
    panic!("as it should");
}

#[netns_test]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[should_panic]
#[ignore = "run by the tests above"]
async fn should_panic_above_tokio() {
    leave_a_mark();
    panic!("as it should");
}

#[netns_test]
#[tokio::test]
#[should_panic]
#[ignore = "run by the tests above"]
async fn should_panic_above_tokio_on_one_thread() {
    leave_a_mark();
    panic!("as it should");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[netns_test]
#[should_panic]
#[ignore = "run by the tests above"]
async fn should_panic_below_tokio() {
    leave_a_mark();
    panic!("as it should");
}

#[netns_test(timeout = "500ms")]
#[ignore = "run by the tests above"]
fn has_half_a_second() {
    leave_a_mark();
}

#[netns_test(timeout = "500ms")]
#[ignore = "run by the tests above"]
fn hangs() {
    loop {
        std::thread::park();
    }
}

fn one_host() -> (netns_test::Lab, netns_test::NodeId) {
    let mut topology = Topology::new();
    let host = topology.host("host");
    (topology.build().unwrap(), host)
}

#[netns_test]
#[ignore = "run by the tests above"]
fn uses_a_host() {
    let (lab, host) = one_host();
    assert_eq!(lab[host].block_on(async { 5 }), 5);
    leave_a_mark();
}

#[netns_test]
#[should_panic]
#[ignore = "run by the tests above"]
fn should_panic_for_a_runtime() {
    let (lab, host) = one_host();
    leave_a_mark();
    allow_threads(1);
    lab[host].block_on(async {});
}

#[netns_test]
#[should_panic]
#[ignore = "run by the tests above"]
fn should_panic_for_a_thread() {
    let (lab, host) = one_host();
    leave_a_mark();
    allow_threads(0);
    lab[host].run(|| {});
}
