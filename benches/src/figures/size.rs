//! The cost of a build: the number of crates, and the time of a first build.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::time::Instant;

use crate::measure::binary::cargo;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Greatest number of foreign crates without the default features.
pub(crate) const MOST: usize = 12;

/// Returns a table of crates and build times, with the default features and without.
pub(crate) fn of_builds() -> Result<String> {
    let mut text = String::from(
        "| features | foreign crates | of these in the test's program | first build |\n\
         | --- | --- | --- | --- |\n",
    );
    let alone = ["--no-default-features"];
    for (name, features) in [("default", &[][..]), ("none: isolation only", &alone)] {
        let all = crates(features, "normal,build")?;
        let linked = crates(features, "normal,no-proc-macro")?;
        let seconds = build(features)?;
        text += &format!("| {name} | {all} | {linked} | {seconds:.0} s |\n");
    }
    text += &format!("\nIsolation only must stay within {MOST} crates.\n");
    Ok(text)
}

/// Counts the crates that are not of this workspace.
fn crates(features: &[&str], edges: &str) -> Result<usize> {
    let mut command = cargo();
    command.args(["tree", "--quiet", "--package", "netns-test", "--prefix", "none"]);
    command.args(["--edges", edges, "--format", "{p}"]).args(features);
    let output = command.output()?;
    if !output.status.success() {
        return Err("cargo tree failed".into());
    }
    let text = String::from_utf8(output.stdout)?;
    let named = text.lines().map(|line| line.trim_end_matches(" (*)"));
    let foreign = named.filter(|line| !line.is_empty() && !line.starts_with("netns-test"));
    Ok(foreign.collect::<BTreeSet<_>>().len())
}

/// Builds into a temporary directory, and returns the time in seconds.
fn build(features: &[&str]) -> Result<f64> {
    let target = std::env::temp_dir().join(format!("netns-test-build-{}", std::process::id()));
    let mut command = cargo();
    command.args(["build", "--quiet", "--package", "netns-test"]).args(features);
    command.arg("--target-dir").arg(&target);
    let start = Instant::now();
    let status = command.status();
    let time = start.elapsed();
    fs::remove_dir_all(&target)?;
    if status?.success() { Ok(time.as_secs_f64()) } else { Err("a build failed".into()) }
}
