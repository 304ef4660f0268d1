//! How programs end, and that nothing outlives them. A process that holds a pipe's end keeps
//! its reader waiting: the end of the stream is the event that is waited for.

use std::io::{BufRead, BufReader, Read, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Stdio};

use netns_test::{Sandbox, SandboxChild, SandboxUser};
use netns_test_tests::{LIMIT, again, eventually, read_until};

/// Starts a daemon, which has a session of its own, holds stdout and ignores what can be ignored;
/// then says so and waits.
const WITH_DAEMON: &str = "trap '' TERM HUP INT
    setsid sh -c 'echo daemon; while :; do sleep 1000; done' & echo ready; ";

fn start(script: &str) -> SandboxChild {
    let mut command = Sandbox::new().command("sh");
    command.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
}

/// Reads two lines, that of the program and that of its daemon; returns the rest of the stream.
fn ready(stdout: impl Read) -> impl Read {
    let mut stdout = BufReader::new(stdout);
    let mut lines = [String::new(), String::new()];
    for line in &mut lines {
        stdout.read_line(line).unwrap();
    }
    lines.sort();
    assert_eq!(lines, ["daemon\n", "ready\n"]);
    stdout
}

/// Reads until the program and its daemon run, and returns the rest.
fn has_begun<R: BufRead + Send + 'static>(stdout: R) -> R {
    read_until(stdout, "the program and its daemon run", |lines| {
        lines.contains("daemon\n") && lines.contains("ready\n")
    })
}

fn ends(mut stream: impl Read) {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"");
}

#[test]
fn what_a_program_leaves_ends_with_it() {
    let mut child = start(&format!("{WITH_DAEMON} read line; exit 5"));
    let rest = ready(child.stdout.take().unwrap());
    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(5));
    ends(rest);
}

#[test]
fn a_kill_takes_all_of_it() {
    let mut child = start(&format!("{WITH_DAEMON} while :; do sleep 1000; done"));
    let rest = ready(child.stdout.take().unwrap());
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
    ends(rest);
    // As for the standard library's.
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
}

#[test]
fn the_end_of_the_monitor_is_the_end_of_all() {
    let mut child = start(&format!("{WITH_DAEMON} while :; do sleep 1000; done"));
    let rest = ready(child.stdout.take().unwrap());
    send(child.id(), libc::SIGKILL);
    assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
    ends(rest);
}

#[test]
fn signals_reach_the_program() {
    let script = "trap 'echo got it; exit 9' USR1; echo ready; while :; do sleep 0.01; done";
    let mut child = start(script);
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    send(child.id(), libc::SIGUSR1);
    assert_eq!(child.wait().unwrap().code(), Some(9));
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\ngot it\n");
    let mut child = start("exec sleep 1000");
    send(child.id(), libc::SIGTERM);
    assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGTERM));
}

#[test]
fn a_program_can_neither_end_nor_stop_its_init() {
    let script = "for signal in KILL STOP TERM ABRT SEGV; do kill -$signal 1; done; echo $$";
    let mut command = Sandbox::new().command("sh");
    assert_eq!(super::stdout_of(command.args(["-c", script])), "2\n");
}

/// `kill(0, …)` reaches who is in the same process group, whatever PID namespace that is in.
#[test]
fn a_program_cannot_signal_its_callers_group() {
    let script =
        "trap 'echo reached; exit 1' TERM; \"$@\" --exact lifetime::kills_its_group; echo $?";
    let own = std::env::current_exe().unwrap();
    let mut group = std::process::Command::new("setsid");
    group.args(["--wait", "sh", "-c", script, "sh"]).arg(own).args(["--ignored", "--nocapture"]);
    let output = group.output().unwrap();
    let text = netns_test_tests::text(&output);
    assert!(text.contains("test result: ok. 1 passed") && text.ends_with("\n0\n"), "{text}");
    assert!(!text.contains("reached"), "{text}");
}

#[test]
#[ignore = "run by a_program_cannot_signal_its_callers_group"]
fn kills_its_group() {
    let mut command = Sandbox::new().command("sh");
    let status = command.args(["-c", "trap 'exit 7' TERM; kill -TERM 0; sleep 1000"]).status();
    assert_eq!(status.unwrap().code(), Some(7));
    // It has a session of its own, and no terminal.
    let mut command = Sandbox::new().command("sh");
    let message = super::stdout_of(command.args(["-c", "cut -d' ' -f5,6,7 /proc/self/stat"]));
    assert_eq!(message, "1 1 0\n");
    let shared = Sandbox::new().share_terminal();
    let message = super::stdout_of(shared.command("cut").args(["-d ", "-f5,6", "/proc/self/stat"]));
    assert_eq!(message, "0 0\n");
}

/// The monitor, which ends the program, is stopped.
#[test]
fn a_stopped_monitor_obeys_a_kill() {
    let mut child = start(&format!("{WITH_DAEMON} while :; do sleep 1000; done"));
    let rest = ready(child.stdout.take().unwrap());
    send(child.id(), libc::SIGSTOP);
    is_stopped(child.id());
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
    ends(rest);
}

