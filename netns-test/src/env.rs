//! The environment variables that this crate reads, each in this file only. All but `PATH`,
//! `RUST_MIN_STACK` and `RUST_TEST_NOCAPTURE` are read once, before `main`.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::OnceLock;

use crate::error::Failure;

/// Settings of the user: the variables `NETNS_TEST*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) policy: Policy,
    /// File to which a line is appended for each skipped test.
    pub(crate) skipped: Option<PathBuf>,
    /// Number of warm sandboxes for each setting, if it is not left to demand.
    pub(crate) spares: Option<usize>,
}

/// Treatment of a test that this machine cannot isolate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    /// It fails.
    Require,
    /// It passes in the test runner, and is reported as skipped.
    Skip,
}

/// Variable, as the documentation describes it.
#[derive(Debug)]
pub(crate) struct Variable {
    pub(crate) name: &'static str,
    pub(crate) values: &'static str,
    pub(crate) default: &'static str,
    pub(crate) meaning: &'static str,
}

/// Table of variables in the documentation.
pub(crate) const VARIABLES: [Variable; 3] = [
    Variable {
        name: "NETNS_TEST",
        values: "`require`, `skip`",
        default: "`require`",
        meaning: "a test that this machine cannot isolate fails, or is skipped with a report",
    },
    Variable {
        name: "NETNS_TEST_SKIPPED",
        values: "a path",
        default: "none",
        meaning: "a file to which a line is added for each skipped test: program, test and \
                  cause, separated by tabs",
    },
    Variable {
        name: "NETNS_TEST_SPARES",
        values: "`0` to `256`",
        default: "by demand",
        meaning: "number of warm sandboxes for each user, ids and network; with `0` a sandbox is \
                  made when a test asks for it; by demand there are none where fewer than 1024 \
                  processes or namespaces are allowed",
    },
];

/// Most warm sandboxes for each setting: each is a process.
const MOST_SPARES: usize = 256;

/// Environment of the test run, as far as it is recognized by variables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Surroundings {
    /// `GITHUB_ACTIONS`.
    pub(crate) github: bool,
    /// `GITLAB_CI`.
    pub(crate) gitlab: bool,
    /// `KUBERNETES_SERVICE_HOST`.
    pub(crate) kubernetes: bool,
    /// `SNAP`.
    pub(crate) snap: bool,
    /// `NEXTEST`: cargo-nextest, which shows the output of failed tests only.
    pub(crate) nextest: bool,
}

/// Returns the settings.
///
/// # Errors
///
/// If a variable has an unknown value.
pub(crate) fn settings() -> Result<&'static Settings, Failure> {
    static SETTINGS: OnceLock<Result<Settings, Failure>> = OnceLock::new();
    SETTINGS.get_or_init(|| Settings::new(value)).as_ref().map_err(Clone::clone)
}

/// Returns the environment of the test run.
pub(crate) fn surroundings() -> Surroundings {
    static SURROUNDINGS: OnceLock<Surroundings> = OnceLock::new();
    let is_set = |name: &str| value(name).is_some();
    *SURROUNDINGS.get_or_init(|| Surroundings {
        github: is_set("GITHUB_ACTIONS"),
        gitlab: is_set("GITLAB_CI"),
        kubernetes: is_set("KUBERNETES_SERVICE_HOST"),
        snap: is_set("SNAP"),
        nextest: is_set("NEXTEST"),
    })
}

/// Returns the size of a thread's stack in bytes that `RUST_MIN_STACK` sets, as it is now.
pub(crate) fn stack_of_threads() -> Option<u64> {
    value("RUST_MIN_STACK")?.to_str()?.parse().ok()
}

/// Returns whether an option or a variable turns off libtest's capture of output.
pub(crate) fn nothing_is_captured() -> bool {
    let asked = env::args_os().any(|arg| arg == "--nocapture" || arg == "--no-capture");
    asked || value("RUST_TEST_NOCAPTURE").is_some_and(|value| value != "0")
}

/// Returns the directories that are searched for programs (`PATH`), as they are now.
#[cfg(feature = "lab")]
pub(crate) fn search_path() -> Option<OsString> {
    value("PATH")
}

/// Returns the value of a variable that is set, also of one that is set to an empty value.
///
/// Searches a copy of all variables: the standard library makes it under a lock, which getenv(3)
/// of the C library does not have.
fn value(name: &str) -> Option<OsString> {
    env::vars_os().find(|(other, _)| other == name).map(|(_, value)| value)
}

/// Returns all variables of this process, by name and value, as they are now: a test's body starts
/// with those of the runner.
pub(crate) fn variables() -> Vec<(OsString, OsString)> {
    env::vars_os().collect()
}

impl Settings {
    /// Reads the settings by `value`, which looks up a variable. An empty value counts as not set:
    /// CI pipelines set variables to an empty value where an expression has none.
    fn new(value: impl Fn(&str) -> Option<OsString>) -> Result<Self, Failure> {
        let value = |name: &str| value(name).filter(|value| !value.is_empty());
        let [policy, skipped, spares] = &VARIABLES;
        let policy = match value(policy.name) {
            None => Policy::Require,
            Some(value) if value == "require" => Policy::Require,
            Some(value) if value == "skip" => Policy::Skip,
            Some(value) => return Err(wrong(policy, &value)),
        };
        let spares = match value(spares.name) {
            None => None,
            Some(value) => Some(number(&value).ok_or_else(|| wrong(spares, &value))?),
        };
        // A test may change the working directory.
        let absolute = |path| std::path::absolute(&path).unwrap_or(path);
        let skipped = value(skipped.name).map(PathBuf::from).map(absolute);
        Ok(Self { policy, skipped, spares })
    }
}

/// Parses the number of warm sandboxes.
fn number(value: &OsStr) -> Option<usize> {
    value.to_str()?.parse().ok().filter(|&number| number <= MOST_SPARES)
}

fn wrong(variable: &Variable, value: &OsStr) -> Failure {
    let object = format!("the variable {}", variable.name);
    Failure::new("read", object, format!("unknown value {value:?}"))
        .advise(format!("meaning: {}", variable.meaning))
        .advise(format!("known: {}; default: {}", variable.values, variable.default))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> Result<Settings, Failure> {
        Settings::new(|name| {
            let found = variables.iter().find(|(other, _)| *other == name);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn a_test_that_cannot_be_isolated_fails_by_default() {
        let default = Settings { policy: Policy::Require, skipped: None, spares: None };
        assert_eq!(settings(&[]), Ok(default.clone()));
        assert_eq!(
            settings(&[("NETNS_TEST", ""), ("NETNS_TEST_SKIPPED", "")]),
            Ok(default.clone())
        );
        assert_eq!(settings(&[("NETNS_TEST", "require")]), Ok(default));
        let skip =
            Settings { policy: Policy::Skip, skipped: Some("/tmp/x".into()), spares: Some(3) };
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
    }

    #[test]
    fn the_documentation_has_the_table() {
        let text = include_str!("../CRATE.md");
        for Variable { name, values, default, meaning } in &VARIABLES {
            let row = format!("| `{name}` | {values} | {default} | {meaning} |");
            assert!(text.contains(&row), "{row}");
        }
    }
}
