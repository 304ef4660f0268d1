//! Whether tests leave a process or a namespace. The kernel counts the namespaces of a user namespace
//! that it has not freed, so the tests run in one of their own, which is then allowed no more than the
//! benchmark itself needs.

use std::error::Error;
use std::fs;
use std::io;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::floor::calls::{self, check};
use crate::floor::test;
use crate::measure::binary::{Binary, Way, passes};
use crate::measure::worker::{ARGUMENT, own};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// How long the kernel may take to take namespaces down.
const PATIENCE: Duration = Duration::from_secs(60);

/// The kinds that a test has of its own, and how many of each there may be: one for a last test, and
/// the network of the benchmark itself.
const KINDS: [(&str, &str); 6] =
    [("user", "1"), ("net", "2"), ("mnt", "1"), ("pid", "1"), ("uts", "1"), ("ipc", "1")];

/// Runs the tests in a process of their own and looks at what is left; an error if anything is.
pub(crate) fn none(binary: &Binary, way: Way, filter: &str, count: u32) -> Result<()> {
    let run = binary.run(way, 2, &[filter]);
    let mut command = own()?;
    command.args([ARGUMENT, "leaks", &count.to_string()]);
    command.arg(run.get_program()).args(run.get_args());
    for (name, value) in run.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).into())
}

/// The process of [`none`].
pub(crate) fn main(count: &str, program: &str, arguments: &[&str]) -> Result<()> {
    calls::own_namespaces()?;
    // Orphans become children of this process.
    // SAFETY: a flag of this process.
    check(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) })?;
    passes(Command::new(program).args(arguments), count.parse()?)?;
    // SAFETY: asks for any child, and writes nothing.
    let child = unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) };
    if child != -1 || io::Error::last_os_error().raw_os_error() != Some(libc::ECHILD) {
        return Err("a process is left".into());
    }
    for (kind, allowed) in KINDS {
        fs::write(format!("/proc/sys/user/max_{kind}_namespaces"), allowed)?;
    }
    let start = Instant::now();
    while let Err(error) = test::tests(1) {
        let is_full = error.raw_os_error() == Some(libc::ENOSPC);
        if !is_full || start.elapsed() > PATIENCE {
            return Err(format!("a namespace is left: one more test: {error}").into());
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}
