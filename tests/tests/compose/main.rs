//! The attribute together with the compiler's attributes, with its own options and with other
//! test attributes, in real use.
//!
//! Every body calls [`proof::isolated`], which passes in a sandbox, and once in each. A test
//! that is lost, or registered twice, does not show in a run; so the tests of this file run all
//! the others and compare every line of the runner's list, and every proof, with
//! `compose/expected.rs`.

mod attributes;
mod bodies;
mod expected;
mod options;
mod places;
mod proof;
mod with_others;
mod with_rstest;
mod with_test;
mod with_test_case;
mod with_tokio_test;

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// The process in which a macro's code has called [`set_up`].
static SET_UP: AtomicU32 = AtomicU32::new(0);

/// Statement that attributes of the crate `attributes` add to a body.
fn set_up() {
    let before = SET_UP.swap(std::process::id(), Ordering::Relaxed);
    assert_eq!(before, 0, "set up in process {before} already");
}

/// A test without a module.
#[netns_test::netns_test]
fn at_the_root() {
    proof::isolated();
}

#[test]
fn each_test_is_registered_once_and_its_body_runs_once() {
    check(&[], &expected::lines());
}

#[test]
fn each_ignored_test_runs_if_asked_for() {
    let ignored = expected::lines().into_iter().filter_map(|line| {
        let (name, reason) = line.split_once(" ... ignored")?;
        let verdict = if reason.starts_with(", fails") { "FAILED" } else { "ok" };
        // Of an ignored test the runner does not say that it should panic.
        let name = name.replace("with_attributes_around", "with_attributes_around - should panic");
        Some(format!("{name} ... {verdict}"))
    });
    check(&["--ignored"], &ignored.collect::<Vec<_>>());
}

/// Runs the tests beside those of this file, and compares the runner's lines, and that each of
/// the bodies that were to run has left its proof, once.
fn check(arguments: &[&str], expected: &[String]) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["::", "at_the_root", "--show-output"])
        .args(arguments)
        // Set if whoever started this test wants the outer run to look so.
        .env_remove("RUST_TEST_NOCAPTURE")
        .env_remove("RUST_TEST_SHUFFLE")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("test ").filter(|line| line.contains(" ... ")))
        .collect();
    lines.sort_unstable();
    let mut expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    expected.sort_unstable();
    assert_eq!(lines, expected, "{text}");

    let mut proofs = proofs(&text);
    proofs.sort_unstable();
    let mut ran: Vec<&str> = expected.iter().filter_map(|line| name_if_run(line)).collect();
    ran.sort_unstable();
    let ran: Vec<_> = ran.into_iter().map(|name| (name, name)).collect();
    assert_eq!(proofs, ran, "{text}");
}

fn name_if_run(line: &str) -> Option<&str> {
    let (name, verdict) = line.split_once(" ... ")?;
    let has_run = !verdict.starts_with("ignored");
    has_run.then(|| name.trim_end_matches(" - should panic"))
}

/// Every proof: whose output it is in, and which test it names.
fn proofs(text: &str) -> Vec<(&str, &str)> {
    let mut whose = "";
    let mut proofs = Vec::new();
    for line in text.lines() {
        if let Some(head) = line.strip_prefix("---- ") {
            whose = head.trim_end_matches(" stdout ----");
        } else if let Some(name) = line.strip_prefix("ran ") {
            proofs.push((whose, name));
        }
    }
    proofs
}
