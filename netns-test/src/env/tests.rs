//! Tests of the variables and their values.

use super::*;
use crate::env::variables::{VARIABLES, Variable};

fn settings(variables: &[(&str, &str)]) -> Result<Settings, Failure> {
    Settings::new(|name| {
        let found = variables.iter().find(|(other, _)| *other == name);
        found.map(|(_, value)| OsString::from(value))
    })
}

#[test]
fn a_test_that_cannot_be_isolated_fails_by_default() {
    let default = Settings {
        policy: Policy::Require,
        skipped: None,
        spares: None,
        report: Report::Full,
        keep: Keep::Failed,
        out: None,
        escape: Escape::Note,
        seed: None,
        stacks: Stacks::Auto,
    };
    assert_eq!(settings(&[]), Ok(default.clone()));
    assert_eq!(settings(&[("NETNS_TEST", ""), ("NETNS_TEST_SKIPPED", "")]), Ok(default.clone()));
    assert_eq!(settings(&[("NETNS_TEST", "require")]), Ok(default.clone()));
    let skip = Settings {
        policy: Policy::Skip,
        skipped: Some("/tmp/x".into()),
        spares: Some(3),
        ..default
    };
    let set = settings(&[
        ("NETNS_TEST", "skip"),
        ("NETNS_TEST_SKIPPED", "/tmp/x"),
        ("NETNS_TEST_SPARES", "3"),
    ]);
    assert_eq!(set, Ok(skip));
}

#[test]
fn a_wrong_value_is_an_error_that_lists_the_right_ones() {
    for value in ["Skip", "1", "skip "] {
        let failure = settings(&[("NETNS_TEST", value)]).unwrap_err().to_string();
        assert!(failure.contains("the variable NETNS_TEST"), "{failure}");
        assert!(failure.contains("known: `require`, `skip`"), "{failure}");
    }
    for value in ["many", "-1", "257", " 1"] {
        let failure = settings(&[("NETNS_TEST_SPARES", value)]).unwrap_err().to_string();
        assert!(failure.contains("the variable NETNS_TEST_SPARES"), "{failure}");
    }
    for name in ["NETNS_TEST_REPORT", "NETNS_TEST_KEEP", "NETNS_TEST_ESCAPE", "NETNS_TEST_STACKS"] {
        let failure = settings(&[(name, "Full")]).unwrap_err().to_string();
        assert!(failure.contains(&format!("the variable {name}")), "{failure}");
    }
}

#[test]
fn a_seed_is_decimal_or_hexadecimal() {
    let of = |value| settings(&[("NETNS_TEST_SEED", value)]).map(|settings| settings.seed);
    assert_eq!(of("7"), Ok(Some(7)));
    assert_eq!(of("0x1f"), Ok(Some(31)));
    assert_eq!(of("18446744073709551615"), Ok(Some(u64::MAX)));
    for value in ["x", "-1", "0x", "0x+1", "1f", "18446744073709551616"] {
        let failure = of(value).unwrap_err().to_string();
        assert!(failure.contains("the variable NETNS_TEST_SEED"), "{failure}");
    }
}

#[test]
fn reports_and_files_are_chosen() {
    let of = |report, keep| {
        let set = [("NETNS_TEST_REPORT", report), ("NETNS_TEST_KEEP", keep)];
        let settings = settings(&set).unwrap();
        (settings.report, settings.keep)
    };
    assert_eq!(of("full", "failed"), (Report::Full, Keep::Failed));
    assert_eq!(of("short", "all"), (Report::Short, Keep::All));
    assert_eq!(of("off", "none"), (Report::Off, Keep::None));
    let out = settings(&[("NETNS_TEST_OUT", "/tmp/x")]).unwrap().out;
    assert_eq!(out, Some(PathBuf::from("/tmp/x")));
}

#[test]
fn sends_without_a_route_are_treated_as_the_user_says() {
    let of = |value| settings(&[("NETNS_TEST_ESCAPE", value)]).unwrap().escape;
    let all = ["", "note", "fail", "trace", "off"].map(of);
    let (note, fail) = (Escape::Note, Escape::Fail);
    assert_eq!(all, [note, note, fail, Escape::Trace, Escape::Off]);
}

#[test]
fn the_test_run_is_described_by_cargo_and_nextest() {
    let run = |variables: &[(&str, &str)]| {
        TestRun::new(|name| {
            let found = variables.iter().find(|(other, _)| *other == name);
            found.map(|(_, value)| OsString::from(value))
        })
    };
    assert_eq!(run(&[]), TestRun::default());
    let described = run(&[
        ("CARGO_PKG_NAME", "shop"),
        ("NEXTEST_RUN_ID", "an id"),
        ("NEXTEST_ATTEMPT", "2"),
        ("NEXTEST_TOTAL_ATTEMPTS", "3"),
        ("NEXTEST_STRESS_CURRENT", "none"),
        ("LC_ALL", "C"),
        ("LANG", "de_DE.UTF-8"),
    ]);
    assert_eq!(described.package.as_deref(), Some("shop"));
    assert_eq!(described.nextest.as_deref(), Some("an id"));
    assert_eq!((described.attempt, described.attempts), (2, 3));
    assert_eq!((described.repetition, described.is_utf8), (None, false));
    assert!(run(&[("LC_ALL", ""), ("LANG", "en_US.utf8")]).is_utf8);
}

#[test]
fn the_documentation_has_the_table() {
    let text = include_str!("../../CRATE.md");
    for Variable { name, values, default, meaning } in &VARIABLES {
        let row = format!("| `{name}` | {values} | {default} | {meaning} |");
        assert!(text.contains(&row), "{row}");
    }
}
