//! The command that runs a test again.

use std::path::Path;

use crate::env::TestRun;

/// Kind of a test binary, as cargo selects it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Test,
    Library,
    Program,
    Unknown,
}

/// Returns the command for the test `test` of the binary `binary`, with the seed that was set.
pub(crate) fn command(run: &TestRun, seed: Option<u64>, binary: &str, test: &str) -> String {
    let has_ignored =
        std::env::args_os().any(|arg| arg == "--ignored" || arg == "--include-ignored");
    let target = target(run, binary);
    // Without cargo the name of the binary does not say which package it is of.
    let is_alone = run.package.is_none() && run.nextest.is_none() && target == Target::Unknown;
    let program = std::env::current_exe().ok().filter(|_| is_alone);
    let seed = seed.map(|seed| format!("NETNS_TEST_SEED={seed:#x} ")).unwrap_or_default();
    let command = match program.as_deref().and_then(Path::to_str).filter(|path| is_plain_path(path))
    {
        Some(program) => alone(program, test, has_ignored),
        None => text(run, (target, binary), test, has_ignored),
    };
    seed + &command
}

/// Returns the command for a test of a binary that cargo has not started.
fn alone(program: &str, test: &str, has_ignored: bool) -> String {
    let ignored = if has_ignored { " --include-ignored" } else { "" };
    format!("{program} --exact {test}{ignored} --nocapture")
}

fn text(run: &TestRun, (target, binary): (Target, &str), test: &str, has_ignored: bool) -> String {
    let package = run.package.as_deref().filter(|name| is_plain(name));
    let is_selected = target == Target::Test && is_plain(binary);
    if run.nextest.is_some() {
        let package = package.map(|name| format!("package(={name}) & ")).unwrap_or_default();
        let binary = if is_selected { format!("binary(={binary}) & ") } else { String::new() };
        let ignored = if has_ignored { " --run-ignored all" } else { "" };
        return format!(
            "cargo nextest run{ignored} --no-capture -E '{package}{binary}test(={test})'"
        );
    }
    let package = package.map(|name| format!(" -p {name}")).unwrap_or_default();
    let target = match target {
        Target::Test if is_selected => format!(" --test {binary}"),
        Target::Library => " --lib".into(),
        Target::Program if is_plain(binary) => format!(" --bin {binary}"),
        _ => String::new(),
    };
    let ignored = if has_ignored { " --include-ignored" } else { "" };
    format!("cargo test{package}{target} -- --exact {test}{ignored} --nocapture")
}

/// Finds the source of a binary in the package's directory.
fn target(run: &TestRun, binary: &str) -> Target {
    let Some(manifest) = &run.manifest else { return Target::Unknown };
    let exists = |path: String| manifest.join(Path::new(&path)).is_file();
    let is_package = run.package.as_ref().is_some_and(|name| name.replace('-', "_") == binary);
    if exists(format!("tests/{binary}.rs")) || exists(format!("tests/{binary}/main.rs")) {
        Target::Test
    } else if is_package && exists("src/lib.rs".into()) {
        Target::Library
    } else if is_package && exists("src/main.rs".into()) || exists(format!("src/bin/{binary}.rs")) {
        Target::Program
    } else {
        Target::Unknown
    }
}

fn is_plain_path(path: &str) -> bool {
    path.split(['/', '.']).all(is_plain)
}

/// Returns whether a shell takes a name as it is.
fn is_plain(name: &str) -> bool {
    name.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_names_package_and_target() {
        let mut run = TestRun { package: Some("shop".into()), ..TestRun::default() };
        let of = |run: &TestRun, target| text(run, (target, "lan"), "a::b", false);
        assert_eq!(
            of(&run, Target::Test),
            "cargo test -p shop --test lan -- --exact a::b --nocapture"
        );
        assert_eq!(
            of(&run, Target::Library),
            "cargo test -p shop --lib -- --exact a::b --nocapture"
        );
        assert_eq!(of(&run, Target::Unknown), "cargo test -p shop -- --exact a::b --nocapture");
        assert_eq!(
            alone("/tmp/lan-1f", "a::b", true),
            "/tmp/lan-1f --exact a::b --include-ignored --nocapture"
        );
        assert!(is_plain_path("/tmp/lan-1f.x") && !is_plain_path("/tmp/a b"));
        run.nextest = Some("id".into());
        assert_eq!(
            of(&run, Target::Test),
            "cargo nextest run --no-capture -E 'package(=shop) & binary(=lan) & test(=a::b)'"
        );
    }

    #[test]
    fn the_target_is_found_by_its_source() {
        let is_workspace = |directory: &&Path| directory.join("netns-test/src").is_dir();
        let workspace =
            Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().find(is_workspace).unwrap();
        let of = |package: &str, directory: &str, binary: &str| {
            let manifest = Some(workspace.join(directory));
            let package = Some(package.to_owned());
            target(&TestRun { package, manifest, ..TestRun::default() }, binary)
        };
        assert_eq!(of("netns-test", "netns-test", "netns_test"), Target::Library);
        assert_eq!(of("netns-test-tests", "tests", "verdicts"), Target::Test);
        assert_eq!(of("netns-test", "netns-test", "other"), Target::Unknown);
    }
}
