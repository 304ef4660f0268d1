//! Whatever is killed, nothing is left: no process, and so no namespace and no mount; and
//! the tests that lose their processes fail and say why.

mod interrupted;

use std::collections::BTreeSet;
use std::fs;
use std::io::BufReader;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use netns_test::netns_test;
use netns_test_tests::{LIMIT, again, children, eventually, passes, read_until, text};

/// How long the kernel may take for what should take a moment.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn killing_the_runner_ends_everything() {
    let mut tree = Tree::start("waits_with_a_daemon");
    kill(tree.runner(), libc::SIGKILL);
    tree.child.wait().unwrap();
    tree.is_gone();
}

#[test]
fn interrupting_the_group_ends_everything() {
    let mut tree = Tree::start("waits_with_a_daemon");
    // What a terminal does for Ctrl-C, and a test runner at its timeout.
    kill_group(tree.runner(), libc::SIGINT);
    let status = tree.child.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(libc::SIGINT));
    tree.is_gone();
}

/// nextest ends a slow test by a signal to the test runner, which cannot report anything then. It
/// shows what the runner has printed before.
#[test]
fn a_slow_test_reports_what_it_waits_for_before_nextest_ends_it() {
    let mut run = again(&[], &["--exact", "waits_with_a_daemon", "--nocapture"]);
    run.stdout(Stdio::null()).stderr(Stdio::piped()).env("NEXTEST", "1");
    std::os::unix::process::CommandExt::process_group(&mut run, 0);
    let mut child = run.spawn().unwrap();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let is_reported = |text: &str| {
        text.contains("waits_with_a_daemon still runs after 5.")
            && text.contains("Who waits for what")
            && text.contains("wait4")
    };
    let _stderr = read_until(stderr, "the state is reported", is_reported);
    let [server] = children(child.id())[..] else { panic!("not one server") };
    let server = Process::open(server);
    kill_group(child.id(), libc::SIGTERM);
    let status = child.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(libc::SIGTERM));
    server.ends();
}

#[test]
fn without_nextest_nothing_is_reported_meanwhile() {
    let mut run = again(&[], &["--exact", "sleeps_for_six_seconds", "--nocapture"]);
    let output = passes(run.env_remove("NEXTEST"), 1);
    assert!(!text(&output).contains("still runs"), "{}", text(&output));
}

#[test]
fn killing_the_server_ends_its_tests() {
    let tree = Tree::start("waits_with_a_daemon");
    kill(tree.server, libc::SIGKILL);
    tree.is_gone_but_for_the_runner();
    let output = tree.child.wait_with_output().unwrap();
    let text = text(&output);
    assert!(!output.status.success(), "{text}");
    assert!(
        text.contains("netns-test: the test was lost: the fork server was killed by SIGKILL"),
        "{text}"
    );
}

#[test]
fn killing_init_ends_its_test() {
    let tree = Tree::start("waits_with_a_daemon");
    kill(tree.init, libc::SIGKILL);
    let output = tree.child.wait_with_output().unwrap();
    let text = text(&output);
    assert!(!output.status.success(), "{text}");
    let line = "the init process of its namespaces was killed by SIGKILL without a report";
    assert!(text.contains(line), "{text}");
    for process in &tree.processes {
        process.ends();
    }
}

#[test]
fn an_init_that_is_stopped_is_killed_after_all() {
    let tree = Tree::start("waits_for_three_seconds");
    kill(tree.init, libc::SIGSTOP);
    let output = tree.child.wait_with_output().unwrap();
    let text = text(&output);
    assert!(!output.status.success(), "{text}");
    assert!(
        text.contains("did not report within 15 s of the test's timeout, and was killed"),
        "{text}"
    );
    for process in &tree.processes {
        process.ends();
    }
}

