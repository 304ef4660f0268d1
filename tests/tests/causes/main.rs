//! Causes of failures: tests that fail as users' tests do, and what the report says of them.
//!
//! One ignored test stands for all of them: an environment variable selects the case. A case that
//! is named `near_…` must not get the cause that it looks like.

mod ends;
mod local;
mod paths;
mod queues;
mod servers;
mod times;

use std::process::Command;
use std::sync::Mutex;

use netns_test::netns_test;
use netns_test_tests::again;

/// Variable with the name of the case.
const CASE: &str = "NETNS_TEST_CASE";

/// Number of cases that run at once.
const AT_ONCE: usize = 4;

/// Name of a case, what it does, and what is expected of its report: `certain: text` or
/// `likely: text` of the first cause, or `first: text` of either, `also: text` of any, `not: text`
/// for words that no cause has. `proven: text` is certain where the source can be read, else
/// likely.
type Case = (&'static str, fn(), &'static [&'static str]);

/// Lists all cases.
fn cases() -> impl Iterator<Item = &'static Case> {
    [servers::CASES, paths::CASES, queues::CASES, ends::CASES, local::CASES].into_iter().flatten()
}

fn selected() -> String {
    std::env::var(CASE).expect("the name of a case")
}

fn fail() {
    let name = selected();
    let (_, case, _) = cases().find(|(known, ..)| *known == name).expect("a case of this name");
    case();
}

/// Fails as the selected case.
#[netns_test]
#[ignore = "run by the tests of this binary"]
fn case() {
    fail();
}

/// Fails as the selected case, which returns an error.
#[netns_test]
#[ignore = "run by the tests of this binary"]
fn returning_case() -> std::io::Result<()> {
    servers::fail_by_error(&selected())
}

/// Does the same with a short time limit.
#[netns_test(timeout = "1s")]
#[ignore = "run by the tests of this binary"]
fn slow_case() {
    times::fail(&selected());
}

/// Does the same in an async test.
#[netns_test(timeout = "1s")]
#[ignore = "run by the tests of this binary"]
async fn async_case() {
    times::fail_async(&selected()).await;
}

#[test]
fn panics_are_explained() {
    check("case", cases().map(|(name, _, expected)| (*name, *expected)));
}

#[test]
fn errors_that_are_returned_are_explained() {
    check("returning_case", servers::RETURNED.iter().map(|(name, expected)| (*name, *expected)));
}

#[test]
fn time_limits_are_explained() {
    check("slow_case", times::CASES.iter().map(|(name, _, expected)| (*name, *expected)));
}

#[test]
fn time_limits_of_async_tests_are_explained() {
    check("async_case", times::ASYNC.iter().map(|(name, expected)| (*name, *expected)));
}

/// Runs the test `test` for each case, and compares the causes in its report.
fn check(test: &str, cases: impl Iterator<Item = (&'static str, &'static [&'static str])> + Send) {
    let only = std::env::var("NETNS_TEST_ONLY").unwrap_or_default();
    let has_nft = Command::new("nft").arg("--version").output().is_ok();
    let is_meant = |name: &str| name.contains(&only) && (has_nft || !name.starts_with("nft_"));
    let left = Mutex::new(cases.filter(|(name, _)| is_meant(name)));
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    // The lock must not be held while the case runs.
                    let next = left.lock().unwrap().next();
                    let Some((name, expected)) = next else { return };
                    let report = report(test, name);
                    let causes = causes(&report);
                    let has_source = report.lines().any(|line| line.starts_with(">  "));
                    let is_met = |expected: &str| match expected.strip_prefix("proven: ") {
                        Some(text) if has_source => is_met(&format!("certain: {text}"), &causes),
                        Some(text) => is_met(&format!("likely: {text}"), &causes),
                        None => is_met(expected, &causes),
                    };
                    let misses = expected.iter().filter(|expected| !is_met(expected));
                    let misses = misses.map(|miss| format!("{name}: {miss}\n--- in\n{report}"));
                    wrong.lock().unwrap().extend(misses);
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} misses\n{}", wrong.len(), wrong.join("\n"));
}

/// Runs a case, which must fail, and returns what it has printed.
fn report(test: &str, name: &str) -> String {
    let mut command: Command = again(&[], &["--exact", test]);
    command.env(CASE, name).env("NETNS_TEST_KEEP", "none").env("NETNS_TEST_REPORT", "full");
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!output.status.success(), "{name} has passed: {text}");
    text
}

/// Returns the causes of a report, the best first, each as `certain): text` or `likely): text`.
fn causes(report: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut goes_on = false;
    for line in report.lines() {
        if let Some(cause) = line.strip_prefix("Cause (") {
            found.push(cause.to_owned());
            goes_on = true;
        } else if let Some(rest) = line.strip_prefix("       ").filter(|_| goes_on) {
            let last = found.last_mut().expect("a cause");
            last.push(' ');
            last.push_str(rest);
        } else {
            goes_on = false;
        }
    }
    found
}

fn is_met(expected: &str, causes: &[String]) -> bool {
    let (kind, text) = expected.split_once(": ").expect("a kind and a text");
    let has = |cause: &String, kind: &str| {
        cause.strip_prefix(kind).is_some_and(|rest| rest.starts_with(')') && rest.contains(text))
    };
    match kind {
        "not" => !causes.iter().any(|cause| cause.contains(text)),
        "first" => causes.first().is_some_and(|cause| cause.contains(text)),
        "also" => causes.iter().any(|cause| cause.contains(text)),
        "no certain" => !causes.iter().any(|cause| has(cause, "certain")),
        _ => causes.first().is_some_and(|cause| has(cause, kind)),
    }
}
