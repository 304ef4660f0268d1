//! Panics on hosts that are under way when the test has come to its end: the hook prints for a while, as
//! with `RUST_BACKTRACE=1`, before anything else can know.

use std::panic;
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use netns_test::netns_test;
use netns_test_tests::{again, fails};

use super::two_hosts;

/// Longer than a lab and a process take to end.
const WHILE: Duration = Duration::from_millis(500);

/// What a hook tells when it has begun; it does not end at once.
fn slow_hook() -> Receiver<()> {
    let (tell, begun) = mpsc::channel();
    let tell = Mutex::new(tell);
    panic::set_hook(Box::new(move |info| {
        eprintln!("{info}");
        // Who has ended need not know.
        tell.lock().unwrap().send(()).ok();
        thread::sleep(WHILE);
    }));
    begun
}

#[test]
fn a_panic_that_is_under_way_fails_the_test() {
    let cases = [
        ("a_task_panics_slowly", "host client: a task has panicked: boom"),
        ("a_thread_panics_slowly", "host client: a thread has panicked: boom"),
        ("a_thread_of_a_lab_that_is_kept_panics_slowly", "a lab that was not dropped"),
        (
            "a_thread_panics_slowly_after_its_lab",
            "a thread has panicked: boom, after its lab has ended",
        ),
    ];
    for (name, told) in cases {
        let text = fails(&mut again(&[], &["--exact", &format!("panics::{name}")]));
        assert!(text.contains(told), "{name}: {text}");
        assert!(text.contains("1 failed"), "{text}");
    }
}

#[netns_test]
#[ignore = "run by a_panic_that_is_under_way_fails_the_test"]
fn a_task_panics_slowly() {
    let begun = slow_hook();
    let (lab, client, _) = two_hosts();
    drop(lab[client].spawn(async { panic!("boom") }));
    begun.recv().unwrap();
}

#[netns_test]
#[ignore = "run by a_panic_that_is_under_way_fails_the_test"]
fn a_thread_panics_slowly() {
    let begun = slow_hook();
    let (lab, client, _) = two_hosts();
    drop(lab[client].spawn_thread(|| panic!("{}", "boom")));
    begun.recv().unwrap();
}

#[netns_test]
#[ignore = "run by a_panic_that_is_under_way_fails_the_test"]
fn a_thread_of_a_lab_that_is_kept_panics_slowly() {
    let begun = slow_hook();
    let (lab, client, _) = two_hosts();
    drop(lab[client].spawn_thread(|| panic!("boom")));
    begun.recv().unwrap();
    std::mem::forget(lab);
}

#[netns_test]
#[ignore = "run by a_panic_that_is_under_way_fails_the_test"]
fn a_thread_panics_slowly_after_its_lab() {
    let begun = slow_hook();
    let (lab, client, _) = two_hosts();
    let (go, goes) = mpsc::channel::<()>();
    drop(lab[client].spawn_thread(move || {
        goes.recv().unwrap();
        panic!("boom");
    }));
    drop(lab);
    go.send(()).unwrap();
    begun.recv().unwrap();
}

/// Also while it goes on, and when the next one is under way.
#[netns_test]
fn a_panic_that_is_caught_is_none() {
    let (lab, client, _) = two_hosts();
    let (tell, told) = mpsc::channel();
    let (go, goes) = mpsc::channel::<()>();
    let thread = lab[client].spawn_thread(move || {
        for _ in 0..2 {
            assert!(panic::catch_unwind(|| panic!("caught")).is_err());
            tell.send(()).unwrap();
        }
        goes.recv().ok();
    });
    let task = lab[client].spawn(async {
        assert!(panic::catch_unwind(|| panic!("caught")).is_err());
        std::future::pending::<()>().await;
    });
    told.recv().unwrap();
    told.recv().unwrap();
    drop((lab, task));
    drop(go);
    thread.join().unwrap();
}