/// An ordinary test that forks has a copy of every descriptor of the runner, also of those
/// that are on their way to the server.
#[test]
fn the_death_of_the_server_is_seen_though_others_hold_its_sockets() {
    let mut run = again(&[], &["among_children_of_the_runner", "--test-threads=2"]);
    let output = run.output().unwrap();
    let text = text(&output);
    assert!(text.contains("the fork server was killed by SIGKILL"), "{text}");
}

#[test]
fn a_signal_to_the_group_of_the_runner_spares_the_server() {
    let mut run = again(&[], &["signals_the_group", "--test-threads=1"]);
    passes(std::os::unix::process::CommandExt::process_group(&mut run, 0), 2);
}

#[test]
fn a_runner_that_waits_for_all_its_children_does_not_wait_for_the_server() {
    passes(&mut again(&[], &["waits_for_all_children", "--test-threads=1"]), 2);
}

#[test]
fn killing_the_body_fails_its_test() {
    let tree = Tree::start("waits_with_a_daemon");
    kill(children(tree.init)[0], libc::SIGKILL);
    let output = tree.child.wait_with_output().unwrap();
    let text = text(&output);
    assert!(!output.status.success(), "{text}");
    assert!(text.contains("the test's process was killed by SIGKILL"), "{text}");
}

#[test]
fn tests_after_the_death_of_the_server_fail_at_once() {
    let output = again(&[], &["kills_its_own_server", "--test-threads=1"]).output().unwrap();
    let text = text(&output);
    assert!(text.contains("test result: FAILED. 0 passed; 3 failed"), "{text}");
    assert_eq!(text.matches("the fork server was killed by SIGKILL").count(), 2, "{text}");
}

#[test]
fn a_runner_that_has_lost_its_socket_says_so() {
    let output = again(&[], &["--exact", "closes_the_socket_of_the_runner"]).output().unwrap();
    let text = text(&output);
    assert!(!output.status.success(), "{text}");
    assert!(text.contains("closed the harness's socket") || text.contains("EBADF"), "{text}");
}

/// A body that runs until it is killed, beside a daemon that holds all it can.
#[netns_test(timeout = "none")]
#[ignore = "run by the tests above"]
fn waits_with_a_daemon() {
    let script = "setsid sh -c '(trap \"\" HUP INT TERM; sleep 1000) & echo ready; wait' & wait";
    Command::new("sh").args(["-c", script]).status().unwrap();
}

#[netns_test]
#[ignore = "run by without_nextest_nothing_is_reported_meanwhile"]
fn sleeps_for_six_seconds() {
    std::thread::sleep(Duration::from_secs(6));
}

/// The same, for a moment; whoever stops init stops the clock of the test.
#[netns_test(timeout = "3s")]
#[ignore = "run by an_init_that_is_stopped_is_killed_after_all"]
fn waits_for_three_seconds() {
    waits_with_a_daemon();
}

#[test]
#[ignore = "run by the_death_of_the_server_is_seen_though_others_hold_its_sockets"]
fn among_children_of_the_runner_0() {
    let forked: Vec<i32> = (0..200)
        // SAFETY: the child only waits to be killed.
        .map(|_| match unsafe { libc::fork() } {
            0 => loop {
                // SAFETY: async-signal-safe.
                unsafe { libc::pause() };
            },
            child => child,
        })
        .collect();
    kill(netns_test_tests::fork_server(), libc::SIGKILL);
    eventually(2 * LIMIT, "the test beside has its verdict", || {
        HAS_VERDICT.load(Ordering::Relaxed)
    });
    for child in forked {
        kill(child.try_into().unwrap(), libc::SIGKILL);
        // SAFETY: no status is asked for.
        unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
    }
}

/// The children live until the test beside them has its verdict.
static HAS_VERDICT: AtomicBool = AtomicBool::new(false);

#[test]
#[ignore = "run by the_death_of_the_server_is_seen_though_others_hold_its_sockets"]
fn among_children_of_the_runner_1() {
    let run = || std::panic::catch_unwind(passes_if_run).err();
    let lost = std::panic::catch_unwind(|| eventually(LIMIT, "a test fails", run));
    HAS_VERDICT.store(true, Ordering::Relaxed);
    std::panic::resume_unwind(lost.unwrap_or_else(|late| late));
}

