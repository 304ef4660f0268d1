//! What surrounds a test's function in its process: constructors that run before it see what those of
//! the runner would, and what they and the test leave for the end is done at the end.

use std::cell::Cell;
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use netns_test::netns_test;
use netns_test_tests::{again, children, fork_server, passes, scratch, status, text};

/// Numbers of descriptors that the constructor has found.
static FOUND: Mutex<Vec<i32>> = Mutex::new(Vec::new());

thread_local! {
    static KEPT: Cell<Option<Kept>> = const { Cell::new(None) };
}

#[ctor::ctor(unsafe)]
fn constructor() {
    *FOUND.lock().unwrap() = descriptors();
    if let Some(size) = std::env::var_os("STACK_OF_A_THREAD") {
        // SAFETY: the process has one thread.
        unsafe { std::env::set_var("RUST_MIN_STACK", size) };
    }
    KEPT.set(Some(Kept));
}

/// Leaves a mark at its end, in a body.
struct Kept;

impl Drop for Kept {
    fn drop(&mut self) {
        leave_a_mark("value");
    }
}

extern "C" fn key_ends(_: *mut libc::c_void) {
    leave_a_mark("key");
}

fn leave_a_mark(name: &str) {
    if let Some(directory) = std::env::var_os("SCRATCH").filter(|_| status("PPid") == "1") {
        fs::write(PathBuf::from(directory).join(name), "").unwrap();
    }
}

fn descriptors() -> Vec<i32> {
    // SAFETY: asks for a flag.
    (0..1024).filter(|&number| unsafe { libc::fcntl(number, libc::F_GETFD) } >= 0).collect()
}

#[test]
fn constructors_find_nothing_of_the_harness() {
    for spares in ["0", "2"] {
        let mut run = again(&[], &["finds_the_standard_streams", "--test-threads=1"]);
        passes(run.env("NETNS_TEST_SPARES", spares), 4);
    }
}

macro_rules! find {
    ($($name:ident)*) => {$(
        #[netns_test]
        #[ignore = "run by constructors_find_nothing_of_the_harness"]
        fn $name() {
            assert_eq!(*FOUND.lock().unwrap(), [0, 1, 2]);
            assert_eq!(descriptors(), [0, 1, 2]);
        }
    )*};
}

find! {
    finds_the_standard_streams_0 finds_the_standard_streams_1
    finds_the_standard_streams_2 finds_the_standard_streams_3
}

#[test]
fn a_constructor_can_choose_the_stack_of_the_test() {
    let mut run = again(&[], &["--exact", "needs_a_large_stack"]);
    passes(run.env("STACK_OF_A_THREAD", (64 << 20).to_string()), 1);
}

#[netns_test]
#[ignore = "run by the tests beside it"]
fn needs_a_large_stack() {
    std::hint::black_box([1_u8; 16 << 20]);
}

#[test]
fn a_test_whose_thread_cannot_be_started_fails_with_the_reason() {
    let mut run = again(&[], &["--exact", "needs_a_large_stack", "--test-threads=1"]);
    let output = run.env("STACK_OF_A_THREAD", (1_u64 << 60).to_string()).output().unwrap();
    let text = text(&output);
    assert!(!output.status.success(), "{text}");
    assert!(text.contains("start the test's thread: EAGAIN"), "{text}");
}

/// Destructors of the first thread and of the test's own, by whatever library.
#[test]
fn what_threads_keep_ends_with_the_test() {
    let directory = scratch("what_threads_keep_ends_with_the_test");
    passes(again(&[], &["--exact", "keeps"]).env("SCRATCH", &directory), 1);
    for name in ["value", "key"] {
        assert!(directory.join(name).exists(), "{name}");
    }
    fs::remove_dir_all(directory).unwrap();
}

#[netns_test]
#[ignore = "run by what_threads_keep_ends_with_the_test"]
fn keeps() {
    let mut key = 0;
    // SAFETY: the library's number is written to a live variable.
    assert_eq!(unsafe { libc::pthread_key_create(&raw mut key, Some(key_ends)) }, 0);
    // SAFETY: the pointer is not followed.
    assert_eq!(unsafe { libc::pthread_setspecific(key, (&raw const key).cast()) }, 0);
}

/// Process 1 of many containers reaps no orphans of a run.
#[test]
fn a_run_that_ends_at_any_time_leaves_nothing_to_process_1() {
    passes(&mut again(&["unshare", "-Urpf", "--mount-proc"], &["--exact", "is_process_1"]), 1);
}

#[test]
#[ignore = "run by a_run_that_ends_at_any_time_leaves_nothing_to_process_1"]
fn is_process_1() {
    assert_eq!(std::process::id(), 1);
    let server = fork_server();
    for moment in (0..3000).step_by(100) {
        let mut run = again(&[], &["--exact", "quits"]);
        assert!(run.env("MOMENT", moment.to_string()).output().unwrap().status.success());
        assert_eq!(children(1), [server], "after {moment} us");
    }
}

#[test]
#[ignore = "run by is_process_1"]
fn quits() {
    std::thread::spawn(sleeps_for_a_second);
    let moment = std::env::var("MOMENT").unwrap().parse().unwrap();
    // At any time of the first sandbox's making: no event stands for each.
    std::thread::sleep(Duration::from_micros(moment));
    std::process::exit(0);
}

#[netns_test]
#[ignore = "run by quits"]
fn sleeps_for_a_second() {
    std::thread::sleep(Duration::from_secs(1));
}
