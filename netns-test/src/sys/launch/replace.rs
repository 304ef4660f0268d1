//! A process that becomes another program (execve(2)).

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// Becomes `program` with these arguments and no variables but `variables`. Its stdout and stderr
/// are `output`, its stdin is empty. Returns only if that is refused. The process has one thread.
pub(crate) fn replace(
    program: &Path,
    arguments: &[&str],
    variables: &[(&str, &OsStr)],
    output: OwnedFd,
) -> io::Error {
    let stderr = match output.try_clone() {
        Ok(stderr) => stderr,
        Err(error) => return error,
    };
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(variables.iter().copied());
    command.stdin(Stdio::null()).stdout(output).stderr(stderr).exec()
}