#[test]
#[ignore = "run by a_signal_to_the_group_of_the_runner_spares_the_server"]
fn signals_the_group_0() {
    // SAFETY: ignores a signal.
    unsafe { libc::signal(libc::SIGHUP, libc::SIG_IGN) };
    // By its name the server shows that it is past its start.
    let _server = netns_test_tests::fork_server();
    // SAFETY: sends a signal to the group, which this run has of its own.
    assert_eq!(unsafe { libc::kill(0, libc::SIGHUP) }, 0);
}

#[netns_test]
#[ignore = "run by a_signal_to_the_group_of_the_runner_spares_the_server"]
fn signals_the_group_1() {}

#[test]
#[ignore = "run by a_runner_that_waits_for_all_its_children_does_not_wait_for_the_server"]
fn waits_for_all_children_0() {
    eventually(LIMIT, "no child is left", || {
        // SAFETY: no status is asked for.
        unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) < 0 }
    });
}

#[netns_test]
#[ignore = "run by a_runner_that_waits_for_all_its_children_does_not_wait_for_the_server"]
fn waits_for_all_children_1() {}

#[test]
#[ignore = "run by tests_after_the_death_of_the_server_fail_at_once"]
fn kills_its_own_server_0() {
    kill(netns_test_tests::fork_server(), libc::SIGKILL);
    panic!("so that the three of them fail");
}

#[netns_test]
#[ignore = "run by tests_after_the_death_of_the_server_fail_at_once"]
fn kills_its_own_server_1() {}

#[netns_test]
#[should_panic]
#[ignore = "run by tests_after_the_death_of_the_server_fail_at_once"]
fn kills_its_own_server_2() {}

#[test]
#[ignore = "run by a_runner_that_has_lost_its_socket_says_so"]
fn closes_the_socket_of_the_runner() {
    for entry in fs::read_dir("/proc/self/fd").unwrap().flatten() {
        let is_socket = fs::read_link(entry.path())
            .is_ok_and(|target| target.to_string_lossy().starts_with("socket:"));
        if is_socket {
            let number = entry.file_name().to_str().unwrap().parse().unwrap();
            // SAFETY: the harness's socket; what it does without it is the point.
            unsafe { libc::close(number) };
        }
    }
    passes_if_run();
}

#[netns_test]
#[ignore = "run by a_runner_that_has_lost_its_socket_says_so"]
fn passes_if_run() {}

/// A runner with one test, its server, init, body, and the programs that these started.
struct Tree {
    child: Child,
    server: u32,
    init: u32,
    processes: Vec<Process>,
    /// Time at which all of these had started, in clock ticks since the boot.
    ready: u64,
    _stdout: BufReader<ChildStdout>,
}

impl Tree {
    fn start(test: &str) -> Self {
        Self::start_with(test, Stdio::piped())
    }

    fn start_with(test: &str, stderr: Stdio) -> Self {
        // Where no report is kept.
        Self::start_with_variables(test, stderr, &[("NETNS_TEST_KEEP", "none")])
    }

    fn start_with_variables(test: &str, stderr: Stdio, variables: &[(&str, &str)]) -> Self {
        let mut command = again(&[], &["--exact", test, "--nocapture"]);
        command.envs(variables.iter().copied());
        command.stdout(Stdio::piped()).stderr(stderr).stdin(Stdio::null());
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        // A shell starts what it does not wait for with SIGINT ignored, which is inherited.
        let heed = || {
            // SAFETY: sets a disposition, and no handler.
            unsafe { libc::signal(libc::SIGINT, libc::SIG_DFL) };
            Ok(())
        };
        // SAFETY: between fork and exec it makes one system call.
        unsafe { std::os::unix::process::CommandExt::pre_exec(&mut command, heed) };
        let mut child = command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let stdout = read_until(stdout, "the test is ready", |lines| lines.contains("ready"));
        let [server] = children(child.id())[..] else { panic!("not one server") };
        // The others are spares, if there are any, whose bodies have started nothing.
        let has_begun = |init: &u32| children(*init).iter().any(|&body| !children(body).is_empty());
        let inits: Vec<u32> = children(server).into_iter().filter(has_begun).collect();
        let [init] = inits[..] else { panic!("not one init") };
        let mut pids = vec![child.id(), server];
        collect(init, &mut pids);
        assert!(pids.len() >= 6, "{pids:?}");
        let processes = pids.into_iter().map(Process::open).collect();
        let ready = ticks_since_boot();
        Self { child, server, init, processes, ready, _stdout: stdout }
    }

