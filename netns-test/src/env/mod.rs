//! The environment variables that this crate reads, each in this room only. All but `PATH`,
//! `RUST_MIN_STACK` and `RUST_TEST_NOCAPTURE` are read once, before `main`.

pub(crate) mod variables;

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::OnceLock;

use crate::env::variables::{VARIABLES, wrong};
use crate::error::Failure;

/// Settings of the user: the variables `NETNS_TEST*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) policy: Policy,
    /// File to which a line is appended for each skipped test.
    pub(crate) skipped: Option<PathBuf>,
    /// Number of warm sandboxes for each setting, if it is not left to demand.
    pub(crate) spares: Option<usize>,
    pub(crate) report: Report,
    pub(crate) keep: Keep,
    /// Directory of the bundles, instead of one below cargo's target directory.
    pub(crate) out: Option<PathBuf>,
    pub(crate) escape: Escape,
    /// Seed of impaired links, instead of one from the test's name.
    pub(crate) seed: Option<u64>,
    pub(crate) stacks: Stacks,
}

/// Treatment of the stacks of a test whose time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stacks {
    /// A debugger prints them, if there is one.
    Auto,
    Off,
}

/// Treatment of sends for which a network has no route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Escape {
    /// The report of a failed test counts them.
    Note,
    /// The test fails.
    Fail,
    /// The report names their destinations.
    Trace,
    Off,
}

/// Length of the report of a test that has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Report {
    Full,
    /// Its first lines.
    Short,
    /// No report, and nothing is collected for one.
    Off,
}

/// Tests whose evidence is kept in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    Failed,
    All,
    None,
}

/// Treatment of a test that this machine cannot isolate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    /// It fails.
    Require,
    /// It passes in the test runner, and is reported as skipped.
    Skip,
}

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

/// The test run, as cargo and cargo-nextest describe it to a test binary.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TestRun {
    /// `CARGO_PKG_NAME`.
    pub(crate) package: Option<String>,
    /// `CARGO_MANIFEST_DIR`.
    pub(crate) manifest: Option<PathBuf>,
    /// `NEXTEST_RUN_ID`.
    pub(crate) nextest: Option<String>,
    /// `NEXTEST_ATTEMPT`, from 1; 0 if it is not set.
    pub(crate) attempt: u32,
    /// `NEXTEST_TOTAL_ATTEMPTS`; 0 if it is not set.
    pub(crate) attempts: u32,
    /// `NEXTEST_STRESS_CURRENT`, of a test that is repeated.
    pub(crate) repetition: Option<u32>,
    /// Whether texts are in UTF-8: the first of `LC_ALL`, `LC_CTYPE` and `LANG` that is set.
    pub(crate) is_utf8: bool,
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

/// Returns the length of reports; no report if a setting is wrong, which fails every test.
pub(crate) fn report() -> Report {
    settings().map_or(Report::Off, |settings| settings.report)
}

/// Returns whether evidence of tests that pass is kept, too.
pub(crate) fn keeps_all() -> bool {
    settings().is_ok_and(|settings| settings.keep == Keep::All && settings.report != Report::Off)
}

/// Returns the treatment of sends without a route.
pub(crate) fn escape() -> Escape {
    settings().map_or(Escape::Off, |settings| settings.escape)
}

/// Returns whether a debugger may be asked for stacks.
pub(crate) fn stacks() -> Stacks {
    settings().map_or(Stacks::Off, |settings| settings.stacks)
}

/// Returns the seed of impaired links that the user has set.
pub(crate) fn seed() -> Option<u64> {
    settings().ok().and_then(|settings| settings.seed)
}

/// Returns the description of the test run.
pub(crate) fn test_run() -> &'static TestRun {
    static RUN: OnceLock<TestRun> = OnceLock::new();
    RUN.get_or_init(|| TestRun::new(value))
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
        let [policy, skipped, spares, report, keep, out, escape, seed, stacks] = &VARIABLES;
        let policies = [("require", Policy::Require), ("skip", Policy::Skip)];
        let policy = policy.choice(value(policy.name), policies)?;
        let spares = match value(spares.name) {
            None => None,
            Some(value) => Some(number(&value).ok_or_else(|| wrong(spares, &value))?),
        };
        let reports = [("full", Report::Full), ("short", Report::Short), ("off", Report::Off)];
        let report = report.choice(value(report.name), reports)?;
        let kept = [("failed", Keep::Failed), ("all", Keep::All), ("none", Keep::None)];
        let keep = keep.choice(value(keep.name), kept)?;
        let escapes = [
            ("note", Escape::Note),
            ("fail", Escape::Fail),
            ("trace", Escape::Trace),
            ("off", Escape::Off),
        ];
        let escape = escape.choice(value(escape.name), escapes)?;
        let seed = match value(seed.name) {
            None => None,
            Some(value) => Some(seed_of(&value).ok_or_else(|| wrong(seed, &value))?),
        };
        let debuggers = [("auto", Stacks::Auto), ("off", Stacks::Off)];
        let stacks = stacks.choice(value(stacks.name), debuggers)?;
        // A test may change the working directory.
        let absolute = |path| std::path::absolute(&path).unwrap_or(path);
        let skipped = value(skipped.name).map(PathBuf::from).map(absolute);
        let out = value(out.name).map(PathBuf::from).map(absolute);
        Ok(Self { policy, skipped, spares, report, keep, out, escape, seed, stacks })
    }
}

impl TestRun {
    /// Reads the variables by `value`. A value of another form counts as not set: it is not the
    /// user's.
    fn new(value: impl Fn(&str) -> Option<OsString>) -> Self {
        let text = |name: &str| value(name)?.into_string().ok().filter(|text| !text.is_empty());
        let number = |name: &str| text(name)?.parse::<u32>().ok();
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(text);
        let locale = locale.unwrap_or_default().to_lowercase();
        Self {
            package: text("CARGO_PKG_NAME"),
            manifest: text("CARGO_MANIFEST_DIR").map(PathBuf::from),
            nextest: text("NEXTEST_RUN_ID"),
            attempt: number("NEXTEST_ATTEMPT").unwrap_or_default(),
            attempts: number("NEXTEST_TOTAL_ATTEMPTS").unwrap_or_default(),
            repetition: number("NEXTEST_STRESS_CURRENT"),
            is_utf8: locale.contains("utf-8") || locale.contains("utf8"),
        }
    }
}

/// Parses the number of warm sandboxes.
fn number(value: &OsStr) -> Option<usize> {
    value.to_str()?.parse().ok().filter(|&number| number <= MOST_SPARES)
}

/// Parses a seed, in decimal or with `0x` in hexadecimal digits.
fn seed_of(value: &OsStr) -> Option<u64> {
    let text = value.to_str()?;
    match text.strip_prefix("0x") {
        // `from_str_radix` takes a sign.
        Some(digits) if digits.starts_with('+') => None,
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests;
