//! Spares, the sandboxes that are made before a test asks for one: how many there are, that no test
//! can tell one, and what happens when one is lost, or none can be made.
//!
//! A test here starts this program again, for one ignored test, which plays the runner: it calls
//! isolated tests and looks at the children of its fork server, which are spares when no test runs.

mod count;
mod equivalence;
mod faults;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use netns_test::netns_test;
use netns_test_tests::{LIMIT, again, children, eventually, fork_server, passes, scratch};

/// A run of the ignored test `name`, which passes.
fn plays(name: &str, around: &[&str], spares: &str) {
    let directory = scratch(name);
    let mut run = again(around, &["--exact", name]);
    passes(run.env("SCRATCH", &directory).env("NETNS_TEST_SPARES", spares), 1);
    fs::remove_dir_all(directory).unwrap();
}

/// A file that runner and bodies of a run know.
fn shared(name: &str) -> PathBuf {
    PathBuf::from(std::env::var_os("SCRATCH").expect("it is run by another test")).join(name)
}

/// Runs a test; the id of its sandbox's init, as the runner sees it, when that has gone.
fn run() -> u32 {
    says_its_id();
    let init = read("id").parse().unwrap();
    wait_until("the test's own", |inits| !inits.contains(&init));
    init
}

fn read(name: &str) -> String {
    fs::read_to_string(shared(name)).unwrap()
}

/// A body has the id that its init has outside.
#[netns_test]
#[ignore = "run by the runners of this file"]
fn says_its_id() {
    fs::write(shared("id"), std::process::id().to_string()).unwrap();
}

/// The spares, when there are so many.
///
/// Whatever is mounted on the machine, or comes into its `/run`, costs a server its spares, and after
/// that it makes none for some requests. So there are requests while there are not enough and no more
/// come: each request takes one, and a machine may be slow to make them.
fn wait_for(count: usize) -> Vec<u32> {
    let (mut since, mut before) = (Instant::now(), 0);
    eventually(2 * LIMIT, &format!("there are {count} spares"), || {
        let spares = children(fork_server());
        if spares.len() == count {
            return Ok(spares);
        }
        if spares.len() != before {
            (since, before) = (Instant::now(), spares.len());
        } else if since.elapsed() > Duration::from_secs(2) {
            run();
            (since, before) = (Instant::now(), 0);
        }
        Err(spares)
    })
}

/// Tries until a spare is used; its number.
fn run_in_a_spare(count: usize) -> u32 {
    eventually(2 * LIMIT, "a test runs in a spare", || {
        let spares = wait_for(count);
        let init = run();
        if spares.contains(&init) { Ok(init) } else { Err((init, spares)) }
    })
}

/// The children of the server, when they are as `is_right` says.
fn wait_until(what: &str, is_right: impl Fn(&[u32]) -> bool) -> Vec<u32> {
    eventually(2 * LIMIT, what, || {
        let inits = children(fork_server());
        if is_right(&inits) { Ok(inits) } else { Err(inits) }
    })
}

fn signal(pid: u32, number: i32) {
    // SAFETY: sends a signal to a process of this run's server.
    assert_eq!(unsafe { libc::kill(pid.try_into().unwrap(), number) }, 0);
}

/// The program and arguments that give a run namespaces in which it is root.
fn unshare(namespaces: &'static str) -> [&'static str; 2] {
    ["unshare", namespaces]
}

/// Runs a program that must not fail.
fn succeeds(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", netns_test_tests::text(&output));
}
