//! Stacks of a test whose time is over: by the debugger of this machine, and by debuggers that
//! hang, fail or print what no debugger does.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use netns_test_tests::{left_out, scratch};

use super::{bundle, failing, files};

const FIXTURE: &str = "waits_in_a_function";

/// Runs until the debugger was fast enough, on a machine that may be busy.
const RUNS: usize = 4;

/// Makes a debugger that is a script.
fn debugger(name: &str, script: &str) -> PathBuf {
    let place = scratch(name);
    let program = place.join("gdb");
    fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    place
}

/// Runs the fixture with these directories in `PATH`. Returns what is printed, and the files.
fn run(path: &str, stacks: &str) -> (String, Vec<String>, String) {
    let out = scratch("stacks");
    let place = out.to_str().unwrap();
    let variables = [("NETNS_TEST_OUT", place), ("PATH", path), ("NETNS_TEST_STACKS", stacks)];
    let printed = failing(FIXTURE, &variables);
    let bundle = bundle(&out, FIXTURE, "attempt-1");
    let text = fs::read_to_string(bundle.join("stacks.txt")).unwrap_or_default();
    let found = files(&bundle);
    fs::remove_dir_all(out).unwrap();
    // The verdict is the same whatever a debugger does.
    assert!(printed.contains("did not end within its timeout of 1s"), "{printed}");
    assert!(
        printed.contains("TIMED OUT after") && printed.contains("the test's thread"),
        "{printed}"
    );
    assert!(!printed.contains("also running"), "{printed}");
    (printed, found, text)
}

fn run_with(script: &str) -> (String, String) {
    let place = debugger("fake", script);
    let (printed, _, text) = run(place.to_str().unwrap(), "auto");
    fs::remove_dir_all(place).unwrap();
    (printed, text)
}

#[test]
fn the_functions_of_the_user_are_beside_their_threads() {
    let path = std::env::var("PATH").unwrap_or_default();
    let has =
        |name: &str| path.split(':').any(|directory| Path::new(directory).join(name).exists());
    if !has("gdb") && !has("eu-stack") {
        return left_out("stacks of threads", "neither eu-stack nor gdb is in PATH");
    }
    for left in (0..RUNS).rev() {
        let (printed, _, text) = run(&path, "auto");
        if text.contains("was not done after") && left > 0 {
            continue;
        }
        let rows: Vec<&str> = printed.lines().map(str::trim_start).collect();
        let after = |start: &str| {
            let at = rows.iter().position(|row| row.starts_with(start));
            at.map_or("", |at| rows[at + 1])
        };
        let of_test = after("the test's thread (tid ");
        assert!(
            of_test.starts_with("in report::fixtures::waits_for_the_reply"),
            "{printed}\n{text}"
        );
        let of_worker = after("thread worker (tid ");
        assert!(of_worker.starts_with("in report::fixtures::waits_for_work"), "{printed}\n{text}");
        // Debug information that has lines only has no paths of functions that are nested.
        let outer = ["in report::fixtures::waits_in_a_function", "in waits_in_a_function"];
        let outer = rows.iter().filter(|row| outer.iter().any(|outer| row.starts_with(outer)));
        assert_eq!(outer.count(), 1, "{printed}");
        let frames: Vec<&&str> = rows.iter().filter(|row| row.starts_with("in ")).collect();
        assert_eq!(frames.len(), 3, "{printed}\n{text}");
        return;
    }
}

#[test]
fn a_debugger_that_hangs_is_killed() {
    let (printed, text) = run_with("echo 'Thread 1 (LWP 2):'; exec /bin/sleep 1000");
    let said = "could not be read: the stacks of the threads, by gdb: it was not done after";
    assert!(printed.contains(said), "{printed}");
    assert!(text.contains("Thread 1 (LWP 2):") && text.contains(", and was killed"), "{text}");
}

#[test]
fn a_debugger_that_is_refused_says_so() {
    let (printed, _) = run_with("echo a; echo 'ptrace: Operation not permitted.' >&2; exit 1");
    let said = "the stacks of the threads, by gdb: ptrace: Operation not permitted.";
    assert!(printed.contains(said), "{printed}");
    let (printed, _) = run_with("kill -9 $$");
    assert!(printed.contains("by gdb: it has printed nothing"), "{printed}");
}

#[test]
fn nothing_that_a_debugger_prints_reaches_the_terminal() {
    let script = r#"for word; do [ "$before" = -p ] && pid=$word; before=$word; done
    for thread in /proc/$pid/task/*; do
        echo "Thread 1 (LWP ${thread##*/}):"
        printf '#0  0x1 in shop::a\033[31mred\r () at \033]0;title\007.rs:7\n#1 \302\233 b::c\n'
    done"#;
    let (printed, text) = run_with(script);
    let start = printed.find("waits_in_a_function TIMED OUT").unwrap();
    let report = &printed[start..];
    assert!(report.contains("in shop::a\\x1b[31mred\\r"), "{report}");
    let is_unsafe = |letter: char| letter.is_control() && letter != '\n';
    assert!(!report.contains(is_unsafe) && !text.contains(is_unsafe), "{report:?} {text:?}");
    let (_, text) = run_with("while echo '#0  0x1 in x::y ()'; do :; done");
    assert!(text.len() < 600_000, "{}", text.len());
}

#[test]
fn without_a_debugger_nothing_is_said_about_it() {
    let place = debugger("none", "echo 'Thread 1 (LWP 2):'");
    let with = place.to_str().unwrap();
    for (path, stacks) in [("/dev", "auto"), ("", "auto"), (with, "off")] {
        let (printed, found, _) = run(path, stacks);
        assert!(!printed.contains("stacks of the threads"), "{printed}");
        assert!(!found.contains(&"stacks.txt".to_owned()), "{found:?}");
    }
    fs::remove_dir_all(place).unwrap();
}
