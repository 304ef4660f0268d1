//! A fork server that is stopped: no test waits for it without a limit, and each says what to do.

use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use netns_test::netns_test;
use netns_test_tests::{
    LIMIT, again, children, eventually, fails, fork_server, is_asleep, passes, text,
};

const IS_STOPPED: &str = "is stopped, as by SIGSTOP";

/// Ends this process by SIGALRM if a test of it hangs, which the test around it does not take for a
/// verdict.
fn end_in(seconds: u32) {
    // SAFETY: the signal's default action ends the process.
    unsafe { libc::alarm(seconds) };
}

fn signal(process: u32, number: i32) {
    assert!(is_signalled(process, number), "the process {process} has ended");
}

/// Sends a signal. Returns whether there still was such a process.
fn is_signalled(process: u32, number: i32) -> bool {
    // SAFETY: takes numbers.
    unsafe { libc::kill(process.try_into().unwrap(), number) == 0 }
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

/// A test whose init waits for the server is one that has not begun.
#[test]
fn a_test_whose_sandbox_is_not_ready_is_lost() {
    let mut run = again(&[], &["--exact", "is_being_cloned"]);
    passes(run.env("NETNS_TEST_SPARES", "0"), 1);
}

/// The report counts, though the server does not report the end of what the test has left.
#[test]
fn a_report_needs_no_server() {
    let text = fails(&mut again(&[], &["--exact", "has_reported"]));
    assert!(text.contains("so that its output is shown"), "{text}");
    assert!(text.contains("it is not known whether the test's last processes"), "{text}");
    assert!(text.contains(IS_STOPPED), "{text}");
    assert!(!text.contains("cannot be ended"), "{text}");
}

/// The kernel ends a server with its parent only after the server has asked for that.
#[test]
fn a_server_that_was_stopped_at_once_ends_with_the_run() {
    eventually(2 * LIMIT, "a server is stopped before it leads a session", || {
        let runs: Vec<_> = (0..8).map(|_| std::thread::spawn(stopped_at_once)).collect();
        runs.into_iter().map(|run| run.join().unwrap()).filter(|&is_early| is_early).count() > 0
    });
}

/// Ends a run with a stopped server. Returns whether that was stopped early enough.
fn stopped_at_once() -> bool {
    let mut run = again(&[], &["--exact", "no test of this name"]);
    let mut run = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let Some(server) = child_or_end(&mut run) else { return false };
    // On a loaded machine the run, which has nothing to do, and its server may have ended by now.
    let is_early = is_signalled(server, libc::SIGSTOP) && leads_a_session(server) == Some(false);
    assert!(run.wait().unwrap().success());
    let has_ended = !exists(server);
    if !has_ended {
        // It ends when it goes on.
        signal(server, libc::SIGCONT);
    }
    assert!(has_ended, "the server {server} was left");
    is_early
}

fn child_or_end(run: &mut Child) -> Option<u32> {
    loop {
        if let Some(child) = children(run.id()).pop() {
            return Some(child);
        }
        if run.try_wait().unwrap().is_some() {
            return None;
        }
    }
}

/// Returns `None` if the process has ended.
fn leads_a_session(process: u32) -> Option<bool> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // proc_pid_stat(5): after the name come state, parent, group, session.
    let session = stat.rsplit_once(") ")?.1.split(' ').nth(3)?;
    Some(session == process.to_string())
}

fn exists(process: u32) -> bool {
    std::path::Path::new(&format!("/proc/{process}")).exists()
}

/// Wherever the server is stopped, and whatever its requests wait for.
#[test]
fn no_test_waits_for_a_server_that_was_stopped_at_any_time() {
    stop_at_any_time(None, |output| {
        let text = text(output);
        assert!(text.contains("test result: "), "{text}");
        assert_eq!(text.matches(" ... ").count(), 4, "{text}");
        let lost = text.matches("netns-test: the test was lost: ").count();
        assert_eq!(text.matches("... FAILED").count(), lost, "{text}");
        assert_eq!(text.matches(IS_STOPPED).count(), lost, "{text}");
    });
}

#[test]
fn a_server_that_was_stopped_at_any_time_goes_on() {
    stop_at_any_time(Some(Duration::from_secs(2)), |output| {
        assert!(text(output).contains("test result: ok. 4 passed"), "{}", text(output));
    });
}

