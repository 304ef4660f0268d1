//! No program outlives its lab. A process that holds a stream's end keeps its reader waiting:
//! the end of the stream is the event that is waited for.

use std::io::{BufReader, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Stdio;

use netns_test::lab::WAIT_LIMIT;
use netns_test::{Topology, netns_test};
use netns_test_tests::confine::{Filter, filter_this_thread};
use netns_test_tests::{LIMIT, Said as _, again, children, eventually, passes, read_until};

use super::two_hosts;

/// A program that ignores what can be ignored, and leaves a daemon that does so, too.
const STUBBORN: &str = "trap '' TERM HUP INT
    (setsid sh -c 'echo daemon >&2; while :; do sleep 1000; done' &)
    echo ready >&2; while :; do sleep 1000; done";

#[netns_test]
fn a_daemon_ends_with_the_lab() {
    let (lab, _, server) = two_hosts();
    let (mut held, stdout) = UnixStream::pair().unwrap();
    let mut command = lab[server].command("sh");
    let child = command.args(["-c", STUBBORN]).stdout(OwnedFd::from(stdout)).spawn().unwrap();
    drop(command);
    child.wait(WAIT_LIMIT).line(|line| line == "daemon").unwrap();
    child.wait(WAIT_LIMIT).line(|line| line == "ready").unwrap();
    child.terminate().unwrap();
    drop(lab);
    assert_eq!(held.read(&mut [0]).unwrap(), 0);
    assert_eq!(child.wait(WAIT_LIMIT).exit().unwrap().to_string(), "signal: 9 (SIGKILL)");
    let left = children(std::process::id());
    assert!(left.is_empty(), "{left:?}");
}

#[netns_test]
fn forgotten_programs_are_reaped_with_the_lab() {
    let (lab, client, server) = two_hosts();
    for number in 0..20 {
        let mut command = lab[if number % 2 == 0 { client } else { server }].command("sleep");
        std::mem::forget(command.arg(if number < 10 { "0" } else { "1000" }).spawn().unwrap());
    }
    let threads = || {
        let all = std::fs::read_dir("/proc/self/task").unwrap().flatten();
        let names = all.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
        names.filter(|name| name.starts_with("lab ")).count()
    };
    assert_eq!(threads(), 3, "one starts, one reads, one prints");
    drop(lab);
    // A thread that was joined is listed for a moment longer.
    eventually(LIMIT, "no thread of the lab is listed", || threads() == 0);
    let left = children(std::process::id());
    assert!(left.is_empty(), "{left:?}");
}

#[netns_test]
fn a_program_on_the_callers_own_host_ends_with_the_lab() {
    let mut net = Topology::new();
    let (own, other) = (net.local(), net.host("other"));
    net.link(own, other);
    let lab = net.build().unwrap();
    let (mut held, stdout) = UnixStream::pair().unwrap();
    let mut command = lab[own].command("sh");
    let script = "hostname >&2; exec sleep 1000";
    // The first program of the lab, started by a thread of another host.
    let start = || command.args(["-c", script]).stdout(OwnedFd::from(stdout)).spawn().unwrap();
    let child = lab[other].run(start);
    drop(command);
    let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    child.wait(WAIT_LIMIT).line(|line| line == hostname.trim()).unwrap();
    drop(lab);
    assert_eq!(held.read(&mut [0]).unwrap(), 0);
}

#[netns_test]
fn a_program_outlives_the_thread_that_started_it() {
    let (lab, client, _) = two_hosts();
    let start = || {
        let mut command = lab[client].command("sh");
        command.args(["-c", "read line; echo $line"]).stdin(Stdio::piped()).spawn().unwrap()
    };
    let mut child = std::thread::scope(|scope| scope.spawn(start).join().unwrap());
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), b"still here\n").unwrap();
    assert!(child.wait(WAIT_LIMIT).exit().unwrap().success());
    assert_eq!(child.lines(), ["still here"]);
}

#[netns_test]
fn a_program_that_writes_without_end_does_not_keep_the_lab() {
    let (lab, client, _) = two_hosts();
    let child = lab[client].command("sh").args(["-c", "tr -d '\\n' </dev/zero"]).spawn().unwrap();
    child.wait(WAIT_LIMIT).line(|line| line.len() > 60_000).unwrap();
    let kept: usize = child.lines().iter().map(String::len).sum();
    assert!(kept <= 1 << 20, "{kept} bytes are kept");
    drop((lab, child));
}

