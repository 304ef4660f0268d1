//! Panics on hosts while the test waits: waits of the library end at once, and a test that waits
//! otherwise is ended soon, unless it ends by itself or says that the panic is meant.

use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use netns_test::{Lab, NodeId, Result, netns_test};

use super::{must_fail, two_hosts};

const PANIC: &str = "node server: a thread has panicked: boom";

/// Longer than a test that is blocked after a panic goes on.
const LONGER: Duration = Duration::from_millis(2_500);

/// Lets a thread on the server panic, and returns when it has ended.
fn panics(lab: &Lab, server: NodeId) {
    let thread = lab[server].spawn_thread(|| panic!("boom"));
    assert!(thread.join().is_err());
}

/// The early end of a test would be in the way here.
#[netns_test]
#[should_panic(expected = "node server: a thread has panicked: boom")]
fn a_wait_ends_with_the_panic() {
    let (lab, client, server) = two_hosts();
    let child = lab[client].command("sleep").arg("1000").spawn().unwrap();
    let (silent, endless) = ("192.0.2.1", Duration::MAX);
    panics(&lab, server);
    let node = || lab[client].wait(endless);
    let waits: [(&str, &dyn Fn() -> Result<()>); 8] = [
        ("there is none", &|| node().listening(80)),
        ("there is none", &|| node().established(80)),
        ("it is not up", &|| node().link_up("eth7")),
        ("there is none", &|| node().route("10.99.0.0/24")),
        ("no answer", &|| node().reachable(silent)),
        ("no output line matches", &|| child.wait(endless).line(|_| true)),
        ("nothing listens there", &|| child.wait(endless).listening(80)),
        ("it runs", &|| child.wait(endless).exit().map(drop)),
    ];
    for (state, wait) in waits {
        let error = wait().unwrap_err();
        let text = error.to_string();
        assert!(text.contains(&format!("{state} so far: {PANIC}")), "not so: {text}");
        assert!(!error.is_timeout(), "a timeout: {text}");
    }
    // What is there already is seen.
    let _listener = lab[client].run(|| TcpListener::bind("0.0.0.0:80")).unwrap();
    lab[client].wait(endless).listening(80).expect("it listens");
}

#[netns_test]
#[should_panic(expected = "node server: a task has panicked: boom")]
async fn a_future_of_a_wait_ends_with_the_panic() {
    let (lab, client, server) = two_hosts();
    let child = lab[client].command("sleep").arg("1000").spawn().unwrap();
    let (go, goes) = tokio::sync::oneshot::channel::<()>();
    drop(lab[server].spawn(async {
        goes.await.unwrap();
        panic!("boom");
    }));
    let listens = lab[client].wait(Duration::MAX).nonblocking().listening(80);
    let prints = child.wait(Duration::MAX).nonblocking().line(|_| true);
    let start = async { go.send(()).unwrap() };
    let (listens, prints, ()) = tokio::join!(listens, prints, start);
    for error in [listens.unwrap_err(), prints.unwrap_err()] {
        let text = error.to_string();
        let panic = "so far: node server: a task has panicked: boom";
        assert!(text.contains(panic) && !error.is_timeout(), "not so: {text}");
    }
}

#[test]
fn a_test_that_waits_after_a_panic_is_ended() {
    let cases = [
        ("is_blocked", PANIC),
        ("is_blocked_in_a_future", "node server: a task has panicked: boom"),
        ("tries_again_and_again", PANIC),
        ("waits_with_a_lab_that_is_kept", PANIC),
    ];
    for (name, message) in cases {
        let text = must_fail(&format!("early_end::{name}"));
        let end = format!("netns-test: {message}; the test has not ended");
        assert!(text.contains(&end), "{text}");
        // Under nextest there is a text about a slow test before it, if not before both.
        let text = text.split_once(&end).map_or("", |(_, text)| text);
        let text = text.split_once(" FAILED after ").map_or("", |(_, report)| report);
        assert!(!text.contains("within its"), "{name}: {text}");
        // The report is that of the panic, and the panic is not said to be another.
        assert!(text.contains("PANIC") && !text.contains("panicked first"), "{name}: {text}");
    }
}

#[netns_test]
#[ignore = "run by a_test_that_waits_after_a_panic_is_ended"]
fn is_blocked() {
    let (lab, client, server) = two_hosts();
    let listener = lab[client].run(|| TcpListener::bind("0.0.0.0:80")).unwrap();
    drop(lab[server].spawn_thread(|| panic!("boom")));
    listener.accept().unwrap();
}

#[netns_test]
#[ignore = "run by a_test_that_waits_after_a_panic_is_ended"]
async fn is_blocked_in_a_future() {
    let (lab, _, server) = two_hosts();
    drop(lab[server].spawn(async { panic!("boom") }));
    std::future::pending::<()>().await;
}

#[netns_test]
#[ignore = "run by a_test_that_waits_after_a_panic_is_ended"]
fn tries_again_and_again() {
    let (lab, client, server) = two_hosts();
    drop(lab[server].spawn_thread(|| panic!("boom")));
    while lab[client].run(|| TcpStream::connect("server:80")).is_err() {
        thread::sleep(Duration::from_millis(20));
    }
}

#[netns_test]
#[ignore = "run by a_test_that_waits_after_a_panic_is_ended"]
fn waits_with_a_lab_that_is_kept() {
    let (lab, _, server) = two_hosts();
    drop(lab[server].spawn_thread(|| panic!("boom")));
    std::mem::forget(lab);
    let (_sender, receiver) = mpsc::channel::<()>();
    receiver.recv().unwrap();
}

#[test]
fn a_test_that_ends_by_itself_is_not_ended() {
    let text = must_fail("early_end::handles_the_panic_itself");
    assert!(text.contains("the server is gone") && !text.contains("has not ended"), "{text}");
    let text = must_fail("early_end::drops_the_lab");
    assert!(text.contains(PANIC) && !text.contains("has not ended"), "{text}");
}

#[netns_test]
#[ignore = "run by a_test_that_ends_by_itself_is_not_ended"]
fn handles_the_panic_itself() {
    let (lab, _, server) = two_hosts();
    let thread = lab[server].spawn_thread(|| panic!("boom"));
    assert!(thread.join().is_err());
    panic!("the server is gone");
}

/// The drop of the lab reports the panic.
#[netns_test]
#[ignore = "run by a_test_that_ends_by_itself_is_not_ended"]
fn drops_the_lab() {
    struct Slow;
    impl Drop for Slow {
        fn drop(&mut self) {
            thread::sleep(LONGER);
        }
    }
    let (lab, _, server) = two_hosts();
    let slow = Slow;
    panics(&lab, server);
    let lab = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(lab)));
    drop(slow);
    std::panic::resume_unwind(lab.unwrap_err());
}

#[netns_test]
fn a_panic_that_is_expected_is_none() {
    let (lab, client, server) = two_hosts();
    panics(&lab, server);
    lab.expect_panics();
    let wait = lab[client].wait(Duration::from_millis(30));
    assert!(wait.listening(80).unwrap_err().is_timeout());
    panics(&lab, server);
    thread::sleep(LONGER);
    assert!(wait.listening(80).unwrap_err().is_timeout());
}

/// It may look for the panic that the drop of the lab raises.
#[netns_test]
#[should_panic(expected = "node server: a thread has panicked: boom")]
fn a_test_that_should_panic_is_not_ended() {
    let (lab, _, server) = two_hosts();
    panics(&lab, server);
    thread::sleep(LONGER);
    drop(lab);
}