/// Runs four tests, with a server that is stopped some time after it has appeared, and goes on
/// after `pause`, if at all. Passes the output on when the server has ended.
fn stop_at_any_time(pause: Option<Duration>, check: fn(&Output)) {
    let run = move |microseconds: u64| {
        let mut run = again(&[], &["any::", "--test-threads=3"]);
        run.env("NETNS_TEST_SPARES", if microseconds % 4000 < 2000 { "0" } else { "2" });
        run.stdout(Stdio::piped()).stderr(Stdio::piped());
        let run = run.spawn().unwrap();
        let server = eventually(LIMIT, "there is a server", || children(run.id()).pop());
        // Not a wait for an event: any time will do.
        let since = Instant::now();
        while since.elapsed() < Duration::from_micros(microseconds) {
            std::hint::spin_loop();
        }
        signal(server, libc::SIGSTOP);
        if let Some(pause) = pause {
            std::thread::sleep(pause);
            signal(server, libc::SIGCONT);
        }
        (run, server)
    };
    let runs: Vec<_> = [0, 0, 500, 1500, 2500, 4000, 6000, 10_000, 15_000, 20_000, 40_000]
        .map(|microseconds| std::thread::spawn(move || run(microseconds)))
        .into_iter()
        .collect();
    for run in runs {
        let (run, server) = run.join().unwrap();
        check(&run.wait_with_output().unwrap());
        eventually(LIMIT, "the server has ended", || !exists(server));
    }
}

/// Tests that end at once, and tests that run when the server is stopped. The limit is longer than
/// any of them may wait.
mod any {
    use super::netns_test;

    netns_test::defaults! { timeout = "1000s" }

    #[netns_test]
    #[ignore = "run by stop_at_any_time"]
    fn ends_a() {}

    #[netns_test]
    #[ignore = "run by stop_at_any_time"]
    fn ends_b() {}

    #[netns_test]
    #[ignore = "run by stop_at_any_time"]
    fn runs_a() {
        runs();
    }

    #[netns_test]
    #[ignore = "run by stop_at_any_time"]
    fn runs_b() {
        runs();
    }

    fn runs() {
        super::end_in(120);
        let mut net = netns_test::Topology::new();
        let (one, other) = (net.host("one"), net.host("other"));
        net.link(one, other);
        let _lab = net.build().unwrap();
        std::thread::sleep(std::time::Duration::from_secs(3));
    }
}

#[test]
#[ignore = "run by a_test_whose_sandbox_is_not_ready_is_lost"]
fn is_being_cloned() {
    end_in(120);
    let path = netns_test_tests::scratch("cloned");
    // SAFETY: no other thread of this process has been started by it, and libtest's reads none.
    unsafe { std::env::set_var(PLACE, &path) };
    // The first test has a way of its own.
    stops_nothing();
    let server = fork_server();
    eventually(LIMIT, "its init has been reaped", || children(server).is_empty());
    let lost = eventually(LIMIT, "the server is stopped in time", || {
        drop(std::fs::remove_file(path.join("begun")));
        let test = std::thread::spawn(|| std::panic::catch_unwind(begins));
        while children(server).is_empty() {
            if test.is_finished() {
                return None;
            }
        }
        signal(server, libc::SIGSTOP);
        // Unless the sandbox was ready.
        let lost = test.join().unwrap().err();
        if lost.is_none() {
            signal(server, libc::SIGCONT);
            eventually(LIMIT, "its init has been reaped", || children(server).is_empty());
        }
        lost
    });
    let reason = lost.downcast_ref::<String>().unwrap();
    assert!(reason.contains(IS_STOPPED), "{reason}");
    signal(server, libc::SIGCONT);
    stops_nothing();
    eventually(LIMIT, "the inits have been reaped", || children(server).is_empty());
    assert!(!path.join("begun").exists(), "a test has begun after it was lost");
    std::fs::remove_dir_all(path).unwrap();
}

#[netns_test(timeout = "1000s")]
#[ignore = "called by is_being_cloned"]
fn begins() {
    let path = std::path::PathBuf::from(std::env::var_os(PLACE).unwrap());
    std::fs::write(path.join("begun"), "").unwrap();
}

#[test]
#[ignore = "run by a_report_needs_no_server"]
fn has_reported() {
    stop_when_begun(leaves_a_process, || {});
    panic!("so that its output is shown");
}

#[netns_test]
#[ignore = "called by has_reported"]
fn leaves_a_process() {
    drop(std::process::Command::new("sleep").arg("1000").spawn().unwrap());
    waits_for_a_file();
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
    stop_when_begun(waits_for_a_file, || {
        // More looks at the server than a test that has not begun is given.
        std::thread::sleep(Duration::from_secs(13));
    });
}

/// Stops the server while `test`, which waits for a file, runs; lets that end after `pause`.
fn stop_when_begun(test: fn(), pause: fn()) {
    end_in(120);
    let path = netns_test_tests::scratch("begun");
    // SAFETY: no other thread of this process has been started by it, and libtest's reads none.
    unsafe { std::env::set_var(PLACE, &path) };
    let test = std::thread::spawn(test);
    eventually(LIMIT, "the test has begun", || path.join("begun").exists());
    let server = fork_server();
    signal(server, libc::SIGSTOP);
    pause();
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
