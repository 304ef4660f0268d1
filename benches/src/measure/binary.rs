//! The test binary that the benchmark runs, with and without spares.

use std::error::Error;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::measure::worker::Worker;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Origin of the sandboxes of tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Made when a test asks for one.
    Cold,
    /// Made in advance.
    WithSpares,
}

/// Variable with the number of spares; unset, the library decides by demand.
const SPARES: &str = "NETNS_TEST_SPARES";

/// Path of the program built from `tests/work.rs`.
#[derive(Clone, Debug)]
pub(crate) struct Binary(PathBuf);

impl Binary {
    /// Builds the tests with the profile of this program.
    pub(crate) fn build() -> Result<Self> {
        let mut command = cargo();
        command.args(["test", "--no-run", "--quiet", "--message-format=json"]);
        command.args(["--package", env!("CARGO_PKG_NAME"), "--test", "work"]);
        if !cfg!(debug_assertions) {
            command.arg("--release");
        }
        let output = command.stderr(Stdio::inherit()).output()?;
        if !output.status.success() {
            return Err("the tests to be measured cannot be built".into());
        }
        let text = String::from_utf8(output.stdout)?;
        let found = text.lines().filter(|line| line.contains("\"name\":\"work\""));
        let path = found
            .filter_map(executable)
            .next_back()
            .ok_or("cargo printed no path of the test binary")?;
        Ok(Self(path.into()))
    }

    /// Prepares a run of the tests that match one of `filters`.
    pub(crate) fn run(&self, way: Way, threads: u32, filters: &[&str]) -> Command {
        let mut command = Command::new(&self.0);
        command.arg(format!("--test-threads={threads}")).args(filters);
        command.env_remove("RUST_TEST_NOCAPTURE").env_remove(SPARES);
        if way == Way::Cold {
            command.env(SPARES, "0");
        }
        command
    }

    /// Starts the test `driver`, which runs other tests on request.
    pub(crate) fn driver(&self, way: Way) -> Result<Worker> {
        Worker::start(&mut self.run(way, 1, &["driver"]))
    }
}

/// Runs the tests, and checks that exactly `count` have passed.
pub(crate) fn passes(command: &mut Command, count: u32) -> Result<()> {
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let expected = format!("test result: ok. {count} passed; 0 failed;");
    if output.status.success() && text.contains(&expected) {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(format!("no {expected:?} in\n{text}\n{errors}").into())
}

/// Returns `cargo`, to be run in the directory of this package.
pub(crate) fn cargo() -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

/// Returns the value of `executable` in a line of JSON.
fn executable(line: &str) -> Option<String> {
    let (_, after) = line.split_once("\"executable\":\"")?;
    let (path, _) = after.split_once('"')?;
    Some(path.replace("\\\\", "\\"))
}
