//! Checks that tests leave no process and no namespace. The kernel counts the namespaces that it
//! has not freed in each user namespace. So the tests run in a user namespace of their own, whose
//! limits are then lowered to the needs of one more test.

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

/// Time limit for the kernel to free namespaces.
const LIMIT: Duration = Duration::from_secs(60);

/// Kinds of namespaces, and the limit of each: one for a last test, and the network of the
/// benchmark itself.
const KINDS: [(&str, &str); 6] =
    [("user", "1"), ("net", "2"), ("mnt", "1"), ("pid", "1"), ("uts", "1"), ("ipc", "1")];

/// Runs the tests in another process, and returns an error if they leave anything.
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

/// Runs the process of [`none`].
pub(crate) fn main(count: &str, program: &str, arguments: &[&str]) -> Result<()> {
    calls::own_namespaces()?;
    // Orphans become children of this process.
    // SAFETY: sets a flag of this process.
    check(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) })?;
    passes(Command::new(program).args(arguments), count.parse()?)?;
    // SAFETY: takes no pointer but null.
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
        if !is_full || start.elapsed() > LIMIT {
            return Err(format!("a namespace is left: one more test: {error}").into());
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}