#[test]
fn a_program_ends_with_its_caller_though_the_monitor_is_stopped() {
    let mut caller = caller(&[]);
    let stdout = has_begun(BufReader::new(caller.stdout.take().unwrap()));
    let is_monitor = |pid: &u32| {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm"));
        name.is_ok_and(|name| name == "sandbox monitor\n")
    };
    let monitor = eventually(LIMIT, "the monitor has its name", || {
        netns_test_tests::children(caller.id()).into_iter().find(is_monitor)
    });
    send(monitor, libc::SIGSTOP);
    is_stopped(monitor);
    send(caller.id(), libc::SIGKILL);
    caller.wait().unwrap();
    ends(stdout);
    send(monitor, libc::SIGCONT);
}

fn is_stopped(pid: u32) {
    let state = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    eventually(LIMIT, "the process is stopped", || state().contains(") T "));
}

/// Init's files in `/proc` lead to the caller's memory and to the pipe of the exit status.
#[test]
fn a_program_cannot_look_into_its_init() {
    for user in [SandboxUser::Caller, SandboxUser::Root] {
        let mut command = Sandbox::new().user(user).command("sh");
        let script = "for file in mem environ maps fd/0 root; do
            head -c 1 /proc/1/$file >/dev/null 2>&1 && echo $file; done;
            test -r /proc/self/maps && head -c 1 /proc/self/environ >/dev/null && echo own";
        assert_eq!(super::stdout_of(command.args(["-c", script])), "own\n");
    }
}

/// A thread is not the process: what it has started goes on.
#[test]
fn a_program_goes_on_when_the_thread_that_started_it_ends() {
    let mut child =
        std::thread::spawn(|| start("echo ready; read line; echo $line")).join().unwrap();
    child.stdin.as_mut().unwrap().write_all(b"still here\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.stdout, b"ready\nstill here\n");
}

#[test]
fn a_child_that_is_dropped_goes_on() {
    let mut child = start("read line; echo $line");
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    drop(child);
    stdin.write_all(b"still here\n").unwrap();
    let mut all = String::new();
    stdout.read_to_string(&mut all).unwrap();
    assert_eq!(all, "still here\n");
}

/// A process that has started a program, and waits.
fn caller(around: &[&str]) -> Child {
    let mut caller = again(around, &["--exact", "lifetime::starts_a_daemon", "--nocapture"]);
    caller.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
#[ignore = "run by a_program_ends_with_its_caller and others"]
fn starts_a_daemon() {
    let script = format!("{WITH_DAEMON} while :; do sleep 1000; done");
    let mut command = Sandbox::new().command("sh");
    let mut child = command.args(["-c", &script]).spawn().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_program_ends_with_its_caller() {
    for signal in [libc::SIGKILL, libc::SIGTERM] {
        let mut caller = caller(&[]);
        let stdout = has_begun(BufReader::new(caller.stdout.take().unwrap()));
        send(caller.id(), signal);
        caller.wait().unwrap();
        ends(stdout);
    }
}

/// The kernel reaps children of a process that ignores SIGCHLD, and keeps no exit status.
#[test]
fn a_caller_that_ignores_sigchld_gets_exit_statuses() {
    let name = "lifetime::in_a_caller_that_ignores_its_children";
    let ignoring = ["env", "--ignore-signal=CHLD"];
    let mut run = again(&ignoring, &["--exact", name]);
    netns_test_tests::passes(&mut run, 1);
}

#[test]
#[ignore = "run by a_caller_that_ignores_sigchld_gets_exit_statuses"]
fn in_a_caller_that_ignores_its_children() {
    let arguments = ["-c", "grep SigIgn /proc/self/status; exit 3"];
    let mut outside = super::commands::forked("sh");
    let mut outside = outside.args(arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut inside = Sandbox::new().command("sh");
    let mut inside = inside.args(arguments).stdout(Stdio::piped()).spawn().unwrap();
    let read = |stdout: &mut Option<std::process::ChildStdout>| {
        let mut all = String::new();
        stdout.as_mut().unwrap().read_to_string(&mut all).unwrap();
        all
    };
    let (outside_text, inside_text) = (read(&mut outside.stdout), read(&mut inside.stdout));
    assert!(outside_text.contains("SigIgn"), "{outside_text}");
    assert_eq!(inside_text, outside_text);
    // A refused step is an error, not a panic of the standard library's.
    let refused = Sandbox::new().tmpfs("/no/such/place").command("true").status().unwrap_err();
    assert!(refused.to_string().starts_with("openat2 tmpfs on /no/such/place: ENOENT"));
    // The kernel has reaped them.
    for ended in [outside.wait(), inside.wait()] {
        assert_eq!(ended.unwrap_err().raw_os_error(), Some(libc::ECHILD));
    }
}

fn send(pid: u32, signal: i32) {
    // SAFETY: sends a signal to a child that has not been reaped.
    let result = unsafe { libc::kill(pid.try_into().unwrap(), signal) };
    assert_eq!(result, 0);
}
