//! Panics on hosts that are under way when the test has come to its end: the hook prints for a while, as
//! with `RUST_BACKTRACE=1`, before anything else can know.

use std::panic;
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use netns_test::netns_test;

use super::{must_fail, two_hosts};

/// Longer than a lab and a process take to end.
const WHILE: Duration = Duration::from_millis(500);

/// Value whose drop reports its start and does not end at once.
fn slow_hook() -> Receiver<()> {
    let (sender, begun) = mpsc::channel();
    let sender = Mutex::new(sender);
    panic::set_hook(Box::new(move |info| {
        eprintln!("{info}");
        // Who has ended need not know.
        sender.lock().unwrap().send(()).ok();
        thread::sleep(WHILE);
    }));
    begun
}

#[test]
fn a_panic_that_is_under_way_fails_the_test() {
    let cases = [
        ("a_task_panics_slowly", "node client: a task has panicked: boom"),
        ("a_destructor_of_a_task_that_is_ready_panics", "node client: a task has panicked: boom"),
        ("a_destructor_of_a_task_that_is_aborted_panics", "node client: a task has panicked: boom"),
        ("a_thread_panics_again_after_one_was_caught", "node client: a thread has panicked: boom"),
        ("a_thread_panics_slowly", "node client: a thread has panicked: boom"),
        ("a_thread_of_a_lab_that_is_kept_panics_slowly", "a lab that was not dropped"),
        (
            "a_thread_panics_slowly_after_its_lab",
            "a thread has panicked: boom, after its lab has ended",
        ),
    ];
    for (name, message) in cases {
        let text = must_fail(&format!("panics::{name}"));
        assert!(text.contains(message), "{name}: {text}");
        // The lab itself has waited, and not the end of the process alone.
        let late = "after its lab has ended";
        assert_eq!(text.contains(late), message.contains(late), "{name}: {text}");
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

/// Panics when it is dropped.
struct Panics;

impl Drop for Panics {
    fn drop(&mut self) {
        panic!("boom");
    }
}

#[netns_test]
#[ignore = "run by a_panic_that_is_under_way_fails_the_test"]
fn a_destructor_of_a_task_that_is_ready_panics() {
    let begun = slow_hook();
    let (lab, client, _) = two_hosts();
    let panics = Panics;
    drop(lab[client].spawn(std::future::poll_fn(move |_| {
        let _kept = &panics;
        std::task::Poll::Ready(())
    })));
    begun.recv().unwrap();
}

#[netns_test]
#[ignore = "run by a_panic_that_is_under_way_fails_the_test"]
fn a_destructor_of_a_task_that_is_aborted_panics() {
    let begun = slow_hook();
    let (lab, client, _) = two_hosts();
    let (sender, waits) = mpsc::channel();
    let task = lab[client].spawn(async move {
        let _panics = Panics;
        sender.send(()).unwrap();
        std::future::pending::<()>().await;
    });
    waits.recv().unwrap();
    task.abort();
    begun.recv().unwrap();
}

/// Unwinds for a while, after another lab has taken the first panic for what it was.
#[netns_test]
#[ignore = "run by a_panic_that_is_under_way_fails_the_test"]
fn a_thread_panics_again_after_one_was_caught() {
    struct Slow(mpsc::Sender<()>);
    impl Drop for Slow {
        fn drop(&mut self) {
            self.0.send(()).unwrap();
            thread::sleep(WHILE);
        }
    }
    let (lab, client, _) = two_hosts();
    let (other, ..) = two_hosts();
    let (go, goes) = mpsc::channel::<()>();
    let (sender, message) = mpsc::channel();
    drop(lab[client].spawn_thread(move || {
        assert!(panic::catch_unwind(|| panic!("caught")).is_err());
        sender.send(()).unwrap();
        goes.recv().unwrap();
        let _slow = Slow(sender);
        panic!("boom");
    }));
    message.recv().unwrap();
    drop(other);
    go.send(()).unwrap();
    message.recv().unwrap();
}

/// The payload stays as it is, and a hook may end the process.
#[test]
fn a_panic_keeps_its_payload() {
    let text = must_fail("panics::goes_on_with_another_panic");
    assert!(text.contains("node client: a thread has panicked: the reason"), "{text}");
    let text = must_fail("panics::has_a_hook_that_exits");
    assert!(text.contains("the test's process exited with status 3 before"), "{text}");
    assert!(!text.contains("does not end"), "{text}");
}

#[netns_test]
#[ignore = "run by a_panic_keeps_its_payload"]
fn goes_on_with_another_panic() {
    let (lab, client, _) = two_hosts();
    let thread = lab[client].spawn_thread(|| {
        drop(panic::catch_unwind(|| panic!("harmless")));
        panic::resume_unwind(Box::new("the reason"))
    });
    drop::<thread::Result<()>>(thread.join());
}

#[netns_test]
#[ignore = "run by a_panic_keeps_its_payload"]
fn has_a_hook_that_exits() {
    panic::set_hook(Box::new(|_| std::process::exit(3)));
    let (lab, client, _) = two_hosts();
    drop(lab[client].spawn_thread(|| panic!("boom")).join());
}

/// Also while it goes on, and when the next one is under way.
#[netns_test]
fn a_panic_that_is_caught_is_none() {
    let (lab, client, _) = two_hosts();
    let (sender, message) = mpsc::channel();
    let (go, goes) = mpsc::channel::<()>();
    let thread = lab[client].spawn_thread(move || {
        for _ in 0..2 {
            assert!(panic::catch_unwind(|| panic!("caught")).is_err());
            sender.send(()).unwrap();
        }
        goes.recv().ok();
    });
    let task = lab[client].spawn(async {
        assert!(panic::catch_unwind(|| panic!("caught")).is_err());
        std::future::pending::<()>().await;
    });
    message.recv().unwrap();
    message.recv().unwrap();
    drop((lab, task));
    drop(go);
    thread.join().unwrap();
}