    fn runner(&self) -> u32 {
        self.child.id()
    }

    fn is_gone(&self) {
        for process in &self.processes {
            process.ends();
        }
        self.namespaces_are_gone();
    }

    fn is_gone_but_for_the_runner(&self) {
        for process in &self.processes[1..] {
            process.ends();
        }
        self.namespaces_are_gone();
    }

    /// No process is in a namespace of the test, and no mount keeps one.
    fn namespaces_are_gone(&self) {
        let theirs: BTreeSet<_> =
            self.processes[2..].iter().filter_map(|process| process.network.clone()).collect();
        assert_eq!(theirs.len(), 1, "{theirs:?}");
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            // A sandbox of another test may have got the number of the network since.
            if started(&entry.path()).is_none_or(|start| start > self.ready) {
                continue;
            }
            if let Ok(network) = fs::read_link(entry.path().join("ns/net")) {
                assert!(!theirs.contains(&network), "{} holds {network:?}", entry.path().display());
            }
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        for network in theirs {
            assert!(!mounts.contains(network.to_str().unwrap()), "{mounts}");
        }
    }
}

/// Clock ticks since the boot, of which a second has 100 (`USER_HZ`).
fn ticks_since_boot() -> u64 {
    let uptime = fs::read_to_string("/proc/uptime").unwrap();
    let seconds: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
    (seconds * 100.0).ceil() as u64
}

/// Returns when a process was started (field 22 of `stat`, proc(5)).
fn started(process: &std::path::Path) -> Option<u64> {
    let stat = fs::read_to_string(process.join("stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

fn collect(pid: u32, pids: &mut Vec<u32>) {
    pids.push(pid);
    for child in children(pid) {
        collect(child, pids);
    }
}

/// A process that is watched.
struct Process {
    pid: u32,
    watch: OwnedFd,
    network: Option<std::path::PathBuf>,
}

impl Process {
    fn open(pid: u32) -> Self {
        // SAFETY: makes a descriptor.
        let raw = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        assert!(raw >= 0, "pidfd_open: {}", std::io::Error::last_os_error());
        // SAFETY: just made.
        let watch = unsafe { OwnedFd::from_raw_fd(raw.try_into().unwrap()) };
        // Init is closed to an ordinary user; its body is in the same namespace.
        let network = fs::read_link(format!("/proc/{pid}/ns/net")).ok();
        Self { pid, watch, network }
    }

    /// Waits for its end.
    fn ends(&self) {
        let mut poll =
            libc::pollfd { fd: self.watch.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one entry, which lives through the call.
        let ready =
            unsafe { libc::poll(&raw mut poll, 1, PATIENCE.as_millis().try_into().unwrap()) };
        assert_eq!(ready, 1, "process {} is still there", self.pid);
    }
}

fn kill(pid: u32, signal: i32) {
    // SAFETY: sends a signal to a process that this test has started.
    assert_eq!(unsafe { libc::kill(pid.try_into().unwrap(), signal) }, 0);
}

fn kill_group(leader: u32, signal: i32) {
    // SAFETY: sends a signal to a group that this test has started.
    assert_eq!(unsafe { libc::killpg(leader.try_into().unwrap(), signal) }, 0);
}
