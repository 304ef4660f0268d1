//! Causes of failures: tests that fail as users' tests do, and what the report says of them.
//!
//! All of them run in one process, captured. Their reports are the files of `texts`, without what
//! differs from run to run. After a change that is meant, run these tests with `UPDATE_EXPECTED=1`
//! and read the difference. A case that is named `near_…` must not get the cause that it looks
//! like.

/// Name of a case, and what is expected of its report: `certain: text` or `likely: text` of the
/// first cause, or `first: text` of either, `also: text` of any, `not: text` for words that no
/// cause has. `proven: text` is certain where the source can be read, else likely.
type Case = (&'static str, &'static [&'static str]);

/// Declares `CASES`, and an ignored test for each of them: name, function, expectations.
macro_rules! cases {
    ($(($name:literal, $case:ident, $expected:expr $(,)?)),* $(,)?) => {
        cases! { (); $(($name, $case, $expected)),* }
    };
    ($options:tt; $(($name:literal, $case:ident, $expected:expr $(,)?)),* $(,)?) => {
        pub(crate) const CASES: &[super::Case] = &[$(($name, $expected)),*];

        mod fixtures {
            $(
                #[netns_test::netns_test $options]
                #[ignore = "run by main.rs"]
                fn $case() {
                    super::$case();
                }
            )*
        }
    };
}

mod ends;
mod links;
mod local;
mod nats;
mod normal;
mod paths;
mod queues;
mod servers;
mod texts;
mod times;

use std::collections::BTreeMap;
use std::process::Command;

use netns_test_tests::{again, text};

use texts::Texts;

/// Number of cases that run at once.
const AT_ONCE: &str = "--test-threads=6";

/// Runs of a case alone after its report was another one: a busy machine may have been the reason.
const MORE: usize = 12;

/// Lists the cases of each file.
const CASES: [(&str, &[&[Case]]); 8] = [
    ("servers", &[servers::CASES, servers::RETURNED]),
    ("paths", &[paths::CASES]),
    ("nats", &[nats::CASES]),
    ("queues", &[queues::CASES]),
    ("links", &[links::CASES]),
    ("ends", &[ends::CASES]),
    ("local", &[local::CASES]),
    ("times", &[times::CASES, times::ASYNC]),
];

/// Variables of a run, as nextest sets them for a second attempt.
const SECOND: &[(&str, &str)] = &[
    ("RUST_BACKTRACE", "1"),
    ("NEXTEST_RUN_ID", "some"),
    ("NEXTEST_ATTEMPT", "2"),
    ("NEXTEST_TOTAL_ATTEMPTS", "3"),
];

#[test]
fn failures_are_explained() {
    let is_blessed = std::env::var_os("UPDATE_EXPECTED").is_some();
    let texts = Texts::default();
    let mut seen = Texts::default();
    let mut wrong = Vec::new();
    let is_fine = |case: &Case, report: &str| match is_blessed {
        // A busy machine has no time for all.
        true => !["the time was over", "networks were not read"].iter().any(|t| report.contains(t)),
        false => texts.has(case, report),
    };
    for (case, reports) in reports(&is_fine, &[]) {
        let (name, expected) = case;
        let last = reports.last().expect("a report");
        let causes = causes(last);
        let is_met = |expected: &str| match expected.strip_prefix("proven: ") {
            Some(text) if texts.has_source => is_met(&format!("certain: {text}"), &causes),
            Some(text) => is_met(&format!("likely: {text}"), &causes),
            None => is_met(expected, &causes),
        };
        let misses = expected.iter().filter(|expected| !is_met(expected));
        wrong.extend(misses.map(|miss| format!("{name}: {miss}\n--- in\n{last}")));
        if is_blessed {
            seen.set(name, normal::normal(last));
        } else {
            wrong.extend(texts.misses(case, &reports));
        }
    }
    if is_blessed {
        seen.write(&CASES);
    }
    assert!(wrong.is_empty(), "{} are wrong\n{}", wrong.len(), wrong.join("\n"));
}

/// A backtrace comes before the report. Which attempt it is, the first line says.
#[test]
fn a_second_attempt_with_backtraces_is_explained_as_well() {
    let texts = Texts::default();
    let mut wrong = Vec::new();
    for (case, reports) in reports(&|case, report| texts.has(case, report), SECOND) {
        wrong.extend(texts.misses(case, &reports));
        let all = reports.concat();
        assert!(
            all.contains(" s (attempt 2 of 3)") && !all.contains("Again     cargo test"),
            "{all}"
        );
        let has_backtrace = all.contains("stack backtrace:");
        assert!(has_backtrace || all.contains("TIMED OUT") || all.contains("Error: Os "), "{all}");
    }
    assert!(wrong.is_empty(), "{} are wrong\n{}", wrong.len(), wrong.join("\n"));
}

/// Runs all cases at once, and returns the reports of each: those that are not fine are
/// run again, [`MORE`] times at most.
fn reports(
    is_fine: &dyn Fn(&Case, &str) -> bool,
    variables: &[(&str, &str)],
) -> Vec<(&'static Case, Vec<String>)> {
    let has_nft = Command::new("nft").arg("--version").output().is_ok();
    let skipped: &[&str] = if has_nft { &[] } else { &["--skip", "nft_"] };
    let seen = run(&[&[AT_ONCE], skipped].concat(), variables);
    let all = CASES.iter().flat_map(|(_, lists)| lists.iter().copied().flatten());
    let all = all.filter(|(name, _)| has_nft || !name.starts_with("nft_"));
    let reports = all.map(|case| {
        let (path, first) = find(&seen, case.0);
        let mut reports = vec![first.clone()];
        while reports.len() <= MORE && !is_fine(case, &reports[reports.len() - 1]) {
            let mut again = run(&["--exact", path], variables);
            reports.extend(again.remove(path));
        }
        (case, reports)
    });
    reports.collect()
}

/// Finds the test of a case, and what it has printed.
fn find<'a>(seen: &'a BTreeMap<String, String>, name: &str) -> (&'a str, &'a String) {
    let mut found = seen.iter().filter(|(path, _)| path.rsplit("::").next() == Some(name));
    let (path, report) = found.next().unwrap_or_else(|| panic!("no test {name} has failed"));
    (path, report)
}

/// Runs cases in one process, and returns what each that has failed has printed.
fn run(arguments: &[&str], variables: &[(&str, &str)]) -> BTreeMap<String, String> {
    let mut command = again(&[], arguments);
    for name in ["RUN_ID", "ATTEMPT", "TOTAL_ATTEMPTS", "STRESS_CURRENT"] {
        command.env_remove(format!("NEXTEST_{name}"));
    }
    command.env("NETNS_TEST_KEEP", "none").env("NETNS_TEST_REPORT", "full");
    // Not every machine has a debugger.
    command.env("NETNS_TEST_STACKS", "off");
    command.env("CARGO_MANIFEST_DIR", env!("CARGO_MANIFEST_DIR")).env("LC_ALL", "C.UTF-8");
    let text = text(&command.envs(variables.iter().copied()).output().unwrap());
    let mut parts = text.split("\n---- ");
    assert!(parts.next().is_some_and(|start| !start.contains("... ok")), "one has passed: {text}");
    let sections = parts.filter_map(|part| part.split_once(" stdout ----\n"));
    let only = |text: &str| text.split("\nfailures:\n").next().unwrap_or_default().to_owned();
    sections.map(|(path, text)| (path.to_owned(), only(text))).collect()
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
