//! The test binary that the benchmark runs, and the ways in which it runs it.

use std::error::Error;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::measure::worker::Worker;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Where the sandboxes of tests come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Each is made when a test asks for it.
    Cold,
    /// Some wait for a test that asks.
    WithSpares,
}

/// The number of spares, 0 for none; not set: as many as are of use.
const SPARES: &str = "NETNS_TEST_SPARES";

/// `tests/work.rs`, built.
#[derive(Clone, Debug)]
pub(crate) struct Binary(PathBuf);

impl Binary {
    /// Builds it as this program was built.
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
        let path =
            found.filter_map(executable).next_back().ok_or("cargo has named no test binary")?;
        Ok(Self(path.into()))
    }

    /// A run of the tests whose names hold one of `filters`, on so many threads.
    pub(crate) fn run(&self, way: Way, threads: u32, filters: &[&str]) -> Command {
        let mut command = Command::new(&self.0);
        command.arg(format!("--test-threads={threads}")).args(filters);
        command.env_remove("RUST_TEST_NOCAPTURE").env_remove(SPARES);
        if way == Way::Cold {
            command.env(SPARES, "0");
        }
        command
    }

    /// A test of it that runs others as it is told.
    pub(crate) fn driver(&self, way: Way) -> Result<Worker> {
        Worker::start(&mut self.run(way, 1, &["driver"]))
    }
}

/// Runs the tests, and is content only if so many have passed.
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

/// In the directory of this package, which is of the workspace.
pub(crate) fn cargo() -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

/// The value of `executable` in a line of JSON.
fn executable(line: &str) -> Option<String> {
    let (_, after) = line.split_once("\"executable\":\"")?;
    let (path, _) = after.split_once('"')?;
    Some(path.replace("\\\\", "\\"))
}
