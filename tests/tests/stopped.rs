//! A fork server that is stopped: no test waits for it without a limit, and each says what to do.

use netns_test::netns_test;
use netns_test_tests::{LIMIT, again, eventually, fails, fork_server, is_asleep, passes, text};

const IS_STOPPED: &str = "is stopped, as by SIGSTOP";

/// Ends this process by SIGALRM if a test of it hangs, which the test around it does not take for a verdict.
fn end_in(seconds: u32) {
    // SAFETY: the signal's default action ends the process.
    unsafe { libc::alarm(seconds) };
}

fn signal(process: u32, number: i32) {
    // SAFETY: the process is a child of this one that has not been reaped.
    assert_eq!(unsafe { libc::kill(process.try_into().unwrap(), number) }, 0);
}

/// Stops the fork server, which waits for requests.
fn stop() -> u32 {
    end_in(120);
    let server = fork_server();
    eventually(LIMIT, "the server sleeps", || is_asleep(server));
    signal(server, libc::SIGSTOP);
    server
}

#[test]
fn a_stopped_server_is_reported_without_waiting() {
    let text = fails(&mut again(&[], &["stops::", "--test-threads=1"]));
    assert!(text.contains("0 passed; 4 failed"), "{text}");
    // The tests after the first one do not wait again.
    for line in
        ["netns-test: the test was lost: the fork server (process ", IS_STOPPED, "kill -CONT "]
    {
        assert_eq!(text.matches(line).count(), 3, "{text}");
    }
    assert_eq!(text.matches("= T (stopped)").count(), 3, "{text}");
}

/// More than a socket holds is not sent without a limit either.
#[test]
fn a_long_environment_does_not_hang_for_a_stopped_server() {
    let mut run = again(&[], &["stops::", "--test-threads=1"]);
    run.env("STOPPED_LONG", "1");
    let text = fails(&mut run);
    assert_eq!(text.matches(IS_STOPPED).count(), 3, "{text}");
}

/// Nor do so many requests that the server's own socket is full.
#[test]
fn many_requests_do_not_hang_for_a_stopped_server() {
    let output = again(&[], &["--exact", "asks_from_many_threads"]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
}

#[test]
fn a_server_that_goes_on_again_serves_again() {
    passes(&mut again(&[], &["goes_on::", "--test-threads=1"]), 2);
}

/// A test whose body has begun needs its server no longer.
#[test]
fn a_test_that_has_begun_needs_no_server() {
    passes(&mut again(&[], &["--exact", "has_begun"]), 1);
}

mod stops {
    use super::netns_test;

    #[test]
    #[ignore = "run by the tests above"]
    fn a_first() {
        super::stop();
        if std::env::var_os("STOPPED_LONG").is_some() {
            let long = "x".repeat(100 << 10);
            for number in 0..40 {
                // SAFETY: this process runs one test at a time, and no other thread reads them.
                unsafe { std::env::set_var(format!("LONG_{number}"), &long) };
            }
        }
        panic!("so that all of them fail");
    }

    #[netns_test]
    #[ignore = "run by the tests above"]
    fn is_lost() {}

    #[netns_test(timeout = "none")]
    #[ignore = "run by the tests above"]
    fn is_lost_without_a_limit() {}

    #[netns_test]
    #[should_panic]
    #[ignore = "run by the tests above"]
    fn is_lost_though_it_should_panic() {
        panic!("as it should");
    }
}

mod goes_on {
    use super::{fails_when_lost, netns_test};

    #[test]
    #[ignore = "run by a_server_that_goes_on_again_serves_again"]
    fn a_first() {
        let server = super::stop();
        fails_when_lost(again);
        super::signal(server, libc::SIGCONT);
    }

    #[netns_test]
    #[ignore = "run by a_server_that_goes_on_again_serves_again"]
    fn again() {}
}

/// A panic of `test`, which is lost because the server is stopped.
fn fails_when_lost(test: fn()) {
    let panic = std::panic::catch_unwind(test).unwrap_err();
    let reason = panic.downcast_ref::<String>().unwrap();
    assert!(reason.contains(IS_STOPPED), "{reason}");
}

#[test]
#[ignore = "run by many_requests_do_not_hang_for_a_stopped_server"]
fn asks_from_many_threads() {
    stop();
    std::thread::scope(|scope| {
        for _ in 0..400 {
            scope.spawn(|| fails_when_lost(stops_nothing));
        }
    });
}

#[netns_test(timeout = "none")]
#[ignore = "called by asks_from_many_threads"]
fn stops_nothing() {}

#[test]
#[ignore = "run by a_test_that_has_begun_needs_no_server"]
fn has_begun() {
    end_in(120);
    let path = netns_test_tests::scratch("begun");
    // SAFETY: no other thread of this process has been started by it, and libtest's reads none.
    unsafe { std::env::set_var(PLACE, &path) };
    let test = std::thread::spawn(waits_for_a_file);
    eventually(LIMIT, "the test has begun", || path.join("begun").exists());
    let server = fork_server();
    signal(server, libc::SIGSTOP);
    // More looks at the server than a test that has not begun is given.
    std::thread::sleep(std::time::Duration::from_secs(13));
    std::fs::write(path.join("go"), "").unwrap();
    test.join().unwrap();
    signal(server, libc::SIGCONT);
    std::fs::remove_dir_all(path).unwrap();
}

const PLACE: &str = "STOPPED_PLACE";

#[netns_test]
#[ignore = "called by has_begun"]
fn waits_for_a_file() {
    let path = std::path::PathBuf::from(std::env::var_os(PLACE).unwrap());
    std::fs::write(path.join("begun"), "").unwrap();
    eventually(LIMIT, "the test may end", || path.join("go").exists());
}