/// A thread of the test that has been on a host since before a power cut, also of one that is on
/// again.
#[netns_test]
fn what_starts_on_a_host_without_power_ends_with_the_lab() {
    let (lab, _, server) = two_hosts();
    let (mut held, stdout) = UnixStream::pair().unwrap();
    held.set_read_timeout(Some(crate::net::PATIENCE)).unwrap();
    let (go, goes) = std::sync::mpsc::channel::<()>();
    let thread = lab[server].spawn_thread(move || {
        goes.recv().unwrap();
        let mut command = std::process::Command::new("sleep");
        command.arg("1000").stdout(OwnedFd::from(stdout)).spawn().unwrap()
    });
    lab.power_off(server).unwrap();
    lab.power_on(server).unwrap();
    go.send(()).unwrap();
    let mut child = thread.join().unwrap();
    // Nothing but the program is there then.
    lab.power_off(server).unwrap();
    assert_eq!(child.try_wait().unwrap(), None);
    drop(lab);
    assert_eq!(held.read(&mut [0]).unwrap(), 0);
    assert_eq!(child.wait().unwrap().to_string(), "signal: 9 (SIGKILL)");
}

/// Its networks go with what is in them.
#[netns_test]
fn power_cycles_leave_no_descriptors() {
    let (lab, _, server) = two_hosts();
    let count = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let cycle = || {
        lab.power_off(server).unwrap();
        lab.power_on(server).unwrap();
    };
    cycle();
    let before = count();
    (0..5).for_each(|_| cycle());
    assert_eq!(count(), before);
}

/// No test is to pass beside what is left.
#[netns_test]
fn a_program_that_cannot_be_killed_is_named() {
    let (lab, _, server) = two_hosts();
    let script = "sleep 1000 >/dev/null 2>&1 & echo $!";
    let output = lab[server].command("sh").args(["-c", script]).stdout(Stdio::piped()).output();
    let output = String::from_utf8(output.unwrap().stdout).unwrap();
    let expected = format!(
        "kill all processes on a node: {} (sleep) still running after 10 seconds: \
         EPERM (Operation not permitted)",
        output.trim()
    );
    let work = || {
        filter_this_thread(Filter::Call(libc::SYS_kill, libc::EPERM)).unwrap();
        let message = lab.power_off(server).unwrap_err();
        assert_eq!(message.said(), expected);
        assert!(!lab[server].is_on());
        let drop = std::panic::AssertUnwindSafe(|| drop(lab));
        let panic = std::panic::catch_unwind(drop).unwrap_err();
        assert_eq!(*panic.downcast::<String>().unwrap(), format!("end of the lab: {expected}"));
    };
    std::thread::scope(|scope| scope.spawn(work).join().unwrap());
}

/// Not a body of the harness: what ends its programs is the lab alone.
#[test]
#[ignore = "run by the tests below"]
fn plain_caller() {
    let (lab, client, server) = two_hosts();
    lab[client].wait(WAIT_LIMIT).reachable(&lab[server]).unwrap();
    let output = lab[server].command("hostname").output().unwrap();
    assert_eq!(output.stdout, b"server\n");
    let mut forever = lab[server].command("sh");
    forever.args(["-c", "echo started; exec sleep 1000"]).stdout(Stdio::inherit());
    let child = forever.spawn().unwrap();
    // Until it is killed, if it is to be.
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    drop(lab);
    assert!(!child.wait(WAIT_LIMIT).exit().unwrap().success());
}

const UNSHARE: [&str; 2] = ["unshare", "-Urn"];
const PLAIN: [&str; 3] = ["--exact", "program_lifetime::plain_caller", "--nocapture"];

#[test]
fn a_plain_caller_needs_no_harness() {
    passes(again(&UNSHARE, &PLAIN).stdin(Stdio::null()), 1);
}

#[test]
fn a_caller_that_is_killed_leaves_no_program() {
    let mut command = again(&UNSHARE, &PLAIN);
    let mut caller = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let stdout = BufReader::new(caller.stdout.take().unwrap());
    let mut stdout =
        read_until(stdout, "the program is started", |lines| lines.ends_with("started\n"));
    caller.kill().unwrap();
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
    caller.wait().unwrap();
}
